use super::*;
use crate::{
    cluster::slot::Slot,
    error::{Error, ErrorKind, Stage},
    exec::scatter::ground::{Ground, KEYS, PAIRS, address, reply},
};

fn share(unit: usize, keys: &[usize]) -> Share {
    Share { unit, keys: keys.to_vec() }
}

/// A command in two parts, of keys 0 and 2, and of key 1.
fn in_parts(gather: Aggregate, layout: Layout, writes: bool) -> Assembly {
    Assembly::Parts { gather, layout, writes, shares: vec![share(0, &[0, 2]), share(1, &[1])] }
}

async fn assembled(assembly: Assembly, mut outcomes: Vec<RedisResult<Value>>) -> RedisResult<Value> {
    let ground = Ground::quiet();
    assembly.assemble(&mut outcomes, &ground.cluster, Instant::now()).await
}

fn timed_out() -> RedisError {
    Error::new(ErrorKind::Timeout(Stage::Command), "no reply from Redis at node:1 within 5s").into()
}

fn unsent() -> RedisError {
    Error::new(ErrorKind::Timeout(Stage::Command), "no connection to node:1; it was not sent").not_run().into()
}

#[tokio::test]
async fn elements_come_in_the_order_of_the_keys() {
    let parts = in_parts(Aggregate::Arrays, KEYS, false);
    let outcomes = vec![Ok(reply("*2\r\n:0\r\n:2")), Ok(reply("*1\r\n:1"))];
    assert_eq!(assembled(parts, outcomes).await.unwrap(), reply("*3\r\n:0\r\n:1\r\n:2"));
}

#[tokio::test]
async fn numbers_are_added() {
    let parts = in_parts(Aggregate::Sum, KEYS, true);
    assert_eq!(assembled(parts, vec![Ok(Value::Int(2)), Ok(Value::Int(1))]).await.unwrap(), Value::Int(3));
}

#[tokio::test]
async fn of_a_write_that_fails_in_part_each_key_has_its_fate() {
    // The keys of MSET are its arguments 1, 3, 5.
    let set = || in_parts(Aggregate::AllSucceeded, PAIRS, true);
    let ok = || Ok(reply("+OK"));
    for (outcomes, words) in [
        (
            vec![Err(timed_out()), ok()],
            ["done for the key at argument 3", "may have been done for the keys at arguments 1, 5"],
        ),
        (vec![ok(), Err(unsent())], ["done for the keys at arguments 1, 5", "not done for the key at argument 3"]),
    ] {
        let error = assembled(set(), outcomes).await.unwrap_err();
        assert!(error.is_timeout(), "{error}");
        assert!(words.iter().all(|words| error.to_string().contains(words)), "{error}");
    }
    // What Redis itself has refused stays an answer of its, with its code.
    let refused = || Ok(reply("-OOM command not allowed"));
    let Value::ServerError(error) = assembled(set(), vec![ok(), refused()]).await.unwrap() else {
        panic!("it was refused");
    };
    assert_eq!(error.code(), "OOM");
    let details = error.details().unwrap();
    assert!(details.contains("done for the keys at arguments 1, 5"), "{details}");
    assert!(details.contains("not done for the key at argument 3"), "{details}");
    // There is nothing to tell apart if all of it has failed, and a read leaves nothing behind.
    for (assembly, outcomes) in [
        (set(), vec![Err(unsent()), Err(unsent())]),
        (in_parts(Aggregate::Arrays, KEYS, false), vec![Err(unsent()), Ok(reply("*1\r\n:1"))]),
    ] {
        assert_eq!(assembled(assembly, outcomes).await.unwrap_err().to_string(), unsent().to_string());
    }
}

#[tokio::test]
async fn of_all_nodes_one_error_is_the_reply() {
    let nodes = |gather| Assembly::Nodes { gather, shares: vec![(0, address(0)), (1, address(1))] };
    let sizes = vec![Ok(Value::Int(2)), Ok(Value::Int(40))];
    assert_eq!(assembled(nodes(Aggregate::Sum), sizes).await.unwrap(), Value::Int(42));
    let one_away = vec![Ok(Value::Int(2)), Err(unsent())];
    assert!(assembled(nodes(Aggregate::Sum), one_away).await.unwrap_err().is_timeout());
    // Where each reply stands for itself, its node is named.
    let info = vec![Ok(reply("$1\r\na")), Ok(reply("$1\r\nb"))];
    let Value::Map(named) = assembled(nodes(Aggregate::ByNode), info).await.unwrap() else {
        panic!("it is not by node");
    };
    let names: Vec<String> = named.iter().map(|(name, _)| redis::from_redis_value_ref(name).unwrap()).collect();
    assert_eq!(names, [address(0).to_string(), address(1).to_string()]);
}

#[tokio::test]
async fn a_scan_goes_on_at_the_next_node_and_ends_after_the_last() {
    let ground = Ground::quiet();
    let (deadline, map) = (Instant::now(), Arc::clone(&ground.cluster.map()));
    let mut cursor = 0;
    // One that has more to come keeps its turn.
    for (node, answered) in [(0, 7), (0, 0), (1, 0), (2, 0)] {
        let position = lock(&ground.cluster.positions).resume(cursor, &map).unwrap().unwrap();
        assert_eq!(map.owner(position.slot).unwrap().address, address(node));
        let outcome = Ok(reply(&format!("*2\r\n$1\r\n{answered}\r\n*1\r\n:{node}")));
        let scan = Assembly::Scan { unit: 0, node: None, position, map: Arc::clone(&map) };
        let answer = scan.assemble(&mut [outcome], &ground.cluster, deadline).await.unwrap();
        let (next, keys): (u64, Vec<usize>) = redis::from_redis_value(answer).unwrap();
        assert_eq!(keys, [node]);
        assert_eq!(next == 0, node == 2, "{node}: {next}");
        cursor = next;
    }
    assert!(map.get(Slot::MIN).is_some());
}

#[tokio::test]
async fn each_outcome_is_read_once_and_one_that_is_missing_is_nothing() {
    let ground = Ground::quiet();
    let mut outcomes = vec![Ok(Value::Int(1))];
    for expected in [Value::Int(1), Value::Nil] {
        let value = Assembly::One(0).assemble(&mut outcomes, &ground.cluster, Instant::now()).await.unwrap();
        assert_eq!(value, expected);
    }
    assert_eq!(assembled(Assembly::One(9), Vec::new()).await.unwrap(), Value::Nil);
    assert_eq!(assembled(Assembly::Known(Value::Okay), Vec::new()).await.unwrap(), Value::Okay);
}
