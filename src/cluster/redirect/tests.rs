use super::*;
use proptest::prelude::*;
use redis::Value;

fn error(line: &str) -> ServerError {
    match redis::parse_redis_value(format!("-{line}\r\n").as_bytes()) {
        Ok(Value::ServerError(error)) => error,
        other => panic!("{line}: {other:?}"),
    }
}

fn here() -> NodeAddress {
    NodeAddress::new("here", 8501)
}

fn slot(number: u16) -> Slot {
    Slot::new(number).unwrap()
}

/// What `line` says to a command of slot 100.
fn of(line: &str, runs_script: bool) -> Option<Redirect> {
    Redirect::of(&error(line), Sent { slot: Some(slot(100)), runs_script, to: &here() })
}

fn moved(host: &str, port: u16) -> Redirect {
    Redirect::Moved { slot: slot(100), to: NodeAddress::new(host, port) }
}

#[test]
fn errors_that_send_a_command_elsewhere() {
    for (line, expected) in [
        ("MOVED 100 10.0.0.2:8502", moved("10.0.0.2", 8502)),
        ("MOVED 100 Two.Example:8502", moved("two.example", 8502)),
        ("MOVED 100 :8502", moved("here", 8502)),
        ("MOVED 100 ?:8502", moved("here", 8502)),
        ("MOVED 100 ::1:8502", moved("::1", 8502)),
        ("MOVED 100 [::1]:8502", moved("::1", 8502)),
        ("ASK 100 10.0.0.2:8502", Redirect::Ask { slot: slot(100), to: NodeAddress::new("10.0.0.2", 8502) }),
        ("TRYAGAIN Multiple keys request during rehashing of slot", Redirect::TryAgain),
        ("CLUSTERDOWN The cluster is down", Redirect::ClusterDown),
        ("CLUSTERDOWN The cluster is down and only accepts read commands", Redirect::ClusterDown),
        ("CLUSTERDOWN Hash slot not served", Redirect::ClusterDown),
        ("CROSSSLOT Keys in request don't hash to the same slot", Redirect::CrossSlot),
    ] {
        for runs_script in [false, true] {
            assert_eq!(of(line, runs_script).as_ref(), Some(&expected), "{line}");
        }
    }
}

#[test]
fn what_is_malformed_or_about_another_slot_is_not_followed() {
    for line in [
        "MOVED",
        "MOVED 100",
        "MOVED 100 ",
        "MOVED 100 host",
        "MOVED 100 host:0",
        "MOVED 100 host:70000",
        "MOVED 100 host:1 more",
        "MOVED 100  host:1",
        "MOVED +100 host:1",
        "MOVED -1 host:1",
        "MOVED  host:1",
        "MOVED 101 host:1",
        "MOVED 16384 host:1",
        "MOVED 65636 host:1",
        "MOVED hundred host:1",
        "ASK 101 host:1",
        "ASK 100 ho st:1",
        "ERR MOVED 100 host:1",
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "moved 100 host:1",
    ] {
        assert_eq!(of(line, false), None, "{line}");
    }
    let without_keys = Sent { slot: None, runs_script: false, to: &here() };
    assert_eq!(Redirect::of(&error("MOVED 100 host:1"), without_keys), None);
    assert_eq!(Redirect::of(&error("CLUSTERDOWN The cluster is down"), without_keys), Some(Redirect::ClusterDown));
}

#[test]
fn words_of_a_script_are_not_taken_for_redis_s() {
    for line in ["TRYAGAIN later", "TRYAGAIN", "CLUSTERDOWN of mine", "CROSSSLOT x"] {
        assert_eq!(of(line, true), None, "{line}");
        assert!(of(line, false).is_some(), "{line}");
    }
}

#[test]
fn an_error_of_the_redis_crate_is_read_as_the_server_s() {
    let sent = Sent { slot: Some(slot(100)), runs_script: false, to: &here() };
    let error = RedisError::from(error("MOVED 100 host:1"));
    assert_eq!(Redirect::of_redis_error(&error, sent), Some(moved("host", 1)));
    let io = RedisError::from(std::io::Error::other("MOVED 100 host:1"));
    assert_eq!(Redirect::of_redis_error(&io, sent), None);
}

#[test]
fn some_redirects_lead_to_a_node() {
    assert_eq!(moved("two", 2).target(), Some(&NodeAddress::new("two", 2)));
    assert_eq!(of("ASK 100 :8501", false).unwrap().target(), Some(&here()));
    assert_eq!(Redirect::TryAgain.target(), None);
}

#[test]
fn five_redirects_go_at_once_and_the_others_until_the_deadline() {
    let now = Instant::now();
    let deadline = now + Duration::from_secs(5);
    let mut budget = RedirectBudget::default();
    for _ in 0..5 {
        assert_eq!(budget.next_delay(&moved("a", 1), now, deadline), Some(Duration::ZERO));
    }
    let (mut at, mut count) = (now, 0);
    while let Some(delay) = budget.next_delay(&moved("b", 1), at, deadline) {
        assert!(delay >= FIRST_DELAY / 4 && delay <= LONGEST_DELAY, "{delay:?}");
        at += delay;
        count += 1;
    }
    assert!(at < deadline && deadline - at <= LONGEST_DELAY, "{:?} before the deadline", deadline - at);
    assert!((10..200).contains(&count), "{count} attempts in five seconds");
}

#[test]
fn what_nobody_serves_is_never_asked_for_at_once() {
    let now = Instant::now();
    let mut budget = RedirectBudget::default();
    for redirect in [Redirect::TryAgain, Redirect::ClusterDown] {
        assert!(budget.next_delay(&redirect, now, now + Duration::from_secs(5)).unwrap() > Duration::ZERO);
        assert_eq!(budget.next_delay(&redirect, now, now + FIRST_DELAY / 4), None);
    }
    // A redirect after that still goes at once, but not after the deadline.
    assert_eq!(budget.next_delay(&moved("a", 1), now, now + Duration::from_millis(1)), Some(Duration::ZERO));
    assert_eq!(budget.next_delay(&moved("a", 1), now, now), None);
    assert_eq!(budget.next_delay(&Redirect::CrossSlot, now, now + Duration::from_secs(5)), None);
}

proptest! {
    #[test]
    fn any_error_is_read_or_left(line in "(MOVED|ASK|TRYAGAIN|CLUSTERDOWN) ?[ 0-9a-z:?\\[\\].+-]{0,30}", script: bool) {
        match of(&line, script) {
            Some(Redirect::Moved { slot: found, to } | Redirect::Ask { slot: found, to }) => {
                prop_assert_eq!(found, slot(100));
                prop_assert_ne!(to.port(), 0);
            }
            Some(Redirect::CrossSlot) => prop_assert!(false),
            Some(Redirect::TryAgain | Redirect::ClusterDown) | None => {}
        }
    }
}
