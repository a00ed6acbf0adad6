use super::*;
use crate::error::{ErrorKind, Stage};

fn server_error(line: &str) -> ServerError {
    match redis::parse_redis_value(format!("-{line}\r\n").as_bytes()) {
        Ok(Value::ServerError(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn mixed() -> Partial {
    let mut partial = Partial::of_keys();
    partial.add(Fate::Done, [1, 5]);
    partial.add(Fate::NotDone, [3]);
    partial.add(Fate::Done, [2, 6]);
    partial.add(Fate::Unknown, [7, 9]);
    partial
}

const FATES: &str = "it was done for the keys at arguments 1-2, 5-6, it was not done for the key at argument 3, it may \
                     have been done for the keys at arguments 7, 9";

#[test]
fn what_became_of_each_key_is_told_in_words() {
    assert_eq!(mixed().to_string(), FATES);
    let mut many = Partial::of_keys();
    many.add(Fate::Done, (1..2001).step_by(2));
    many.add(Fate::NotDone, [2]);
    let text = many.to_string();
    assert!(text.len() < 1000 && text.contains(", 199 and 900 more, it was not done"), "{text}");
}

/// Each key of a large write is in another slot, nearly: so many parts are noted one by one.
#[test]
fn thousands_of_parts_are_noted_in_a_moment() {
    let began = std::time::Instant::now();
    let mut partial = Partial::of_keys();
    for number in (1..100_000).rev() {
        partial.add(if number % 2 == 0 { Fate::Done } else { Fate::NotDone }, [number]);
    }
    let text = partial.to_string();
    assert!(text.starts_with("it was done for the keys at arguments 2, 4, 6, "), "{text}");
    assert!(text.contains("it was not done for the keys at arguments 1, 3, 5, "), "{text}");
    assert!(began.elapsed() < std::time::Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn outcomes_have_fates() {
    let refused = || server_error("OOM command not allowed");
    let lost = || RedisError::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
    let timeout = || Error::new(ErrorKind::Timeout(Stage::Command), "x");
    assert_eq!(Fate::of(&Ok(Value::Okay)), Fate::Done);
    assert_eq!(Fate::of(&Ok(Value::ServerError(refused()))), Fate::NotDone);
    assert_eq!(Fate::of_command(&Ok(Value::ServerError(refused()))), Fate::Done);
    assert_eq!(Fate::of(&Err(refused().into())), Fate::NotDone);
    for (error, fate) in [
        (lost(), Fate::Unknown),
        (timeout().into(), Fate::Unknown),
        (timeout().not_run().into(), Fate::NotDone),
        (Error::new(ErrorKind::Overloaded, "x").into(), Fate::NotDone),
        (Error::closed().into(), Fate::NotDone),
        (Error::new(ErrorKind::TokenEndpoint, "x").into(), Fate::NotDone),
    ] {
        assert_eq!((Fate::of(&Err(error.clone())), Fate::of_command(&Err(error))), (fate, fate));
    }
}

#[test]
fn a_pipelines_commands_are_numbered_from_zero() {
    let mut partial = Partial::of_commands();
    partial.add(Fate::Done, [0, 2]);
    partial.add(Fate::Unknown, [1]);
    partial.add(Fate::NotDone, [3, 4]);
    let text =
        "answered: commands 0, 2 (from 0), certainly not run: commands 3-4 (from 0), may have run: command 1 (from 0)";
    assert_eq!(partial.to_string(), text);
}

#[test]
fn a_refusal_of_redis_keeps_its_code() {
    let error = mixed().explain(&server_error("OOM command not allowed").into());
    assert_eq!(error.code(), Some("OOM"));
    assert_eq!(error.detail(), Some(&*format!("command not allowed; {FATES}")));
    let known = mixed().explain(&server_error("READONLY You can't write").into());
    assert_eq!(known.kind(), redis::ErrorKind::Server(redis::ServerErrorKind::ReadOnly));
    assert!(known.to_string().contains(FATES), "{known}");
}

#[test]
fn an_error_of_this_crate_keeps_its_kind() {
    let timeout = Error::new(ErrorKind::Timeout(Stage::Command), "no reply within 5 s");
    let error = mixed().explain(&timeout.into());
    assert!(error.is_timeout());
    assert_eq!(Error::kind_of(&error), Some(ErrorKind::Timeout(Stage::Command)));
    assert!(error.to_string().contains(&format!("no reply within 5 s; {FATES}")), "{error}");
}

#[test]
fn other_errors_keep_the_kind_that_callers_look_at() {
    let lost = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
    let error = mixed().explain(&lost.into());
    assert!(error.is_io_error() && error.is_connection_dropped());
    assert!(error.to_string().contains(FATES), "{error}");
}

#[test]
fn an_error_that_holds_for_all_keys_stays_as_it_is() {
    let cause = RedisError::from(server_error("OOM command not allowed"));
    for fate in [Fate::NotDone, Fate::Unknown] {
        let mut partial = Partial::of_keys();
        partial.add(fate, [1, 2, 3]);
        assert_eq!(partial.explain(&cause), cause);
    }
}
