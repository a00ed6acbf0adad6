//! Patterns as in `KEYS` and `PSUBSCRIBE`: `*`, `?`, `[a-c]`, `[^x]`, `\` before a literal.

/// Whether `text` matches `pattern`, in time proportional to the product of their lengths at most.
///
/// As in Redis, nothing but the empty pattern matches the empty text.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut p, mut t) = (0, 0);
    // Where to go on when the last star has to swallow one byte more.
    let mut star: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p + 1, t));
            p += 1;
            continue;
        }
        let step = text.get(t).and_then(|byte| one(&pattern[p..], *byte));
        if let Some(used) = step {
            p += used;
            t += 1;
        } else if p == pattern.len() && t == text.len() {
            return true;
        } else if let Some((after, swallowed)) = star.filter(|(_, swallowed)| *swallowed < text.len()) {
            star = Some((after, swallowed + 1));
            (p, t) = (after, swallowed + 1);
        } else {
            return false;
        }
    }
}

/// How much of the pattern the byte uses up, if it matches.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'\\', literal, ..] => (*literal == byte).then_some(2),
        [b'[', class @ ..] => {
            let (used, matched) = in_class(class, byte);
            matched.then_some(1 + used)
        }
        [literal, ..] => (*literal == byte).then_some(1),
        [] => None,
    }
}

/// How long the class is, its closing bracket included, and whether the byte is in it.
fn in_class(class: &[u8], byte: u8) -> (usize, bool) {
    let negated = class.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut found = false;
    loop {
        match &class[at..] {
            [] => break,
            [b']', ..] => {
                at += 1;
                break;
            }
            [b'\\', literal, ..] => {
                found |= *literal == byte;
                at += 2;
            }
            // Bytes have a sign here, and a bracket may be the end of a range.
            [low, b'-', high, ..] => {
                let (low, high) = (low.cast_signed(), high.cast_signed());
                found |= (low.min(high)..=low.max(high)).contains(&byte.cast_signed());
                at += 3;
            }
            [literal, ..] => {
                found |= *literal == byte;
                at += 1;
            }
        }
    }
    (at, found != negated)
}

#[cfg(test)]
mod tests;
