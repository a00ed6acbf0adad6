//! The slot of a key: CRC16 of it, or of its hash tag, modulo 16,384.

use std::fmt;

/// How many slots a cluster has.
pub(crate) const SLOTS: u16 = 16_384;

/// One of the 16,384 parts of a cluster's keys; always below [`SLOTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Slot(u16);

impl Slot {
    /// The lowest one.
    pub(crate) const MIN: Self = Self(0);

    /// The slot of that number, if there is one.
    pub(crate) fn new(number: u16) -> Option<Self> {
        (number < SLOTS).then_some(Self(number))
    }

    /// The slot that Redis keeps `key` in.
    pub(crate) fn of(key: &[u8]) -> Self {
        Self(crc16(hashed_part(key)) % SLOTS)
    }

    pub(crate) fn number(self) -> u16 {
        self.0
    }

    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }

    /// All slots, in order.
    pub(crate) fn all() -> impl ExactSizeIterator<Item = Self> + DoubleEndedIterator {
        (0..SLOTS).map(Self)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What lies between the first `{` and the first `}` after it, unless that is nothing; else the whole key.
fn hashed_part(key: &[u8]) -> &[u8] {
    // Several bytes at a time, unlike `position`; most keys have no tag.
    if !key.contains(&b'{') {
        return key;
    }
    let Some(open) = key.iter().position(|byte| *byte == b'{') else {
        return key;
    };
    let rest = &key[open + 1..];
    match rest.iter().position(|byte| *byte == b'}') {
        None | Some(0) => key,
        Some(close) => &rest[..close],
    }
}

/// The polynomial of CRC16/XMODEM: no reflection, starts at 0, nothing is added at the end.
const POLYNOMIAL: u16 = 0x1021;

/// How many bytes are looked up at once. One after the other, each look-up would wait for the one before it: a key of
/// 20 bytes takes a third of the time.
const STRIDE: usize = 8;

/// `TABLES[n][byte]` is the CRC of `byte` followed by `n` zeros.
static TABLES: [[u16; 256]; STRIDE] = tables();

const fn tables() -> [[u16; 256]; STRIDE] {
    let mut tables = [[0; 256]; STRIDE];
    let mut byte: u16 = 0;
    while byte < 256 {
        let mut crc = byte << 8;
        let mut zeros = 0;
        while zeros < STRIDE {
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ POLYNOMIAL };
                bit += 1;
            }
            tables[zeros][byte as usize] = crc;
            zeros += 1;
        }
        byte += 1;
    }
    tables
}

fn crc16(bytes: &[u8]) -> u16 {
    let (head, rest) = bytes.split_at(bytes.len() % STRIDE);
    // At the beginning the CRC is 0, so that each byte's part of it is looked up by itself.
    let mut crc = head.iter().rev().zip(&TABLES).fold(0, |crc, (byte, table)| crc ^ table[usize::from(*byte)]);
    for chunk in rest.chunks_exact(STRIDE) {
        let [high, low] = crc.to_be_bytes();
        crc = TABLES[7][usize::from(chunk[0] ^ high)]
            ^ TABLES[6][usize::from(chunk[1] ^ low)]
            ^ TABLES[5][usize::from(chunk[2])]
            ^ TABLES[4][usize::from(chunk[3])]
            ^ TABLES[3][usize::from(chunk[4])]
            ^ TABLES[2][usize::from(chunk[5])]
            ^ TABLES[1][usize::from(chunk[6])]
            ^ TABLES[0][usize::from(chunk[7])];
    }
    crc
}

#[cfg(test)]
mod tests;
