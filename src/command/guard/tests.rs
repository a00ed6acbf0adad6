use super::*;
use redis::Cmd;

fn cmd(line: &str) -> Cmd {
    let mut words = line.split(' ');
    let mut cmd = redis::cmd(words.next().unwrap());
    words.for_each(|word| _ = cmd.arg(word));
    cmd
}

fn effect(cmd: &Cmd) -> Option<Effect> {
    match profile(cmd).lane() {
        Lane::Own(effect) | Lane::Refused(effect) => Some(effect),
        Lane::Shared | Lane::Empty => None,
    }
}

fn of(line: &str) -> Option<Effect> {
    effect(&cmd(line))
}

#[test]
fn commands_are_told_apart() {
    for line in ["GET k", "get", "SCRIPT LOAD x", "LPUSH BLPOP x", "SUBSCRIBERS", "A-NAME-LONGER-THAN-ANY-COMMAND 1"] {
        assert_eq!(of(line), None, "{line}");
    }
    for line in ["BLPOP k 0", "blpop k 0", "WAIT 1 0", "waitaof 1 1 0", "SHUTDOWN", "shutdown nosave force"] {
        assert_eq!(of(line), Some(Effect::Blocks), "{line}");
    }
    for line in ["SHUTDOWN ABORT", "SHUTDOWN NOSAVE now", "DEBUG SLEEP 1", "FAILOVER", "CLIENT PAUSE 100", "KEYS *"] {
        assert_eq!(of(line), None, "{line}");
    }
    for line in ["SUBSCRIBE c", "Select 1", "MULTI", "WATCH k", "AUTH u p", "script debug yes", "REPLCONF ACK 0"] {
        assert_eq!(of(line), Some(Effect::ChangesState), "{line}");
    }
    for line in ["QUIT", "post", "Host: example.com"] {
        assert_eq!(of(line), Some(Effect::Ends), "{line}");
    }
    assert_eq!(effect(&Cmd::new()), None);
}

/// It would end the server all the same.
#[test]
fn nobody_is_sent_elsewhere_to_end_the_server() {
    let error = check(profile(redis::cmd("SHUTDOWN").arg("SAVE"))).unwrap_err().to_string();
    assert!(error.contains("redis-cli") && !error.contains("dedicated"), "{error}");
}

#[test]
fn options_of_stream_reads_are_read_in_any_order() {
    for line in [
        "XREAD BLOCK 0 STREAMS s $",
        "XREAD COUNT 1 BLOCK 0 STREAMS s $",
        "xreadGROUP bLoCk 700 GROUP g c STREAMS s >",
        "XREADGROUP NOACK BLOCK 700 GROUP g c STREAMS s >",
        "XREADGROUP COUNT 1 BLOCK 700 GROUP g c STREAMS s >",
        "XREADGROUP GROUP streams c BLOCK 0 STREAMS s >",
        "xreadgroup group g streams block 0 streams s >",
        "XREADGROUP GROUP COUNT NOACK BLOCK 0 STREAMS s >",
        "XREADGROUP COUNT STREAMS BLOCK 0 GROUP g c STREAMS s >",
        "XREADGROUP CLAIM BLOCK BLOCK 0 GROUP g c STREAMS s >",
        // What a later version may bring is no reason to overlook it.
        "XREADGROUP NEWS 1 GROUP g c BLOCK 0 STREAMS s >",
    ] {
        assert_eq!(of(line), Some(Effect::Blocks), "{line}");
    }
    for line in [
        "XREAD STREAMS block 0",
        "XREADGROUP GROUP BLOCK c STREAMS s >",
        "XREADGROUP GROUP g BLOCK STREAMS s >",
        "XREADGROUP COUNT 1 GROUP BLOCK BLOCK NOACK STREAMS BLOCK >",
        "XREAD COUNT BLOCK STREAMS s $",
        "XREAD",
        "XREADGROUP GROUP",
    ] {
        assert_eq!(of(line), None, "{line}");
    }
    let mut cursor = redis::cmd("XREAD");
    cursor.arg("COUNT").cursor_arg(1).arg("BLOCK").arg(0).arg("STREAMS").arg("s").arg("$");
    assert_eq!(effect(&cursor), Some(Effect::Blocks), "a cursor stands for a value");
}

