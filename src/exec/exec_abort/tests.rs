use super::*;
use std::time::Duration;
use tokio::time::timeout;

const NOPERM: &str = "NOPERM this user has no permissions to run the 'multi' command";

/// The error of a transaction of `commands` commands, of which the replies at these places are these errors.
async fn error(commands: usize, errors: &[(usize, &str)], sent: bool) -> RedisError {
    let error = |line: &str| match redis::parse_redis_value(format!("-{line}\r\n").as_bytes()) {
        Ok(Value::ServerError(error)) => error,
        other => panic!("{other:?}"),
    };
    let errors = errors.iter().map(|(place, line)| (*place, error(line))).collect();
    let outcome = timeout(Duration::from_secs(10), aborted(commands, Refused { errors, sent })).await;
    outcome.expect("nothing is waited for").unwrap_err()
}

#[tokio::test]
async fn what_redis_refused_to_queue_aborts_as_in_the_redis_crate() {
    let error = error(3, &[(2, "ERR unknown command 'X'"), (4, "EXECABORT because of previous errors.")], true).await;
    assert_eq!(error.code(), Some("EXECABORT"));
    let errors = error.into_server_errors().unwrap();
    assert_eq!(errors.iter().map(|(index, error)| (*index, error.code())).collect::<Vec<_>>(), [(1, "ERR")]);
}

#[tokio::test]
async fn a_long_transaction_with_long_errors_is_replayed_whole() {
    let text = format!("ERR {}", "x".repeat(3000));
    let errors: Vec<_> = (1..=500).map(|place| (place, text.as_str())).collect();
    let error = error(10_000, &errors, true).await;
    assert_eq!(error.into_server_errors().unwrap().len(), 500);
}

#[tokio::test]
async fn an_exec_that_is_refused_alone_is_the_error() {
    let error = error(2, &[(3, "NOPERM this user has no permissions to run the 'exec' command")], true).await;
    assert_eq!(error.code(), Some("NOPERM"));
}

#[tokio::test]
async fn without_multi_the_error_says_what_became_of_the_commands() {
    let exec = "ERR EXEC without MULTI";
    let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
    for (commands, errors, sent, expected) in [
        (3, vec![(0, NOPERM), (4, exec)], true, "its commands ran one by one, all 3 of them"),
        (2, vec![(0, NOPERM), (1, NOPERM), (2, NOPERM), (3, exec)], true, "none of its 2 commands ran"),
        (5, vec![(0, NOPERM), (2, wrong), (6, exec)], true, "4 of 5 of them (index 0, 2-4); one was answered with"),
        (4, vec![(0, NOPERM), (1, wrong), (4, wrong)], true, "2 of 4 of them (index 1-2); 2 were answered with"),
        (2, vec![(0, NOPERM)], false, "none of its 2 commands was sent"),
        (1, vec![(0, "LOADING Redis is loading")], true, "its commands ran one by one, all 1 of them"),
        (0, vec![(0, NOPERM), (1, exec)], true, "MULTI was refused"),
    ] {
        let error = error(commands, &errors, sent).await;
        let (shown, code) = (error.to_string(), errors[0].1.split(' ').next());
        assert!(shown.contains(expected), "{shown}");
        assert_eq!(error.code(), code);
        assert!(shown.contains("MULTI was refused") && is_without_multi(&error), "{shown}");
    }
}

#[tokio::test]
async fn what_refuses_everything_for_now_stays_as_redis_says_it() {
    let noauth = "NOAUTH Authentication required.";
    for (commands, errors, sent) in [
        (2, vec![(0, noauth), (1, noauth), (2, noauth), (3, noauth)], true),
        (2, vec![(0, noauth), (1, noauth)], false),
        (1, vec![(0, "LOADING Redis"), (1, "LOADING Redis"), (2, "ERR EXEC without MULTI")], true),
    ] {
        let error = error(commands, &errors, sent).await;
        assert!(!is_without_multi(&error), "{error}");
        let (code, detail) = errors[0].1.split_once(' ').unwrap();
        assert_eq!((error.code(), error.detail()), (Some(code), Some(detail)));
    }
    // One that ran makes it another matter.
    let error = error(2, &[(0, noauth), (2, noauth), (3, noauth)], true).await;
    assert!(is_without_multi(&error), "{error}");
}
