//! Arguments of every kind, and what is none.

use super::{Command, streams};
use fastrand::Rng;

const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "5",
    "10",
    "42",
    "-7",
    "100",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775806",
    "9223372036854775808",
    "-9223372036854775809",
    "4611686018427387904",
    "+1",
    "007",
    "-0",
    "00",
    " 1",
    "1 ",
    "1.0",
    "1e3",
    "0x10",
    "",
    "abc",
    "99999999999999999999",
    "-9223372036854775807",
];

const FLOATS: &[&str] = &[
    "0.1",
    "0.2",
    "0.3",
    "1.5",
    "-1.5",
    "3",
    "10.25",
    "1e3",
    "5.0e3",
    "-5e-3",
    "1e-17",
    "1e-18",
    "1e17",
    "1e20",
    "1e308",
    "1e400",
    "1e4932",
    "-1e4932",
    "1e5000",
    "1e-5000",
    "1e-4940",
    "inf",
    "-inf",
    "+inf",
    "Infinity",
    "nan",
    "NaN",
    "0x1p3",
    "0xA",
    "+0.5",
    ".5",
    "5.",
    ".",
    "1.",
    "1e",
    "1e+",
    " 1",
    "1 ",
    "0",
    "-0",
    "-0.0",
    "3.14159265358979323846",
    "",
    "abc",
    "123456789012345678901234567890",
    "0.000000000000000001",
    "1.7976931348623157e308",
    "18446744073709551615.5",
];

const VALUES: &[&[u8]] = &[
    b"a",
    b"b",
    b"c",
    b"hello",
    b"hello world",
    b"",
    b"\x00",
    b"\xff\xfe",
    b"a\r\nb",
    b"1",
    b"2",
    b"007",
    b"-1",
    b"3.5",
    b"\xc3\xa4",
    b"x\x00y",
    b"EX",
    b"NX",
];

const PATTERNS: &[&[u8]] = &[
    b"*",
    b"**",
    b"str*",
    b"*1",
    b"?????",
    b"[a-z]*",
    b"[^s]*",
    b"s[te]*",
    b"num[1-3]",
    b"hash[3-1]",
    b"[",
    b"[^",
    b"[a-",
    b"[a-]*",
    b"\\*",
    b"str\\1",
    b"*\\",
    b"",
    b"a",
    b"*[st]*[0-9]",
    b"*?*?*",
    b"\xff*",
    b"[\x01-\xff]*",
    b"[]a]*",
    b"str[1\\]]",
    b"*********************a",
    b"nothing",
];

/// Adds an argument of this kind, or those that go together; `times` is another one each time.
pub(super) fn of_kind(kind: &str, rng: &mut Rng, times: u64, command: &mut Command) {
    let text = match kind {
        "key" | "str" | "num" | "hash" | "list" | "members" | "stream" => return command.push(key(kind, rng)),
        "value" | "field" => return command.push(pick(VALUES, rng).to_vec()),
        "pattern" => return command.push(pick(PATTERNS, rng).to_vec()),
        "number" => number(rng),
        "float" => pick(FLOATS, rng).to_string(),
        "index" => seldom_odd(rng, |rng| rng.i64(-6..6).to_string()),
        "count" => seldom_odd(rng, |rng| rng.i64(0..4).to_string()),
        "offset" => seldom_odd(rng, |rng| rng.i64(-1..40).to_string()).replace("9223372036854775", "999999999999"),
        // Nothing expires while it is looked at, and no two moments are close to each other: which one is the later
        // does not depend on when the command is run.
        "seconds" => time(rng, (times % 100_000 + 1) * 1000, true),
        "milliseconds" => time(rng, (times % 100_000 + 1) * 1_000_000, true),
        "second" => time(rng, 4_000_000_000 + (times % 100_000) * 1000, false),
        "millisecond" => time(rng, 4_000_000_000_500 + (times % 100_000) * 1_000_000, false),
        "condition" => pick(&["NX", "XX", "GT", "LT", "GT", "LT", "BOGUS", "N X"], rng).to_string(),
        "where" => pick(&["LEFT", "RIGHT", "LEFT", "RIGHT", "LEFT", "RIGHT", "UP", ""], rng).to_string(),
        "flush" => pick(&["ASYNC", "SYNC", "BOGUS", ""], rng).to_string(),
        "name" => pick(&["me", "", "a b", "a\nb", "\u{e4}", "you"], rng).to_string(),
        "switch" => pick(&["ON", "OFF", "PERHAPS"], rng).to_string(),
        "set" => return set_option(rng, times, command),
        "getex" => return getex_option(rng, times, command),
        "cursor" => {
            pick(&["0", "0", "0", "+0", "", "-1", "abc", " 0", "0x", "99999999999999999999", "007"], rng).to_string()
        }
        "scan" => return scan_option(rng, command),
        "several" => {
            let keys = rng.u8(1..4);
            command.push(seldom_odd(rng, |_| keys.to_string()).into_bytes());
            return (0..keys).for_each(|_| command.push(key("list", rng)));
        }
        "most" => {
            command.push(b"COUNT".to_vec());
            seldom_odd(rng, |rng| rng.i64(-1..4).to_string())
        }
        "patience" => pick(&["0.001", "0.002", "1e-3", "0.001", "-1", "abc", ""], rng).to_string(),
        "moment" => pick(&["1", "2", "1", "2", "-1", "abc", "0.5"], rng).to_string(),
        kind if streams::knows(kind) => return streams::of_kind(kind, rng, times, command),
        literal => literal.to_owned(),
    };
    command.push(text.into_bytes());
}