#[test]
fn what_is_of_one_connection_is_refused_by_its_full_name_with_what_to_use() {
    for (line, use_this) in [
        ("client setname secret", "Config::client_name"),
        ("CLIENT SETINFO LIB-NAME secret", "CLIENT LIST"),
        ("CLIENT ID", "CLIENT LIST"),
        ("Client Info", "stats().links"),
        ("CLIENT GETNAME", "CLIENT LIST"),
        ("CLIENT NO-EVICT secret", "EntraRedis::dedicated"),
        ("CLIENT no-touch secret", "EntraRedis::dedicated"),
        ("CLIENT REPLY secret", "set_no_response"),
        ("CLIENT TRACKING secret", "EntraRedis::dedicated"),
        ("CLIENT CACHING secret", "EntraRedis::dedicated"),
        ("CLIENT TRACKINGINFO", "EntraRedis::dedicated"),
        ("CLIENT GETREDIR", "EntraRedis::dedicated"),
        ("CLIENT CAPA secret", "EntraRedis::dedicated"),
        ("CLIENT IMPORT-SOURCE secret", "EntraRedis::dedicated"),
        ("SCRIPT DEBUG secret", "EntraRedis::dedicated"),
    ] {
        let name = line.to_ascii_uppercase().split(' ').take(2).collect::<Vec<_>>().join(" ");
        let mut pipeline = redis::pipe();
        pipeline.cmd("PING").add_command(cmd(line));
        let alone = check(profile(&cmd(line))).unwrap_err();
        for error in [alone, check_pipeline(&pipeline).unwrap_err(), check_pipeline(pipeline.atomic()).unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::Client);
            let shown = error.to_string();
            assert!(shown.contains(&format!("{name} was not sent: ")), "{shown}");
            assert!(shown.contains(use_this) && !shown.contains("secret") && !shown.contains("SECRET"), "{shown}");
        }
    }
    for line in ["LIST", "list", "KILL ID 1", "PAUSE 1", "UNPAUSE", "UNBLOCK 1", "HELP", "NONSENSE"] {
        assert_eq!(of(&format!("CLIENT {line}")), None, "{line}");
    }
    assert_eq!(of("CLIENT"), None);
}

#[test]
fn an_empty_command_has_no_place_in_a_pipeline() {
    let mut pipeline = redis::pipe();
    pipeline.cmd("PING").add_command(Cmd::new());
    assert!(check_pipeline(&pipeline).is_err());
    assert!(check_pipeline(pipeline.atomic()).is_err());
}

#[test]
fn a_pipeline_of_nothing_has_no_reply_and_a_transaction_of_nothing_has_one() {
    assert!(check_pipeline(&redis::pipe()).is_err());
    assert!(check_pipeline(redis::pipe().atomic()).is_ok());
}

#[test]
fn scripts_are_told_apart() {
    for (name, is_script) in [("EVAL", true), ("evalsha_ro", true), ("fcall", true), ("GET", false), ("EV", false)] {
        assert_eq!(profile(&redis::cmd(name)).runs_script(), is_script, "{name}");
    }
    assert!(!profile(&Cmd::new()).runs_script());
}

#[test]
fn refusals_name_the_command_and_nothing_else() {
    let error = check(profile(&cmd("auth user s3cr3t"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Client);
    let shown = error.to_string();
    assert!(shown.contains("AUTH was not sent") && !shown.contains("s3cr3t") && !shown.contains("S3CR3T"), "{shown}");
}

#[test]
fn what_no_connection_takes_is_refused_with_what_to_use() {
    for (line, use_this) in [
        ("MULTI", "redis::pipe().atomic()"),
        ("EXEC", "redis::pipe().atomic()"),
        ("DISCARD", "redis::pipe().atomic()"),
        ("WATCH k", "EntraRedis::transaction"),
        ("UNWATCH", "EntraRedis::transaction"),
        ("AUTH secret", "by the client itself"),
        ("HELLO 3", "by the client itself"),
        ("QUIT", "`shutdown`"),
        ("RESET", "`shutdown`"),
        ("POST /", "what browsers send"),
        ("Host: secret", "what browsers send"),
        ("SELECT 1", "the database 0"),
        ("SUBSCRIBE c", "EntraRedis::pubsub()"),
        ("BLPOP k 0", "on its own"),
    ] {
        let refused = check(profile(&cmd(line))).unwrap_err().to_string();
        assert!(refused.contains(use_this), "{line}: {refused}");
    }
}

#[test]
fn blocking_commands_do_not_block_in_a_transaction() {
    let mut pipeline = redis::pipe();
    pipeline.cmd("BLPOP").arg("k").arg(0);
    assert!(check_pipeline(&pipeline).is_err());
    assert!(check_pipeline(pipeline.atomic()).is_ok());
    assert!(would_block(&pipeline) && !would_block(redis::pipe().cmd("LPOP").arg("k")));
    assert!(check_pipeline(pipeline.cmd("SELECT").arg(1)).is_err());
}
