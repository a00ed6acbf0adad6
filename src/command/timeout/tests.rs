use crate::command::{profile, timeout::replaced};
use redis::Cmd;
use std::time::Duration;

fn cmd(line: &str) -> Cmd {
    let mut words = line.split(' ');
    let mut cmd = redis::cmd(words.next().unwrap());
    words.for_each(|word| _ = cmd.arg(word));
    cmd
}

fn line(cmd: &Cmd) -> String {
    let words = cmd.args_iter().map(|arg| match arg {
        redis::Arg::Simple(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        _ => "cursor".to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// How long it blocks in milliseconds; 0 for ever; none if that is not known.
fn limit(line: &str) -> Option<u128> {
    let cmd = cmd(line);
    profile(&cmd).blocks(&cmd).map(|blocks| blocks.limit().map_or(0, |limit| limit.as_millis()))
}

#[test]
fn timeouts_are_found_where_they_stand() {
    for (line, millis) in [
        ("BLPOP a b 1.5", 1_500),
        ("brpop a 2", 2_000),
        ("BLMOVE a b LEFT RIGHT 0.0001", 1),
        ("BRPOPLPUSH a b 0", 0),
        ("BLMOVEM a b LEFT RIGHT 2.5", 2_500),
        ("BLMOVEM a b LEFT RIGHT 0 EXACTLY 3 BULK", 0),
        ("BZMOVE a b MIN 0.25", 250),
        ("BZMOVE a b MAX 4 COUNT 9", 4_000),
        ("BZPOPMIN z 1e1", 10_000),
        ("BZPOPMAX z +5", 5_000),
        ("BLMPOP 3 1 a LEFT COUNT 2", 3_000),
        ("BZMPOP 0 1 z MIN", 0),
        ("XREAD BLOCK 700 STREAMS s $", 700),
        ("XREAD COUNT 1 block 0 STREAMS BLOCK 5", 0),
        ("XREADGROUP GROUP BLOCK 9 BLOCK 7 STREAMS s >", 7),
        ("TS.READ k 0 MAX_COUNT 9 block 100 1", 100),
        ("TS.READ k $ BLOCK 0 1 MAX_COUNT 9", 0),
        ("WAIT 1 100", 100),
        ("WAITAOF 1 1 0", 0),
    ] {
        assert_eq!(limit(line), Some(millis), "{line}");
    }
}

#[test]
fn what_redis_refuses_is_no_timeout() {
    for line in [
        "BLPOP",
        "BLPOP k -1",
        "BLPOP k inf",
        "BLPOP k nan",
        "BLPOP k 1e400",
        "BLPOP k never",
        "XREAD BLOCK 1.5 STREAMS s $",
        "XREAD BLOCK +5 STREAMS s $",
        "XREAD BLOCK 05 STREAMS s $",
        "XREAD BLOCK -1 STREAMS s $",
        "XREAD BLOCK",
        "XREAD COUNT 1 STREAMS BLOCK 5",
        "TS.READ k BLOCK 100",
        "TS.READ k 0 BLOCK soon 1",
        "WAIT 1 18446744073709551615",
        "WAIT",
        "BLMPOP",
        "GET BLOCK",
    ] {
        assert_eq!(limit(line), None, "{line}");
    }
}

/// What Redis refuses does not block, and of a command whose timeout nobody reads it is not known for how long it does.
#[test]
fn the_longest_time_is_known_of_each() {
    let never = Duration::MAX;
    for (line, longest, is_sliced) in [
        ("BLPOP k 1.5", Duration::from_millis(1_500), true),
        ("BLPOP k 0", never, true),
        ("BLPOP k -1", Duration::ZERO, true),
        ("XREAD BLOCK 7 STREAMS s $", Duration::from_millis(7), true),
        ("TS.READ k 0 BLOCK 100 1", Duration::from_millis(100), false),
        ("TS.READ k 0 BLOCK 0 1", never, false),
        ("TS.READ k 0 BLOCK soon 1", Duration::ZERO, false),
        ("SHUTDOWN", never, false),
    ] {
        let cmd = cmd(line);
        let what = profile(&cmd);
        assert_eq!((what.longest(&cmd), what.is_sliced()), (longest, is_sliced), "{line}");
    }
}

#[test]
fn another_timeout_takes_the_place_and_is_never_for_ever() {
    for (before, limit, after) in [
        ("BLPOP a b 0", 1_234_567, "BLPOP a b 1.235"),
        ("BLPOP a b 0", 0, "BLPOP a b 0.001"),
        ("BLMPOP 0 1 a LEFT", 60_000_000, "BLMPOP 60.000 1 a LEFT"),
        ("XREAD COUNT 1 BLOCK 0 STREAMS s BLOCK", 20_001, "XREAD COUNT 1 BLOCK 21 STREAMS s BLOCK"),
        ("WAIT 1 0", 1, "WAIT 1 1"),
    ] {
        let cmd = cmd(before);
        let blocks = profile(&cmd).blocks(&cmd).unwrap();
        assert_eq!(line(&blocks.with(&cmd, Duration::from_micros(limit))), after);
    }
}

#[test]
fn a_command_with_other_arguments_wants_its_reply() {
    let mut cmd = cmd("XREAD STREAMS s $");
    cmd.set_no_response(true);
    let other = replaced(&cmd, |at| (at == 3).then_some("0-0"));
    assert_eq!(line(&other), "XREAD STREAMS s 0-0");
    assert!(!other.is_no_response());
}
