use super::*;
use crate::{
    cluster::slot::Slot,
    exec::scatter::ground::{Ground, OWNED, address, cmd},
};
use redis::FromRedisValue;
use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

const SECOND: Duration = Duration::from_secs(1);

/// Nothing takes so long but what waits for its deadline, on a clock that is paused.
const PATIENCE: Duration = Duration::from_secs(10);

/// The outcomes of these commands' units.
async fn run(ground: &Ground, lines: &[&str]) -> RedisResult<Vec<RedisResult<Value>>> {
    let commands: Vec<Cmd> = lines.iter().map(|line| cmd(line)).collect();
    ground.outcomes(&ground.plan(&commands), PATIENCE).await
}

fn values<T: FromRedisValue>(outcomes: RedisResult<Vec<RedisResult<Value>>>) -> Vec<T> {
    let value = |outcome: RedisResult<Value>| redis::from_redis_value(outcome.unwrap()).unwrap();
    outcomes.unwrap().into_iter().map(value).collect()
}

/// The words of the command, as one.
fn echo(words: &str) -> String {
    format!("+{words}")
}

#[tokio::test]
async fn each_node_gets_its_units_in_order_and_the_outcomes_are_in_that_of_the_units() {
    let ground = Ground::new(64, PATIENCE, |_, words| echo(words));
    let lines = ["SET a 1", "SET b 1", "SET a 2", "SET c 1", "SET bar 1", "SET a 3"];
    assert_eq!(values::<String>(run(&ground, &lines).await), lines);
    assert_eq!(ground.said(0), ["SET b 1", "SET bar 1"]);
    assert_eq!(ground.said(1), ["SET c 1"]);
    assert_eq!(ground.said(2), ["SET a 1", "SET a 2", "SET a 3"]);
    assert_eq!(ground.core.nodes().iter().map(|node| node.pool().snapshot()[0].in_flight()).sum::<usize>(), 0);
}

/// The slot of `a` has gone to the first node.
#[tokio::test]
async fn what_is_refused_goes_to_where_it_is_sent_together_and_in_order() {
    let ground = Ground::new(64, PATIENCE, |node, words| match node {
        2 if words.contains('a') => format!("-MOVED 15495 {}", address(0)),
        _ => echo(words),
    });
    let lines = ["SET a 1", "SET foo 1", "SET a 2", "SET b 1", "SET a 3"];
    assert_eq!(values::<String>(run(&ground, &lines).await), lines);
    assert_eq!(ground.said(0), ["SET b 1", "SET a 1", "SET a 2", "SET a 3"]);
    assert_eq!(ground.said(2), ["SET a 1", "SET foo 1", "SET a 2", "SET a 3"], "nothing is sent twice to it");
}

/// The first argument is taken for the key of each, which is the second one. The guess is the third node's for all of
/// them; of the keys, `a` is the third node's, `c` the second one's and `b` the first one's.
#[tokio::test]
async fn what_is_not_known_goes_to_where_the_node_says_that_its_key_is() {
    let ground = Ground::new(64, PATIENCE, |node, words| match (node, words.chars().last()) {
        (0 | 1, Some('a')) => format!("-MOVED 15495 {}", address(2)),
        (0 | 2, Some('c')) => format!("-MOVED 7365 {}", address(1)),
        (1 | 2, Some('b')) => format!("-MOVED 3300 {}", address(0)),
        _ => echo(words),
    });
    let lines = ["NEWS x b", "NEWS x a", "NEWS x 1 c", "NEWS x 2 c"];
    assert_eq!(values::<String>(run(&ground, &lines).await), lines);
    assert_eq!(ground.said(0), ["NEWS x b"]);
    assert_eq!(ground.said(1), ["NEWS x 1 c", "NEWS x 2 c"]);
    assert_eq!(ground.said(2), lines);
    assert_eq!(ground.cluster.map().owner(Slot::of(b"x")).unwrap().address, address(2), "it was told of other slots");
}

/// The slot of `a` is on its way to the second node, and that of `foo` is there.
#[tokio::test]
async fn asking_is_sent_before_what_is_asked_for_and_nothing_else() {
    let ground = Ground::new(64, PATIENCE, |node, words| match (node, words) {
        (2, "SET {a}new 1" | "SET {a}new 2") => format!("-ASK 15495 {}", address(1)),
        (2, "SET foo 1") => format!("-MOVED 12182 {}", address(1)),
        (_, "ASKING") => "+OK".to_owned(),
        _ => echo(words),
    });
    let lines = ["SET {a}old 1", "SET {a}new 1", "SET foo 1", "SET {a}new 2", "SET c 1"];
    assert_eq!(values::<String>(run(&ground, &lines).await), lines);
    let said = ["SET c 1", "ASKING", "SET {a}new 1", "ASKING", "SET {a}new 2", "SET foo 1"];
    assert_eq!(ground.said(1), said);
    assert_eq!(ground.cluster.map().owner(Slot::of(b"a")).unwrap().address, address(2), "the map stays");
}

