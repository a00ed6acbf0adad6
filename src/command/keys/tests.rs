use crate::command::{profile::profile, tests::cmd};

fn keys(line: &str) -> String {
    let cmd = cmd(line);
    let keys: Vec<_> = profile(&cmd).keys(&cmd).map(|key| str::from_utf8(key).unwrap()).collect();
    keys.join(" ")
}

#[test]
fn keys_are_where_each_kind_of_command_has_them() {
    for (line, expected) in [
        ("GET a", "a"),
        ("SET a b", "a"),
        ("PING a", ""),
        ("DEL a b c", "a b c"),
        ("MSET a 1 b 2 c 3", "a b c"),
        ("BITOP AND a b c", "a b c"),
        ("BLPOP a b 0", "a b"),
        ("RENAME a b", "a b"),
        ("OBJECT ENCODING a", "a"),
        ("object freq a", "a"),
        ("OBJECT HELP", ""),
        ("MEMORY USAGE a SAMPLES 0", "a"),
        ("MEMORY DOCTOR", ""),
        ("XGROUP CREATE a g $", "a"),
        ("XINFO STREAM a FULL", "a"),
        ("EVAL x 2 a b c", "a b"),
        ("EVALSHA x 0 a", ""),
        ("FCALL_RO x 1 a b", "a"),
        ("ZUNIONSTORE a 2 b c WEIGHTS 1 2", "a b c"),
        ("ZINTER 2 a b WITHSCORES", "a b"),
        ("BZMPOP 0 2 a b MIN", "a b"),
        ("MSETEX 2 a 1 b 2 EX 10", "a b"),
        ("TDIGEST.MERGE a 2 b c COMPRESSION 1", "a b c"),
        ("CMS.MERGE a 2 b c WEIGHTS 1 1", "a b c"),
        ("XREAD STREAMS a b 0 0", "a b"),
        ("XREAD COUNT 1 BLOCK 0 STREAMS a b 0 0", "a b"),
        ("xreadgroup GROUP streams c NOACK streams a >", "a"),
        ("XREADGROUP GROUP g STREAMS COUNT STREAMS BLOCK STREAMS STREAMS streams >", "streams"),
        ("XREAD MAXCOUNT STREAMS MAXSIZE STREAMS STREAMS a 0", "a"),
        ("SORT a", "a"),
        ("SORT a BY x GET y LIMIT 0 1 STORE b", "a b"),
        ("sort a store b STORE c", "a c"),
        ("SORT store", "store"),
        ("SORT a GET STORE BY STORE LIMIT STORE STORE GET b", "a"),
        ("SORT_RO a", "a"),
        ("GEORADIUS a 1 1 1 m STORE b", "a b"),
        ("GEORADIUSBYMEMBER a m 1 m storedist b", "a b"),
        ("GEORADIUSBYMEMBER a STORE 1 m", "a"),
        ("MIGRATE h 1 a 0 100 COPY", "a"),
        ("JSON.MGET a b c $", "a b c"),
        ("JSON.MSET a $ 1 b $ 2", "a b"),
        ("JSON.DEBUG MEMORY a", "a"),
        ("TS.MADD a 1 1 b 2 2", "a b"),
        ("TS.CREATERULE a b AGGREGATION sum 1", "a b"),
        ("TS.NRANGE 2 a b - +", "a b"),
        ("TS.READ a 0 BLOCK 0 1", "a"),
        ("HIMPORT SET a f 1", "a"),
        ("FT.AGGREGATE i *", "i"),
        ("FT.CURSOR READ i 1", "i"),
        ("FT.SEARCH i *", ""),
        ("VSIM a ELE x", "a"),
        ("SSUBSCRIBE a b", "a b"),
        ("SUNSUBSCRIBE a b", "a b"),
        ("FT.MGET i a b", "a b"),
        ("SPUBLISH a m", "a"),
        ("SUBSCRIBE a", ""),
        ("NEWS a b", "a"),
    ] {
        assert_eq!(keys(line), expected, "{line}");
    }
    let mut migrate = redis::cmd("MIGRATE");
    migrate.arg("h").arg(1).arg("").arg(0).arg(100).arg("COPY").arg("AUTH").arg("p").arg("Keys").arg("a").arg("b");
    assert!(profile(&migrate).keys(&migrate).eq([b"a", b"b"]));
    let mut cursor = redis::cmd("GET");
    cursor.cursor_arg(7);
    assert!(profile(&cursor).keys(&cursor).eq([b"0"]));
}

/// Whoever splits a command by its keys takes the rest from around them.
#[test]
fn keys_come_with_their_places_among_the_arguments() {
    for (line, expected) in [
        ("MSET a 1 b 2 c 3", &[(1, "a"), (3, "b"), (5, "c")][..]),
        ("BITOP AND a b", &[(2, "a"), (3, "b")]),
        ("ZUNIONSTORE a 2 b c WEIGHTS 1 2", &[(1, "a"), (3, "b"), (4, "c")]),
        ("SORT a STORE b", &[(1, "a"), (3, "b")]),
        ("PING a", &[]),
    ] {
        let cmd = cmd(line);
        let places = profile(&cmd).key_places(&cmd).map(|(at, key)| (at, str::from_utf8(key).unwrap()));
        assert_eq!(places.collect::<Vec<_>>(), expected, "{line}");
    }
}

#[test]
fn what_is_malformed_has_the_keys_that_can_be_made_out() {
    for (line, expected) in [
        ("GET", ""),
        ("DEL", ""),
        ("BLPOP", ""),
        ("BLPOP a", ""),
        ("RENAME a", "a"),
        ("BITOP", ""),
        ("EVAL", ""),
        ("EVAL x", ""),
        ("EVAL x -1 a", ""),
        ("EVAL x y a", ""),
        ("EVAL x 2 a", ""),
        ("EVAL x 18446744073709551615 a", ""),
        ("EVAL x 99999999999999999999999999 a", ""),
        ("MSETEX 2 a 1 b", ""),
        ("MSETEX 9223372036854775808 a 1", ""),
        ("ZUNIONSTORE", ""),
        ("ZUNIONSTORE a", "a"),
        ("ZUNIONSTORE a 9 b", "a"),
        ("XREAD", ""),
        ("XREAD COUNT", ""),
        ("XREAD STREAMS", ""),
        ("XREAD STREAMS a", ""),
        ("XREADGROUP GROUP g", ""),
        ("SORT", ""),
        ("SORT a STORE", "a"),
        ("GEORADIUS a STORE b", "a"),
        ("MIGRATE", ""),
        ("MIGRATE h 1", ""),
        ("MIGRATE h 1  0 1 KEYS", ""),
        ("JSON.MGET", ""),
        ("JSON.MGET a", ""),
        ("OBJECT", ""),
        ("NEWS", ""),
    ] {
        assert_eq!(keys(line), expected, "{line}");
    }
    let empty = redis::Cmd::new();
    assert_eq!(profile(&empty).keys(&empty).count(), 0);
}
