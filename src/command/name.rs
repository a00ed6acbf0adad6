//! Names of commands as numbers, which compare and hash in a few instructions, whatever their case.

/// All bits of eight bytes but the one that lower case has and upper case has not.
///
/// Without it the characters that names have besides letters are the same as control characters, too. That does no
/// harm: no server has a command with one of those, so that it refuses what is taken for another one here.
const FOLD: u64 = !(0x20 * 0x0101_0101_0101_0101);

/// A command's or a subcommand's name: eight bytes to a word, without their case, and zeros behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name([u64; 3]);

impl Name {
    /// No command has a longer one. The two bytes that the last word has left tell subcommands of the same name apart.
    pub(super) const LONGEST: usize = 22;

    /// None if it is longer than that of any command.
    pub(super) const fn of(bytes: &[u8]) -> Option<Self> {
        if let Some(short) = Self::short(bytes) {
            return Some(short);
        }
        if bytes.len() > Self::LONGEST {
            return None;
        }
        let (first, rest) = bytes.split_at(8);
        let (second, third) = if rest.len() <= 8 { rest.split_at(rest.len()) } else { rest.split_at(8) };
        Some(Self([word(first), word(second), word(third)]))
    }

    /// As [`Self::of`], for one that a word holds; so short are nearly all names.
    #[inline]
    pub(super) const fn short(bytes: &[u8]) -> Option<Self> {
        if bytes.len() <= 8 { Some(Self([word(bytes), 0, 0])) } else { None }
    }

    /// The name of a subcommand of the command at this place in the table.
    pub(super) const fn under(self, place: u16) -> Self {
        let Self([first, second, third]) = self;
        // No command is at the place `u16::MAX`, so that the sum is never 0.
        Self([first, second, third | (place.wrapping_add(1) as u64) << 48])
    }

    #[inline]
    pub(super) const fn hash(self) -> u64 {
        let Self([first, second, third]) = self;
        // The product's upper bits depend on all bits of the factor. Of many odd numbers drawn, this one has the common
        // names of the table found with one look, and no name with more than three.
        (first ^ second.rotate_left(29) ^ third.rotate_left(43)).wrapping_mul(0x9fb7_5cc4_5796_8b53)
    }

    #[inline]
    pub(super) const fn equals(self, other: Self) -> bool {
        let (Self(a), Self(b)) = (self, other);
        a[0] == b[0] && a[1] == b[1] && a[2] == b[2]
    }
}

/// Up to eight bytes without their case. Of five to seven, some are read twice, and come to the same place.
#[inline]
const fn word(bytes: &[u8]) -> u64 {
    let word = match (bytes.first_chunk(), bytes.first_chunk(), bytes.last_chunk()) {
        (Some(all), _, _) => u64::from_le_bytes(*all),
        (_, Some(first), Some(last)) => {
            u32::from_le_bytes(*first) as u64 | (u32::from_le_bytes(*last) as u64) << (8 * (bytes.len() - 4))
        }
        _ => match *bytes {
            [a, b, c] => a as u64 | (b as u64) << 8 | (c as u64) << 16,
            [a, b] => a as u64 | (b as u64) << 8,
            [a] => a as u64,
            _ => 0,
        },
    };
    word & FOLD
}

#[cfg(test)]
mod tests;