/// The second one would be sent to the old owner again, and overtaken by nobody there.
#[tokio::test]
async fn commands_on_one_slot_that_are_refused_in_different_words_go_one_way() {
    let ground = Ground::new(64, PATIENCE, |node, words| match (node, words) {
        (2, "SET {a}1 1") => format!("-ASK 15495 {}", address(1)),
        (2, "MSET {a}1 2 {a}2 2") => "-TRYAGAIN Multiple keys request during rehashing of slot".to_owned(),
        (_, "ASKING") => "+OK".to_owned(),
        _ => echo(words),
    });
    let lines = ["SET {a}1 1", "MSET {a}1 2 {a}2 2"];
    assert_eq!(values::<String>(run(&ground, &lines).await), lines);
    assert_eq!(ground.said(1), ["ASKING", "SET {a}1 1", "ASKING", "MSET {a}1 2 {a}2 2"]);
    assert_eq!(ground.said(2), lines);
}

#[tokio::test]
async fn what_is_not_ready_is_sent_again_and_the_rest_is_not() {
    let tries = AtomicUsize::new(0);
    let ground = Ground::new(64, PATIENCE, move |_, words| match words {
        "MGET {a}1 {a}2" if tries.fetch_add(1, SeqCst) < 3 => {
            "-TRYAGAIN Multiple keys request during rehashing of slot".to_owned()
        }
        _ => echo(words),
    });
    let lines = ["SET foo 1", "MGET {a}1 {a}2", "SET b 1"];
    assert_eq!(values::<String>(run(&ground, &lines).await), lines);
    let again = "MGET {a}1 {a}2";
    assert_eq!(ground.said(2), ["SET foo 1", again, again, again, again]);
    assert_eq!(ground.said(0), ["SET b 1"]);
}

#[tokio::test]
async fn an_error_that_is_an_answer_is_one() {
    let ground = Ground::new(64, PATIENCE, |node, words| match node {
        1 => "-WRONGTYPE Operation against a key holding the wrong kind of value".to_owned(),
        // A script's error, of another slot than that of its key.
        2 => format!("-MOVED 1 {}", address(0)),
        _ => echo(words),
    });
    let outcomes = run(&ground, &["INCR c", "EVAL script 1 a", "SET b 1"]).await.unwrap();
    let codes = outcomes.iter().map(|outcome| match outcome {
        Ok(Value::ServerError(error)) => error.code(),
        _ => "",
    });
    assert_eq!(codes.collect::<Vec<_>>(), ["WRONGTYPE", "MOVED", ""]);
    assert_eq!((0..3).map(|node| ground.said(node).len()).sum::<usize>(), 3, "each was sent once");
}

#[tokio::test]
async fn without_room_for_all_parts_none_is_sent() {
    let ground = Ground::new(2, PATIENCE, |_, words| echo(words));
    let error = run(&ground, &["SET a 1", "SET b 1", "SET c 1"]).await.unwrap_err();
    assert_eq!(Error::kind_of(&error), Some(ErrorKind::Overloaded), "{error}");
    assert_eq!((0..3).map(|node| ground.said(node).len()).sum::<usize>(), 0);
    assert_eq!(values::<String>(run(&ground, &["SET a 1", "SET b 1"]).await), ["SET a 1", "SET b 1"]);
}

/// A link that breaks takes its own units with it, whose outcome nobody knows, and leaves the others alone.
#[tokio::test(start_paused = true)]
async fn a_link_that_breaks_fails_its_own_units() {
    let ground = Ground::new(64, PATIENCE, |_, words| echo(words));
    let commands = ["SET a 1", "SET b 1", "SET c 1"].map(cmd);
    let plan = ground.plan(&commands);
    let mut run = Box::pin(ground.outcomes(&plan, SECOND));
    assert!(futures_util::poll!(&mut run).is_pending());
    // Before its driver has written anything.
    ground.nodes[1].pool().clear();
    let outcomes = run.await.unwrap();
    assert!(outcomes[0].is_ok() && outcomes[1].is_ok(), "{outcomes:?}");
    let error = outcomes[2].as_ref().unwrap_err();
    assert!(error.to_string().contains("not sent"), "{error}");
    assert!(ground.said(1).is_empty());
}

