use super::*;
use proptest::{collection::vec, prelude::*};
use redis::{ServerError, ServerErrorKind};

fn address(port: u16) -> NodeAddress {
    NodeAddress::new("n", port)
}

fn gathered(aggregate: Aggregate, outcomes: Vec<RedisResult<Value>>) -> RedisResult<Value> {
    let addresses: Vec<_> = (1..).take(outcomes.len()).map(address).collect();
    let replies = addresses.iter().zip(outcomes).map(|(by, outcome)| PartialReply { about: About::Node(by), outcome });
    gather(aggregate, replies.collect())
}

fn of(aggregate: Aggregate, values: &[Value]) -> RedisResult<Value> {
    gathered(aggregate, values.iter().cloned().map(Ok).collect())
}

fn text(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

fn ints(ints: &[i64]) -> Value {
    Value::Array(ints.iter().copied().map(Value::Int).collect())
}

fn server_error(line: &str) -> ServerError {
    match redis::parse_redis_value(format!("-{line}\r\n").as_bytes()) {
        Ok(Value::ServerError(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn refused() -> Value {
    Value::ServerError(server_error("NOTBUSY No scripts in execution right now."))
}

fn lost() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::BrokenPipe).into()
}

const ALL: [Aggregate; 10] = [
    Aggregate::FirstSuccess,
    Aggregate::FirstNonEmpty,
    Aggregate::AllSucceeded,
    Aggregate::Sum,
    Aggregate::Min,
    Aggregate::Max,
    Aggregate::And,
    Aggregate::Arrays,
    Aggregate::Maps,
    Aggregate::ByNode,
];

#[test]
fn numbers_are_put_together() {
    let numbers = [Value::Int(3), Value::Int(-1), Value::Int(7)];
    assert_eq!(of(Aggregate::Sum, &numbers), Ok(Value::Int(9)));
    assert_eq!(of(Aggregate::Min, &numbers), Ok(Value::Int(-1)));
    assert_eq!(of(Aggregate::Max, &numbers), Ok(Value::Int(7)));
    for wrong in [&[Value::Int(1), text("1")][..], &[Value::Int(i64::MAX), Value::Int(1)]] {
        assert_eq!(of(Aggregate::Sum, wrong).unwrap_err().kind(), ErrorKind::UnexpectedReturnType);
    }
}

#[test]
fn truths_are_put_together_place_by_place() {
    assert_eq!(of(Aggregate::And, &[ints(&[1, 0, 1]), ints(&[1, 1, 0])]), Ok(ints(&[1, 0, 0])));
    assert_eq!(of(Aggregate::And, &[Value::Array(vec![Value::Boolean(true)]), ints(&[1])]), Ok(ints(&[1])));
    for wrong in
        [&[ints(&[1]), ints(&[1, 1])][..], &[ints(&[]), ints(&[1])], &[Value::Int(1)], &[Value::Array(vec![text("1")])]]
    {
        assert_eq!(of(Aggregate::And, wrong).unwrap_err().kind(), ErrorKind::UnexpectedReturnType, "{wrong:?}");
    }
}

#[test]
fn lists_follow_each_other_or_the_caller_s_keys() {
    assert_eq!(of(Aggregate::Arrays, &[ints(&[1, 2]), ints(&[]), ints(&[3])]), Ok(ints(&[1, 2, 3])));
    let set = |number| Value::Set(vec![Value::Int(number)]);
    assert_eq!(of(Aggregate::Arrays, &[set(1), set(2)]), Ok(Value::Set(vec![Value::Int(1), Value::Int(2)])));
    assert_eq!(of(Aggregate::Arrays, &[set(1), ints(&[2])]), Ok(ints(&[1, 2])));
    assert!(of(Aggregate::Arrays, &[Value::Nil]).is_err());
    let part = |keys, outcome| PartialReply { about: About::Keys(keys), outcome };
    let parts = vec![part(&[2, 0], Ok(ints(&[12, 10]))), part(&[1], Ok(ints(&[11])))];
    assert_eq!(gather(Aggregate::Arrays, parts), Ok(ints(&[10, 11, 12])));
    let parts = vec![part(&[0], Ok(ints(&[1, 2]))), part(&[1], Ok(ints(&[])))];
    assert_eq!(gather(Aggregate::Arrays, parts).unwrap_err().kind(), ErrorKind::UnexpectedReturnType);
}

#[test]
fn maps_have_the_sums() {
    let flat = Value::Array(vec![text("a"), Value::Int(1), text("b"), Value::Int(2)]);
    let map = Value::Map(vec![(text("b"), Value::Int(3)), (Value::SimpleString("c".to_owned()), Value::Int(4))]);
    let sums = [("a", 1), ("b", 5), ("c", 4)].map(|(key, sum)| (text(key), Value::Int(sum)));
    assert_eq!(of(Aggregate::Maps, &[flat, map]), Ok(Value::Map(sums.to_vec())));
    for wrong in [
        Value::Array(vec![text("a")]),
        Value::Array(vec![text("a"), text("b")]),
        Value::Array(vec![Value::Int(1), Value::Int(1)]),
        Value::Nil,
    ] {
        assert!(of(Aggregate::Maps, &[wrong]).is_err());
    }
}

#[test]
fn one_success_is_enough_or_the_last_error_counts() {
    assert_eq!(of(Aggregate::FirstSuccess, &[refused(), Value::Okay, refused()]), Ok(Value::Okay));
    assert_eq!(of(Aggregate::FirstSuccess, &[refused(), Value::Nil]), Ok(Value::Nil));
    assert_eq!(gathered(Aggregate::FirstSuccess, vec![Err(lost()), Ok(refused())]), Ok(refused()));
}

#[test]
fn the_first_reply_that_is_there_is_taken() {
    assert_eq!(of(Aggregate::FirstNonEmpty, &[Value::Nil, refused(), text("k"), text("l")]), Ok(text("k")));
    assert_eq!(of(Aggregate::FirstNonEmpty, &[Value::Nil, Value::Nil]), Ok(Value::Nil));
    assert_eq!(of(Aggregate::FirstNonEmpty, &[Value::Nil, refused(), Value::Nil]), Ok(refused()));
    assert!(gathered(Aggregate::FirstNonEmpty, vec![Ok(Value::Nil), Err(lost())]).unwrap_err().is_io_error());
}

#[test]
fn one_failure_is_the_reply_where_all_must_succeed() {
    assert_eq!(of(Aggregate::AllSucceeded, &[Value::Okay, Value::Okay]), Ok(Value::Okay));
    for aggregate in [Aggregate::AllSucceeded, Aggregate::Sum, Aggregate::And, Aggregate::Arrays, Aggregate::Maps] {
        assert_eq!(gathered(aggregate, vec![Ok(Value::Int(1)), Ok(refused()), Err(lost())]), Ok(refused()));
        assert!(gathered(aggregate, vec![Ok(Value::Int(1)), Err(lost())]).unwrap_err().is_io_error());
    }
}

#[test]
fn replies_by_node_keep_what_each_said() {
    let [a, b] = ["n:1", "n:2"].map(text);
    let both = Value::Map(vec![(a, text("# Server")), (b, refused())]);
    assert_eq!(of(Aggregate::ByNode, &[text("# Server"), refused()]), Ok(both.clone()));
    let error = server_error("NOTBUSY No scripts in execution right now.");
    assert_eq!(gathered(Aggregate::ByNode, vec![Ok(text("# Server")), Err(error.into())]), Ok(both));
    assert!(gathered(Aggregate::ByNode, vec![Ok(Value::Okay), Err(lost())]).unwrap_err().is_io_error());
}

#[test]
fn without_a_node_there_is_no_reply() {
    for aggregate in ALL {
        assert_eq!(gather(aggregate, Vec::new()).unwrap_err().kind(), ErrorKind::ClusterConnectionNotFound);
    }
    assert_eq!(server_error("NOTBUSY x").kind(), Some(ServerErrorKind::NotBusy));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_replies_give_a_reply_or_an_error(
        aggregate in proptest::sample::select(ALL.to_vec()),
        kinds in vec((0..8_u8, any::<i64>()), 1..5),
        is_split: bool,
    ) {
        let value = |(kind, number): (u8, i64)| match kind {
            0 => Ok(Value::Int(number)),
            1 => Ok(Value::Array(vec![Value::Int(number), text("x")])),
            2 => Ok(Value::Array(vec![text("x"), Value::Int(number)])),
            3 => Ok(Value::Map(vec![(text("x"), Value::Int(number))])),
            4 => Ok(Value::Nil),
            5 => Ok(refused()),
            6 => Ok(Value::Set(vec![])),
            _ => Err(lost()),
        };
        let by = address(1);
        let keys: Vec<Vec<usize>> = (0..kinds.len()).map(|n| vec![n * 2, n * 2 + 1]).collect();
        let replies = kinds.into_iter().map(value).zip(&keys);
        let about = |keys| if is_split { About::Keys(keys) } else { About::Node(&by) };
        _ = gather(aggregate, replies.map(|(outcome, keys)| PartialReply { about: about(keys), outcome }).collect());
    }
}
