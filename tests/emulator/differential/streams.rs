//! Arguments of the commands on streams.

use super::{
    Command,
    words::{pick, seldom_odd},
};
use fastrand::Rng;

const KINDS: &[&str] = &[
    "newid",
    "id",
    "start",
    "end",
    "after",
    "undelivered",
    "begin",
    "trim",
    "group",
    "consumer",
    "group_option",
    "read",
    "idle",
    "claim",
    "auto",
];

pub(super) fn knows(kind: &str) -> bool {
    KINDS.contains(&kind)
}

const ODD: &[&str] = &[
    "0",
    "0-0",
    "-",
    "+",
    "$",
    ">",
    "(",
    "(-",
    "5-",
    "-5",
    "1-2-3",
    "007-01",
    "+1-+2",
    "abc",
    "",
    " 1",
    "1-1 ",
    "18446744073709551615",
    "18446744073709551616",
    "9999999999999999999-0",
    "(0-0",
    "(18446744073709551615-18446744073709551615",
];

/// The time of ids, which goes on slowly, so that old ids are found again.
fn now(times: u64) -> u64 {
    times / 1000 + 1
}

fn id(rng: &mut Rng, times: u64) -> String {
    if rng.u8(..) < 15 {
        return pick(ODD, rng).to_owned();
    }
    let ms = now(times).saturating_sub(rng.u64(0..3));
    if rng.u8(..) < 30 { ms.to_string() } else { format!("{ms}-{}", rng.u8(0..12)) }
}

pub(super) fn of_kind(kind: &str, rng: &mut Rng, times: u64, command: &mut Command) {
    let mut words = Vec::new();
    match kind {
        "newid" => words.push(match rng.u8(..) {
            0..20 => pick(ODD, rng).replace("18446744073709551615", "1"),
            20..60 => format!("{}-{}", now(times), rng.u8(0..12)),
            60..80 => now(times).to_string(),
            _ => format!("{}-*", now(times)),
        }),
        "id" => words.push(id(rng, times)),
        "start" | "end" => words.push(match rng.u8(..) {
            0..100 => (if kind == "start" { "-" } else { "+" }).to_owned(),
            100..150 => format!("({}", id(rng, times)),
            _ => id(rng, times),
        }),
        "after" => words.push(if rng.u8(..) < 50 { pick(&["$", "0", ">"], rng).to_owned() } else { id(rng, times) }),
        "undelivered" => {
            words.push(if rng.u8(..) < 160 { ">".to_owned() } else { pick(&["0", "$", "1"], rng).to_owned() });
        }
        "begin" => words.push(if rng.u8(..) < 200 { pick(&["0", "$"], rng).to_owned() } else { id(rng, times) }),
        "trim" => {
            // Nothing is trimmed roughly here: how much that is, is each server's own business.
            let len = seldom_odd(rng, |rng| rng.u8(0..40).to_string());
            let options: [&[&str]; 8] = [
                &["MAXLEN", &len],
                &["MAXLEN", "=", &len],
                &["MAXLEN", "~", "1000000"],
                &["MINID", &id(rng, times)],
                &["MINID", "=", &id(rng, times)],
                &["LIMIT", &len],
                &["NOMKSTREAM"],
                &["NOMKSTREAM"],
            ];
            words.extend(pick(&options, rng).iter().map(|word| (*word).to_owned()));
        }
        "group" => words.push(pick(&["g1", "g1", "g1", "g2", "", "a\0b"], rng).to_owned()),
        "consumer" => words.push(pick(&["c1", "c2", "c3", ""], rng).to_owned()),
        "group_option" => {
            let read = seldom_odd(rng, |rng| rng.i64(-2..50).to_string());
            let options: [&[&str]; 4] = [&["MKSTREAM"], &["MKSTREAM"], &["ENTRIESREAD", &read], &["BOGUS"]];
            words.extend(pick(&options, rng).iter().map(|word| (*word).to_owned()));
        }
        "read" => {
            let count = seldom_odd(rng, |rng| rng.i64(-1..4).to_string());
            let options: [&[&str]; 4] = [&["COUNT", &count], &["COUNT", "1"], &["NOACK"], &["COUNT", "2"]];
            words.extend(pick(&options, rng).iter().map(|word| (*word).to_owned()));
        }
        // What was delivered just now, and what was long ago, are far from these.
        "idle" => words.push(pick(&["0", "0", "0", "-1", "1000000", "100000000000", "abc"], rng).to_owned()),
        "claim" => {
            let number = seldom_odd(rng, |rng| rng.i64(-1..5).to_string());
            let options: [&[&str]; 8] = [
                &["FORCE"],
                &["JUSTID"],
                &["RETRYCOUNT", &number],
                &["IDLE", "50000000"],
                &["TIME", "1000"],
                &["TIME", "99999999999999"],
                &["LASTID", &id(rng, times)],
                &["BOGUS"],
            ];
            words.extend(pick(&options, rng).iter().map(|word| (*word).to_owned()));
        }
        _ => {
            let count = seldom_odd(rng, |rng| rng.i64(0..4).to_string());
            let options: [&[&str]; 3] = [&["COUNT", &count], &["JUSTID"], &["COUNT", "2"]];
            words.extend(pick(&options, rng).iter().map(|word| (*word).to_owned()));
        }
    }
    command.extend(words.into_iter().map(String::into_bytes));
}
