//! Commands that people type: a line of words, of which those with spaces are in quotes.

/// The words; none if a quote is not closed, or not followed by a space.
pub(super) fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line.trim_ascii_start();
    while !rest.is_empty() {
        let mut word = Vec::new();
        while let [byte, after @ ..] = rest {
            rest = match byte {
                byte if byte.is_ascii_whitespace() => break,
                b'"' | b'\'' => quoted(after, *byte, &mut word)?,
                byte => {
                    word.push(*byte);
                    after
                }
            };
        }
        words.push(word);
        rest = rest.trim_ascii_start();
    }
    Some(words)
}

/// Reads up to the quote that ends the word; returns what follows it.
fn quoted<'a>(text: &'a [u8], quote: u8, word: &mut Vec<u8>) -> Option<&'a [u8]> {
    let mut rest = text;
    loop {
        let (byte, after) = match rest {
            [] => return None,
            [end, after @ ..] if *end == quote => {
                let ends = after.first().is_none_or(u8::is_ascii_whitespace);
                return ends.then_some(after);
            }
            [b'\\', b'\'', after @ ..] if quote == b'\'' => (b'\'', after),
            [b'\\', b'x', high, low, after @ ..] if quote == b'"' && is_hex(*high) && is_hex(*low) => {
                (digit(*high) * 16 + digit(*low), after)
            }
            [b'\\', byte, after @ ..] if quote == b'"' => (escaped(*byte), after),
            [byte, after @ ..] => (*byte, after),
        };
        word.push(byte);
        rest = after;
    }
}

fn is_hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

fn digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        _ => byte.to_ascii_lowercase().saturating_sub(b'a') + 10,
    }
}

fn escaped(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        byte => byte,
    }
}

#[cfg(test)]
mod tests;