pub(super) fn junk(rng: &mut Rng) -> Vec<u8> {
    match rng.u8(..6) {
        0 => pick(NUMBERS, rng).as_bytes().to_vec(),
        1 => pick(FLOATS, rng).as_bytes().to_vec(),
        2 => pick(PATTERNS, rng).to_vec(),
        3 => {
            pick(&["NX", "XX", "GET", "EX", "KEEPTTL", "COUNT", "LEFT", "GT", "ex\0", "nx\0y"], rng).as_bytes().to_vec()
        }
        4 => key("key", rng),
        _ => pick(VALUES, rng).to_vec(),
    }
}

pub(super) fn pick<T: Copy>(all: &[T], rng: &mut Rng) -> T {
    all[rng.usize(..all.len())]
}

/// Mostly one of a few keys that hold what the command works on.
fn key(kind: &str, rng: &mut Rng) -> Vec<u8> {
    const KINDS: [&str; 6] = ["str", "num", "hash", "list", "members", "stream"];
    let kind = if KINDS.contains(&kind) && rng.u8(..) < 230 { kind } else { pick(&KINDS, rng) };
    match rng.u8(..) {
        0..4 => Vec::new(),
        4..8 => b"\xffkey\x00".to_vec(),
        _ => format!("{kind}{}", rng.u8(1..5)).into_bytes(),
    }
}

fn number(rng: &mut Rng) -> String {
    if rng.bool() { rng.i64(-100..100).to_string() } else { pick(NUMBERS, rng).to_owned() }
}

pub(super) fn seldom_odd(rng: &mut Rng, usual: impl Fn(&mut Rng) -> String) -> String {
    if rng.u8(..) < 40 { pick(NUMBERS, rng).to_owned() } else { usual(rng) }
}

/// A time that is far away, one that is over, or none.
fn time(rng: &mut Rng, far: u64, from_now: bool) -> String {
    const ODD: &[&str] = &[
        "0",
        "-1",
        "-100",
        "1",
        "1000",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775",
        "-9223372036854775",
        "9223372036854776",
        "9223370000000000",
        "+10",
        "010",
        "1.5",
        "abc",
        "",
        "99999999999999999999",
    ];
    match rng.u8(..) {
        0..50 => match pick(ODD, rng) {
            // As a moment it is over, but as a time from now on it is not.
            "1" | "1000" if from_now => far.to_string(),
            odd => odd.to_owned(),
        },
        _ => far.to_string(),
    }
}

fn set_option(rng: &mut Rng, times: u64, command: &mut Command) {
    match pick(&["NX", "XX", "GET", "KEEPTTL", "EX", "PX", "EXAT", "PXAT", "PERSIST", "BOGUS"], rng) {
        option @ ("EX" | "PX" | "EXAT" | "PXAT") => moment(option, rng, times, command),
        option => command.push(option.as_bytes().to_vec()),
    }
}

fn getex_option(rng: &mut Rng, times: u64, command: &mut Command) {
    match pick(&["PERSIST", "EX", "PX", "EXAT", "PXAT", "NX", "KEEPTTL"], rng) {
        option @ ("EX" | "PX" | "EXAT" | "PXAT") => moment(option, rng, times, command),
        option => command.push(option.as_bytes().to_vec()),
    }
}

fn moment(option: &str, rng: &mut Rng, times: u64, command: &mut Command) {
    command.push(option.as_bytes().to_vec());
    let kind = match option {
        "EX" => "seconds",
        "PX" => "milliseconds",
        "EXAT" => "second",
        _ => "millisecond",
    };
    if rng.u8(..) > 10 {
        of_kind(kind, rng, times, command);
    }
}

fn scan_option(rng: &mut Rng, command: &mut Command) {
    let (option, value) = match rng.u8(..4) {
        0 => ("MATCH", pick(PATTERNS, rng).to_vec()),
        1 => ("TYPE", pick(&["string", "HASH", "list", "set", "zset", "stream"], rng).as_bytes().to_vec()),
        2 => ("COUNT", pick(NUMBERS, rng).as_bytes().to_vec()),
        _ => ("COUNT", b"1000000".to_vec()),
    };
    command.extend([option.as_bytes().to_vec(), value]);
}
