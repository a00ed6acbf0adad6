//! The Redis protocol, as far as it takes to tell one message from the next.

/// How many bytes the message at the start of `bytes` takes; none if it is not complete yet.
pub fn message_len(bytes: &[u8]) -> Option<usize> {
    skip(bytes, 0)
}

/// The name of a command as its client sent it.
pub fn command_name(message: &[u8]) -> &[u8] {
    message.split(|byte| *byte == b'\n').nth(2).unwrap_or_default().trim_ascii_end()
}

/// Where the message ends that starts at `at`.
fn skip(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    let line = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let next = at + line + 2;
    let number = || {
        let text = str::from_utf8(&rest[1..line]).expect("a length in ASCII");
        text.parse::<i64>().expect("a length in digits")
    };
    let items = match rest[0] {
        b'$' | b'=' | b'!' => {
            // The null string has no body.
            let Ok(len) = usize::try_from(number()) else {
                return Some(next);
            };
            let end = next + len + 2;
            return (end <= bytes.len()).then_some(end);
        }
        b'*' | b'~' | b'>' => number(),
        b'%' => 2 * number(),
        _ => return Some(next),
    };
    (0..items).try_fold(next, |at, _| skip(bytes, at))
}
