//! Natural numbers of any size, as far as reading and writing a `long double` needs them.

use std::fmt::Write as _;

/// Without zeros at the end; the lowest 32 bits come first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Natural(Vec<u32>);

impl From<u64> for Natural {
    fn from(number: u64) -> Self {
        let mut natural = Self(halves(number).to_vec());
        natural.trim();
        natural
    }
}

/// The low half and the high one.
fn halves(number: u64) -> [u32; 2] {
    // Both are masked.
    let word = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    [word(number), word(number >> 32)]
}

impl Natural {
    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    pub(super) fn times_plus(&mut self, factor: u32, summand: u32) {
        let mut carry = summand;
        for word in &mut self.0 {
            [*word, carry] = halves(u64::from(*word) * u64::from(factor) + u64::from(carry));
        }
        if carry > 0 {
            self.0.push(carry);
        }
    }

    fn bits(&self) -> usize {
        self.0.last().map_or(0, |last| self.0.len() * 32 - last.leading_zeros() as usize)
    }

    /// Times 2 to the power of `places`.
    pub(super) fn shifted(&self, places: usize) -> Self {
        if self.0.is_empty() {
            return Self::default();
        }
        let mut words = vec![0; places / 32];
        let mut carry = 0;
        for word in &self.0 {
            let [low, high] = halves(u64::from(*word) << (places % 32));
            words.push(low | carry);
            carry = high;
        }
        words.push(carry);
        let mut natural = Self(words);
        natural.trim();
        natural
    }

    fn halve(&mut self) {
        let mut carry = 0;
        for word in self.0.iter_mut().rev() {
            let low = *word & 1;
            *word = (*word >> 1) | (carry << 31);
            carry = low;
        }
        self.trim();
    }

    fn is_at_least(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.0.iter().rev(), other.0.iter().rev());
        self.0.len() > other.0.len() || self.0.len() == other.0.len() && ours.ge(theirs)
    }

    /// Takes away what is not larger.
    fn subtract(&mut self, other: &Self) {
        let mut borrow = false;
        for (at, word) in self.0.iter_mut().enumerate() {
            let (rest, first) = word.overflowing_sub(other.0.get(at).copied().unwrap_or(0));
            let (rest, second) = rest.overflowing_sub(u32::from(borrow));
            (*word, borrow) = (rest, first || second);
        }
        self.trim();
    }

    /// The quotient's first 67 bits or so, the power of 2 that they are multiplied with, and whether there is a rest.
    pub(super) fn divided(&self, divisor: &Self) -> (u128, i64, bool) {
        /// Of the quotient: a mantissa's bits, and some to round with.
        const BITS: usize = 67;
        // The larger one is moved least.
        let (ours, theirs) = (self.bits(), divisor.bits());
        let (up, down) = ((theirs + BITS).saturating_sub(ours), ours.saturating_sub(theirs + BITS));
        let (mut number, mut divisor) = (self.shifted(up), divisor.shifted(down + BITS));
        let mut quotient = 0;
        for _ in 0..=BITS {
            quotient <<= 1;
            if number.is_at_least(&divisor) {
                number.subtract(&divisor);
                quotient |= 1;
            }
            divisor.halve();
        }
        // Numbers of a few thousand digits have a few thousand bits.
        let exponent = i64::try_from(down).unwrap_or(i64::MAX) - i64::try_from(up).unwrap_or(i64::MAX);
        (quotient, exponent, !number.0.is_empty())
    }

    pub(super) fn decimal(mut self) -> String {
        const BILLION: u64 = 1_000_000_000;
        let mut groups = Vec::new();
        while !self.0.is_empty() {
            let mut rest = 0;
            for word in self.0.iter_mut().rev() {
                let number = (rest << 32) | u64::from(*word);
                [*word, _] = halves(number / BILLION);
                rest = number % BILLION;
            }
            self.trim();
            groups.push(rest);
        }
        let mut text = groups.pop().unwrap_or(0).to_string();
        for group in groups.iter().rev() {
            // Writing to a string does not fail.
            _ = write!(text, "{group:09}");
        }
        text
    }
}
