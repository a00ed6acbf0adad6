//! Numbers as `INCRBYFLOAT` counts with them: C's `long double` on the machines that Redis runs on, of 64 bits of
//! mantissa.
//!
//! An `f64` would show other digits than Redis does: 0.1 and 0.2 make 0.3 there.

mod natural;

use super::args::sign;
use natural::Natural;

/// The longest text of a number, as in Redis (`MAX_LONG_DOUBLE_CHARS`).
const LONGEST: usize = 5 * 1024;

/// Of the last bit of the smallest number.
const LEAST_EXPONENT: i64 = -16_445;
/// No number has a bit of this exponent.
const TOO_LARGE: i64 = 16_384;

/// Digits behind the point of a number's text.
const FRACTION_DIGITS: usize = 17;
const TEN_TO_THE_FRACTION: u128 = 10_u128.pow(17);

#[derive(Clone, Copy, Debug)]
pub(super) enum LongDouble {
    Infinite {
        negative: bool,
    },
    /// `mantissa` times 2 to the power of `exponent`; the mantissa's highest bit is set, unless the exponent is the
    /// least.
    Finite {
        negative: bool,
        mantissa: u64,
        exponent: i64,
    },
}

impl LongDouble {
    pub(super) const ZERO: Self = Self::Finite { negative: false, mantissa: 0, exponent: LEAST_EXPONENT };

    /// Reads a text as `strtold` does; none if it is not all a number, or one that is too large or too small.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        if text.len() >= LONGEST {
            return None;
        }
        let (negative, digits) = sign(text);
        if digits.eq_ignore_ascii_case(b"inf") || digits.eq_ignore_ascii_case(b"infinity") {
            return Some(Self::Infinite { negative });
        }
        let number = match digits {
            [b'0', b'x' | b'X', digits @ ..] => Scanned::read(digits, 16, b'p')?,
            digits => Scanned::read(digits, 10, b'e')?,
        };
        number.value(negative).filter(|value| value.is_finite())
    }

    pub(super) fn is_finite(self) -> bool {
        matches!(self, Self::Finite { .. })
    }

    pub(super) fn is_positive(self) -> bool {
        matches!(self, Self::Infinite { negative: false } | Self::Finite { negative: false, mantissa: 1.., .. })
    }

    /// The sum; none of two opposite infinities.
    pub(super) fn plus(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Infinite { negative: a }, Self::Infinite { negative: b }) => (a == b).then_some(self),
            (Self::Infinite { .. }, _) => Some(self),
            (_, Self::Infinite { .. }) => Some(other),
            (
                Self::Finite { negative, mantissa, exponent },
                Self::Finite { negative: other_negative, mantissa: other_mantissa, exponent: other_exponent },
            ) => {
                let (ours, theirs) = ((negative, mantissa, exponent), (other_negative, other_mantissa, other_exponent));
                Some(if exponent >= other_exponent { sum(ours, theirs) } else { sum(theirs, ours) })
            }
        }
    }

    /// As Redis writes it: 17 digits behind the point, without the zeros at the end.
    pub(super) fn text(self) -> String {
        let (negative, mantissa, exponent) = match self {
            Self::Infinite { negative } => return if negative { "-inf" } else { "inf" }.to_owned(),
            Self::Finite { negative, mantissa, exponent } => (negative, mantissa, exponent),
        };
        let digits = if exponent >= 0 {
            let whole = Natural::from(mantissa).shifted(usize::try_from(exponent).unwrap_or(0));
            format!("{}{}", whole.decimal(), "0".repeat(FRACTION_DIGITS))
        } else {
            let scaled = u128::from(mantissa) * TEN_TO_THE_FRACTION;
            halved(scaled, exponent.unsigned_abs(), false).to_string()
        };
        let digits = format!("{digits:0>width$}", width = FRACTION_DIGITS + 1);
        let (whole, fraction) = digits.split_at(digits.len() - FRACTION_DIGITS);
        let text = format!("{whole}.{fraction}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        if negative && text != "0" { format!("-{text}") } else { text.to_owned() }
    }
}

/// The first has the higher exponent.
fn sum(high: (bool, u64, i64), low: (bool, u64, i64)) -> LongDouble {
    /// As far as the higher one can be moved with a bit to spare.
    const ROOM: i64 = 62;
    let (negative, high, high_exponent) = high;
    let (low_negative, low, low_exponent) = low;
    let apart = high_exponent - low_exponent;
    let left = apart.min(ROOM);
    let high = u128::from(high) << left;
    let right = u32::try_from(apart - left).unwrap_or(u32::MAX);
    let moved = u128::from(low).checked_shr(right).unwrap_or(0);
    // What is lost here lies far below the last bit of the sum.
    let rest = moved.checked_shl(right).unwrap_or(0) != u128::from(low);
    let exponent = high_exponent - left;
    if negative == low_negative {
        return rounded(negative, high + moved, exponent, rest);
    }
    match high.cmp(&moved) {
        std::cmp::Ordering::Equal => LongDouble::ZERO,
        std::cmp::Ordering::Greater => rounded(negative, high - moved - u128::from(rest), exponent, rest),
        std::cmp::Ordering::Less => rounded(low_negative, moved - high, exponent, rest),
    }
}

