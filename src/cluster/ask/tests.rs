use super::*;

/// What a reply is read as: the topology's nodes, what the server has said, or why it counts as silent.
fn read_as(outcome: Outcome) -> String {
    match read(outcome, &NodeAddress::new("asked", 1), ANSWER_WITHIN) {
        Ok(topology) => topology.primaries().iter().map(ToString::to_string).collect(),
        Err(Refused::Said(what)) => format!("said: {what}"),
        Err(Refused::Silent(error)) => {
            assert_eq!(error.kind(), ErrorKind::Timeout(Stage::Connect));
            format!("silent: {error}")
        }
    }
}

fn answered(line: &str) -> Outcome {
    Outcome::Answered(redis::parse_redis_value(line.as_bytes()).unwrap())
}

/// With `Topology::Auto`, who says that it is no cluster is a single endpoint, and who is silent is asked again.
#[test]
fn only_what_a_server_says_for_good_makes_it_no_cluster() {
    for (outcome, expected) in [
        (answered("*1\r\n*3\r\n:0\r\n:9\r\n*2\r\n$1\r\na\r\n:7\r\n"), "a:7"),
        (answered("-ERR This instance has cluster support disabled\r\n"), "said: Redis refused CLUSTER SLOTS (ERR)"),
        (answered("-NOPERM no\r\n"), "said: Redis refused CLUSTER SLOTS (NOPERM)"),
        (answered("+OK\r\n"), "said: the reply to CLUSTER SLOTS is not a list"),
        (Outcome::Unreadable(None, "a test"), "said: its reply cannot be read (a test)"),
        (answered("*0\r\n"), "silent: CLUSTER SLOTS was not answered: no node has any slots yet"),
        (answered("-LOADING\r\n"), "silent: CLUSTER SLOTS was not answered: Redis said LOADING"),
        (answered("-MASTERDOWN\r\n"), "silent: CLUSTER SLOTS was not answered: Redis said MASTERDOWN"),
        (answered("-CLUSTERDOWN\r\n"), "silent: CLUSTER SLOTS was not answered: Redis said CLUSTERDOWN"),
        (answered("-TRYAGAIN\r\n"), "silent: CLUSTER SLOTS was not answered: Redis said TRYAGAIN"),
        (answered("-BUSY\r\n"), "silent: CLUSTER SLOTS was not answered: Redis said BUSY"),
        (answered("-NOAUTH\r\n"), "silent: CLUSTER SLOTS was not answered: Redis said NOAUTH"),
        (Outcome::TimedOut, "silent: CLUSTER SLOTS was not answered: no reply within 1s"),
        (Outcome::Unsent(None), "silent: CLUSTER SLOTS was not answered: the connection was lost"),
        (Outcome::Lost("a test", "node:1".into()), "silent: CLUSTER SLOTS was not answered: the connection was lost"),
    ] {
        let shape = format!("{outcome:?}");
        let read = read_as(outcome);
        assert!(read.contains(expected), "{shape}: {read}");
    }
}
