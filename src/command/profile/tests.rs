use super::*;
#[cfg(feature = "metrics")]
use crate::command::Operation;
use crate::command::{aggregate::Aggregate, lane::Effect};

fn of(line: &str) -> Profile {
    profile(&crate::command::tests::cmd(line))
}

#[test]
fn reads_are_told_from_everything_else() {
    for (name, reads) in [
        ("get", true),
        ("MGET", true),
        ("ZSCORE", true),
        ("GETDEL", false),
        ("GETEX", false),
        ("SET", false),
        ("EVAL_RO", false),
        ("", false),
        ("json.get", true),
        ("JSON.SET", false),
        ("NEWS", false),
    ] {
        assert_eq!(profile(&redis::cmd(name)).only_reads(), reads, "{name}");
    }
    assert!(!profile(&Cmd::new()).only_reads());
}

#[test]
fn nothing_is_told_from_what_is_not_known() {
    assert_eq!(profile(&Cmd::new()).lane(), Lane::Empty);
    let long = "A-NAME-LONGER-THAN-ANY-COMMAND-THAT-THERE-IS";
    for name in ["", "NEWS", "GE", "GETS", "CLIENTID", "\u{0}", "G\u{45}\u{301}T", long] {
        let unknown = profile(redis::cmd(name).arg("key").arg("value"));
        assert_eq!((unknown.lane(), unknown.fan_out()), (Lane::Shared, FanOut::One), "{name}");
        assert_eq!(unknown.full_name(), "");
        assert!(unknown.guesses_keys(), "{name}");
    }
    assert!(!of("GET a").guesses_keys() && !of("PING").guesses_keys() && !profile(&Cmd::new()).guesses_keys());
    let mut cursor = Cmd::new();
    cursor.cursor_arg(0).arg("GET");
    assert_eq!(profile(&cursor).lane(), Lane::Shared);
}

#[test]
fn words_behind_the_name_count_where_they_have_rows() {
    let lane = |line| of(line).lane();
    assert_eq!(lane("Client Reply off"), Lane::Refused(Effect::ChangesState));
    assert_eq!(lane("CLIENT KILL"), Lane::Shared);
    assert_eq!(lane("GET REPLY"), Lane::Shared);
    assert_eq!(lane("CONFIG REPLY"), Lane::Shared, "it is no subcommand of this one");
    assert_eq!(lane("XREAD BLOCK 0 STREAMS s $"), Lane::Own(Effect::Blocks));
    assert_eq!(lane("HIMPORT PREPARE f"), Lane::Own(Effect::ChangesState));
    assert_eq!(lane("HIMPORT SET k f 1"), Lane::Own(Effect::ChangesState));
    assert_eq!(lane("TS.READ k 0 MAX_COUNT 9 block 100 1"), Lane::Own(Effect::Blocks));
    assert_eq!(lane("TS.READ block block MAX_COUNT block"), Lane::Shared);
    assert_eq!(lane("XREAD MAXCOUNT BLOCK MAXSIZE BLOCK STREAMS BLOCK 0"), Lane::Shared);
    let fan_out = |line| of(line).fan_out();
    assert_eq!(fan_out("script load x"), FanOut::Primaries(Aggregate::AllSucceeded));
    assert_eq!(fan_out("SCRIPT EXISTS x"), FanOut::Primaries(Aggregate::And));
    assert_eq!(fan_out("SCRIPT"), FanOut::One);
    assert_eq!(fan_out("CONFIG GET x"), FanOut::One);
    assert_eq!(fan_out("CLUSTER COUNTKEYSINSLOT 7"), FanOut::Slot(2));
    let in_parts = |last, each, gather| FanOut::Split { each, last, gather };
    assert_eq!(fan_out("MGET a b"), in_parts(false, 1, Aggregate::Arrays));
    assert_eq!(fan_out("MSET a 1 b 2"), in_parts(false, 2, Aggregate::AllSucceeded));
    assert_eq!(fan_out("JSON.MGET a b $"), in_parts(true, 1, Aggregate::Arrays), "the path goes with each part");
}

#[test]
fn options_are_no_part_of_a_name() {
    for (line, name) in [
        ("client kill x", "CLIENT"),
        ("client setname x", "CLIENT SETNAME"),
        ("xread block 0 streams s $", "XREAD"),
        ("xreadgroup group g c block 0 streams s >", "XREADGROUP"),
        ("shutdown now", "SHUTDOWN"),
        ("script debug yes", "SCRIPT DEBUG"),
        ("Host: example.com", "HOST:"),
    ] {
        assert_eq!(of(line).full_name(), name, "{line}");
    }
}

#[cfg(feature = "metrics")]
#[test]
fn operations_go_by_the_name_alone() {
    let operation = |line| of(line).operation().map(|(name, _)| name);
    for (line, name) in [
        ("get k", Some("GET")),
        ("HGetAll k", Some("HGETALL")),
        ("json.get k", Some("JSON.GET")),
        ("client setname x", Some("CLIENT")),
        ("xread block 0 streams s $", Some("XREAD")),
        ("shutdown now", Some("SHUTDOWN")),
        ("GE", None),
    ] {
        assert_eq!(operation(line), name, "{line}");
    }
    assert_eq!(profile(&Cmd::new()).operation(), None);
    // What is no single command is counted behind all rows, and there is no place more than that.
    let whole = [Operation::Pipeline, Operation::Transaction].map(|whole| whole.name_and_place().unwrap());
    assert_eq!(whole, [("PIPELINE", table::LEN), ("MULTI", table::LEN + 1)]);
    assert_eq!(Operation::PLACES, table::LEN + 2);
    let [get, set, multi] = ["GET", "SET", "MULTI"].map(|name| of(name).operation().unwrap().1);
    assert!(get != set && set != multi && multi != get && get.max(set).max(multi) < table::LEN);
}