/// The nearest number that there is, the even one of two; `rest`: it is a little more than that.
fn rounded(negative: bool, mantissa: u128, exponent: i64, rest: bool) -> LongDouble {
    let bits = i64::from(u128::BITS - mantissa.leading_zeros());
    let drop = (bits - 64).max(LEAST_EXPONENT - exponent);
    let (mut mantissa, mut exponent) = match u64::try_from(drop) {
        Ok(drop @ 1..) => (halved(mantissa, drop, rest), exponent + drop.cast_signed()),
        // It has fewer bits than there is room for, so that there is no rest.
        _ => (mantissa, exponent),
    };
    if mantissa > u128::from(u64::MAX) {
        (mantissa, exponent) = (mantissa >> 1, exponent + 1);
    }
    let spare = i64::from(u128::BITS - 64).min(i64::from(mantissa.leading_zeros()) - 64);
    let up = spare.min(exponent - LEAST_EXPONENT).max(0);
    (mantissa, exponent) = (mantissa << up, exponent - up);
    if exponent + 64 > TOO_LARGE && mantissa > 0 {
        return LongDouble::Infinite { negative };
    }
    // At most 64 bits are left.
    LongDouble::Finite { negative, mantissa: u64::try_from(mantissa).unwrap_or(u64::MAX), exponent }
}

/// Divides by 2 to the power of `times`, to the nearest, the even one of two; `rest`: it is a little more than that.
fn halved(number: u128, times: u64, rest: bool) -> u128 {
    if times > 128 {
        return 0;
    }
    // Of 128 times, only the rounding is left.
    let whole = if times == 128 { 0 } else { number >> times };
    let half = 1 << (times - 1);
    let over = number - if times == 128 { 0 } else { whole << times };
    let up = over > half || over == half && (rest || whole % 2 == 1);
    whole + u128::from(up)
}

/// The digits of a number, and the power of its base or of 2 that they are multiplied with.
struct Scanned {
    digits: Natural,
    /// How many digits there are from the first that is not zero.
    length: i64,
    base: u32,
    /// Digits behind the point.
    behind: i64,
    exponent: i64,
}

impl Scanned {
    fn read(text: &[u8], base: u32, marker: u8) -> Option<Self> {
        let end = text.iter().position(|byte| byte.to_ascii_lowercase() == marker).unwrap_or(text.len());
        let exponent = match text.get(end + 1..) {
            None => 0,
            Some(text) => exponent(text)?,
        };
        let (mut digits, mut length, mut behind, mut seen) = (Natural::default(), 0, None, false);
        for byte in &text[..end] {
            match (byte, char::from(*byte).to_digit(base)) {
                (b'.', _) if behind.is_none() => behind = Some(0),
                (_, Some(digit)) => {
                    digits.times_plus(base, digit);
                    length += i64::from(length > 0 || digit > 0);
                    behind = behind.map(|behind| behind + 1);
                    seen = true;
                }
                _ => return None,
            }
        }
        seen.then(|| Self { digits, length, base, behind: behind.unwrap_or(0), exponent })
    }

    /// None if it is too small, though not zero.
    fn value(self, negative: bool) -> Option<LongDouble> {
        if self.length == 0 {
            return Some(LongDouble::Finite { negative, mantissa: 0, exponent: LEAST_EXPONENT });
        }
        // What is far beyond the limits is not computed: every digit of either base is more than a bit.
        let place = self.exponent.saturating_add(self.length - self.behind);
        if place.saturating_abs() > TOO_LARGE * 8 {
            return (place > 0).then_some(LongDouble::Infinite { negative });
        }
        let mut number = self.digits;
        let mut divisor = Natural::from(1);
        let mut twos = 0;
        if self.base == 10 {
            let power = self.exponent - self.behind;
            let scaled = if power >= 0 { &mut number } else { &mut divisor };
            (0..power.unsigned_abs()).for_each(|_| scaled.times_plus(10, 0));
        } else {
            twos = self.exponent - self.behind * 4;
        }
        let (quotient, exponent, rest) = number.divided(&divisor);
        let value = rounded(negative, quotient, exponent + twos, rest);
        let vanished = matches!(value, LongDouble::Finite { mantissa: 0, .. });
        (!vanished).then_some(value)
    }
}

/// A power that is beyond all limits is cut to one that is, too.
fn exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = sign(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = str::from_utf8(digits).ok()?.parse().unwrap_or(i64::from(u32::MAX));
    Some(if negative { -number } else { number })
}

#[cfg(test)]
mod tests;
