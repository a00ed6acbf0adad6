//! What clients send to the emulator.

use entra_redis::bench_api::parsers::{ParsedReply, emulator, reply};
use std::{collections::HashMap, fmt::Debug};

/// However much has come: what is found lies within it, and more changes no verdict. A request is read as it was sent.
pub fn emulator_request(data: &[u8]) {
    // Every cut of a long input would take the square of its length.
    let data = &data[..data.len().min(1024)];
    same_with_more(data, emulator::request, |(_, len)| *len);
    same_with_more(data, emulator::reply_len, |len| *len);
    if let Ok(Some((args, _))) = emulator::request(data) {
        let sent = packed(&args);
        let len = sent.len();
        assert_eq!(emulator::request(&sent), Ok(Some((args, len))));
    }
}

fn same_with_more<T: PartialEq + Debug>(
    data: &[u8],
    parse: impl Fn(&[u8]) -> Result<Option<T>, String>,
    len: impl Fn(&T) -> usize,
) {
    let mut first = None;
    for end in 0..=data.len() {
        let verdict = parse(&data[..end]);
        if let Ok(Some(found)) = &verdict {
            assert!((1..=end).contains(&len(found)), "{} of {end} bytes", len(found));
        }
        match &first {
            Some(first) => assert_eq!(first, &verdict, "another verdict with {end} bytes"),
            None if verdict == Ok(None) => {}
            None => first = Some(verdict),
        }
    }
}

fn packed(args: &[Vec<u8>]) -> Vec<u8> {
    let mut sent = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        sent.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        sent.extend_from_slice(arg);
        sent.extend_from_slice(b"\r\n");
    }
    sent
}

/// A form is read as it was written, whatever its fields hold; an assertion has an issuer or none.
pub fn emulator_form(data: &[u8]) {
    _ = emulator::form(data);
    let text = String::from_utf8_lossy(data);
    _ = emulator::issuer(&text);
    let fields: HashMap<String, String> =
        text.split('\n').filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let written: Vec<_> = fields.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect();
    assert_eq!(emulator::form(written.join("&").as_bytes()), fields);
}

fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// Whatever is asked of the emulator's own Redis, what it answers are whole replies.
pub fn emulator_commands(data: &[u8]) {
    let answers = emulator::commands(data);
    let mut rest = answers.as_slice();
    while !rest.is_empty() {
        match reply(rest) {
            ParsedReply::Whole(_, len) => rest = &rest[len..],
            other => panic!("{other:?} at {:?}", String::from_utf8_lossy(rest)),
        }
    }
}
