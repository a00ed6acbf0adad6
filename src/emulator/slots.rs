//! Which slot of a cluster a key is in.

use std::{io, ops::RangeInclusive};

/// How many slots there are.
pub(super) const SLOTS: u16 = 16_384;

/// The slots, in so many equal parts.
pub(super) fn shares(parts: usize) -> impl Iterator<Item = RangeInclusive<u16>> {
    let start = move |part: usize| u16::try_from(part * usize::from(SLOTS) / parts).unwrap_or(SLOTS);
    (0..parts).map(move |part| start(part)..=start(part + 1) - 1)
}

/// Whether each of so many primaries has a slot.
pub(super) fn check_parts(primaries: usize) -> io::Result<()> {
    if (1..=usize::from(SLOTS)).contains(&primaries) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("a cluster has 1 to {SLOTS} primaries")))
}

/// The slot of a key: of what is in its first braces, if there is anything, otherwise of all of it.
pub(super) fn slot_of(key: &[u8]) -> u16 {
    let tag = || {
        let open = key.iter().position(|byte| *byte == b'{')? + 1;
        let len = key[open..].iter().position(|byte| *byte == b'}')?;
        (len > 0).then(|| &key[open..open + len])
    };
    crc16(tag().unwrap_or(key)) % SLOTS
}

/// CRC16 as XMODEM has it: polynomial 0x1021, most significant bit first.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 })
    })
}

#[cfg(test)]
mod tests;