/// The node that has the slots of `a` and `foo` by what the third one says cannot be reached.
#[tokio::test(start_paused = true)]
async fn that_a_node_has_refused_it_is_the_outcome_if_it_could_not_be_sent_since() {
    let ground = Ground::new(64, PATIENCE, |node, words| match node {
        2 => format!("-MOVED {} 127.0.0.1:1", if words.contains("foo") { 12182 } else { 15495 }),
        _ => echo(words),
    });
    let outcomes = run(&ground, &["SET a 1", "SET b 1", "SET foo 1"]).await.unwrap();
    let codes = outcomes.iter().map(|outcome| match outcome {
        Ok(Value::ServerError(error)) => error.code(),
        Ok(_) => "",
        Err(error) => panic!("{error}"),
    });
    assert_eq!(codes.collect::<Vec<_>>(), ["MOVED", "", "MOVED"]);
}

/// The node leaves while they wait for a link to it, and nobody gets its slots.
#[tokio::test(start_paused = true)]
async fn what_no_node_takes_until_the_deadline_has_its_error() {
    let ground = Ground::quiet();
    ground.nodes[2].pool().clear();
    let commands = ["SET a 1", "SET foo 1"].map(cmd);
    let plan = ground.plan(&commands);
    let deadline = Instant::now() + SECOND;
    let mut run = Box::pin(ground.outcomes(&plan, SECOND));
    assert!(futures_util::poll!(&mut run).is_pending());
    ground.cluster.hand_out(&[]);
    ground.core.availability.announce();
    let outcomes = run.await.unwrap();
    assert!(Instant::now() >= deadline);
    for outcome in outcomes {
        let error = outcome.unwrap_err();
        assert!(error.is_timeout() && error.to_string().contains("has left the cluster"), "{error}");
    }
    let stats = ground.core.admission.stats();
    assert_eq!((stats.failed.timed_out, stats.unserved), (1, 1));
}

/// The slot of `a` has no owner when the pipeline is taken apart.
#[tokio::test]
async fn a_node_that_becomes_an_owner_meanwhile_gets_the_pipelines_script_first() {
    let ground = Ground::new(64, PATIENCE, |_, words| echo(words));
    let owned: Vec<_> = OWNED.into_iter().zip(ground.nodes.iter().cloned()).collect();
    ground.cluster.hand_out(&owned[..2]);
    let commands = ["SCRIPT LOAD script", "EVALSHA hash 1 a", "FLUSHALL"].map(cmd);
    let plan = ground.plan(&commands);
    let mut run = Box::pin(ground.outcomes(&plan, PATIENCE));
    assert!(futures_util::poll!(&mut run).is_pending(), "nobody has its slot");
    ground.cluster.hand_out(&owned);
    ground.core.availability.announce();
    let outcomes = run.await.unwrap();
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(ground.said(2), ["SCRIPT LOAD script", "EVALSHA hash 1 a"]);
    assert_eq!(ground.said(0), ["SCRIPT LOAD script", "FLUSHALL"]);
}

/// One that is sent the load itself anyway.
#[tokio::test]
async fn a_node_is_not_sent_a_load_twice() {
    let ground = Ground::new(64, PATIENCE, |_, words| echo(words));
    let owned: Vec<_> = OWNED.into_iter().zip(ground.nodes.iter().cloned()).collect();
    ground
        .cluster
        .hand_out(&[(0..=10_922, Arc::clone(&ground.nodes[0])), (10_923..=16_383, Arc::clone(&ground.nodes[1]))]);
    let commands = ["SCRIPT LOAD script", "EVALSHA hash 1 a"].map(cmd);
    let plan = ground.plan(&commands);
    // The third node takes the place of the second one.
    ground.cluster.hand_out(&[(0..=10_922, Arc::clone(&ground.nodes[0])), owned[2].clone()]);
    ground.outcomes(&plan, PATIENCE).await.unwrap();
    assert_eq!(ground.said(2), ["SCRIPT LOAD script", "EVALSHA hash 1 a"]);
}

#[tokio::test(start_paused = true)]
async fn what_has_no_node_when_everything_ends_says_so() {
    let ground = Ground::quiet();
    ground.nodes[2].pool().clear();
    let commands = ["SET a 1", "SET foo 1"].map(cmd);
    let plan = ground.plan(&commands);
    let deadline = Instant::now() + SECOND;
    let mut run = Box::pin(ground.outcomes(&plan, SECOND));
    assert!(futures_util::poll!(&mut run).is_pending());
    ground.cluster.hand_out(&[]);
    ground.core.availability.announce();
    assert!(futures_util::poll!(&mut run).is_pending(), "somebody may get its slots yet");
    ground.core.availability.close();
    let outcomes = run.await.unwrap();
    assert!(Instant::now() < deadline);
    for outcome in outcomes {
        assert_eq!(Error::kind_of(&outcome.unwrap_err()), Some(ErrorKind::Closed));
    }
}
