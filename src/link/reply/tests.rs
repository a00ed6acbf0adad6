use super::*;
use futures_util::FutureExt;

fn answer() -> Completion {
    Completion { outcome: Outcome::Written, large: false, deadline: Instant::now() }
}

#[test]
fn a_slot_wakes_whoever_looked_last_and_gives_its_answer_once() {
    let cell = Arc::new(ReplyCell::default());
    let mut reply = PendingReply(Arc::clone(&cell));
    assert!((&mut reply).now_or_never().is_none());
    let waker = futures_util::task::noop_waker();
    assert!(Pin::new(&mut reply).poll(&mut Context::from_waker(&waker)).is_pending());
    assert!(cell.fill(answer()).expect("somebody waits").will_wake(&waker));
    assert!(matches!((&mut reply).now_or_never(), Some(Completion { outcome: Outcome::Written, .. })));
    assert!((&mut reply).now_or_never().is_none(), "it has been taken");
    let cell = ReplyCell::default();
    assert!(cell.fill(answer()).is_none(), "nobody has looked yet");
}

#[test]
fn a_slot_is_used_again_when_nobody_else_has_it() {
    let mut cell = Arc::new(ReplyCell::default());
    let mut reply = PendingReply(Arc::clone(&cell));
    _ = cell.fill(answer());
    assert_eq!(ReplyCell::rest(&mut cell), Rest::Held);
    assert!((&mut reply).now_or_never().is_some());
    assert_eq!(ReplyCell::rest(&mut cell), Rest::Held);
    drop(reply);
    assert_eq!(ReplyCell::rest(&mut cell), Rest::Empty);
    assert!(PendingReply(cell).now_or_never().is_none(), "the answer of the one before is gone");
}

#[test]
fn a_slot_whose_caller_has_gone_without_its_answer_is_not_used_again() {
    let mut cell = Arc::new(ReplyCell::default());
    let mut reply = PendingReply(Arc::clone(&cell));
    assert!((&mut reply).now_or_never().is_none());
    drop(reply);
    assert_eq!(ReplyCell::rest(&mut cell), Rest::Unread, "its caller's waker is in it");
    _ = cell.fill(answer());
    assert_eq!(ReplyCell::rest(&mut cell), Rest::Unread);
}

/// What comes of these replies, of which `?` is one that cannot be read, and how many bytes they are together.
fn gathered(mut gather: Gather, replies: &[&str]) -> (Outcome, usize) {
    let (last, others) = replies.split_last().unwrap();
    let value = |line: &str| match line {
        "?" => Err("a test"),
        line => Ok(redis::parse_redis_value(format!("{line}\r\n").as_bytes()).unwrap()),
    };
    for reply in others {
        assert!(gather.take(value(reply), 10).is_none(), "{reply} of {replies:?}");
    }
    gather.take(value(last), 10).unwrap_or_else(|| panic!("more than {replies:?}"))
}

fn answered(gather: Gather, replies: &[&str]) -> Vec<Value> {
    match gathered(gather, replies) {
        (Outcome::Answered(Value::Array(values)), bytes) => {
            assert_eq!(bytes, replies.len() * 10);
            values
        }
        other => panic!("{replies:?}: {other:?}"),
    }
}

/// The places of what was refused, and whether the commands were sent.
fn aborted(gather: Gather, replies: &[&str]) -> (Vec<usize>, bool) {
    match gathered(gather, replies).0 {
        Outcome::Aborted(refused) => (refused.errors.into_iter().map(|(place, _)| place).collect(), refused.sent),
        other => panic!("{replies:?}: {other:?}"),
    }
}

fn unreadable(gather: Gather, replies: &[&str]) -> Option<usize> {
    match gathered(gather, replies).0 {
        Outcome::Unreadable(place, "a test") => place,
        other => panic!("{replies:?}: {other:?}"),
    }
}

fn ints(numbers: &[i64]) -> Vec<Value> {
    numbers.iter().map(|number| Value::Int(*number)).collect()
}

#[test]
fn of_a_pipelines_replies_those_are_kept_that_are_wanted() {
    let pipeline = |skip, keep| Gather::new(None, 4, skip, keep);
    let replies = [":1", ":2", ":3", ":4"];
    assert_eq!(answered(pipeline(0, 4), &replies), ints(&[1, 2, 3, 4]));
    assert_eq!(answered(pipeline(1, 2), &replies), ints(&[2, 3]));
    assert_eq!(answered(pipeline(0, 0), &replies), []);
    // Redis answers each command for itself: an error is one of the answers, also the last.
    let errors = answered(pipeline(0, 4), &["-ERR a", ":2", ":3", "-ERR b"]);
    assert!(matches!(errors[..], [Value::ServerError(_), Value::Int(2), Value::Int(3), Value::ServerError(_)]));
    let last = answered(pipeline(3, 1), &["-ERR a", ":2", ":3", "-ERR b"]);
    assert!(matches!(last[..], [Value::ServerError(_)]));
}

#[test]
fn of_a_pipeline_the_first_reply_that_cannot_be_read_is_named_if_it_is_wanted() {
    let pipeline = |skip, keep| Gather::new(None, 4, skip, keep);
    assert_eq!(unreadable(pipeline(0, 4), &[":1", "?", "?", ":4"]), Some(1));
    assert_eq!(answered(pipeline(2, 2), &[":1", "?", ":3", ":4"]), ints(&[3, 4]));
    assert_eq!(answered(pipeline(0, 2), &[":1", ":2", "?", "?"]), ints(&[1, 2]));
}

/// A transaction of two commands, and whether the next one has to ask for `MULTI`.
fn transaction() -> (Gather, Arc<Multi>) {
    let multi = Arc::new(Multi::default());
    (Gather::new(Some(Arc::clone(&multi)), 4, 3, 1), multi)
}

#[test]
fn a_transaction_is_answered_by_its_exec() {
    let (gather, multi) = transaction();
    let replies = ["+OK", "+QUEUED", "+QUEUED", "*2\r\n:1\r\n-ERR wrong type"];
    let values = answered(gather, &replies);
    assert!(matches!(&values[..], [Value::Array(values)] if values.len() == 2), "errors in it are its commands' own");
    assert!(!multi.must_be_asked_for(|| true));
    assert_eq!(unreadable(transaction().0, &["+OK", "+QUEUED", "+QUEUED", "?"]), None);
    answered(transaction().0, &["+OK", "?", "+QUEUED", "*0"]);
}

#[test]
fn what_was_refused_of_a_transaction_is_told_with_its_places() {
    let (gather, multi) = transaction();
    let replies = ["+OK", "+QUEUED", "-ERR unknown command", "-EXECABORT discarded"];
    assert_eq!(aborted(gather, &replies), (vec![2, 3], true));
    assert!(!multi.must_be_asked_for(|| true), "MULTI itself was taken");
    assert_eq!(aborted(transaction().0, &["+OK", "+QUEUED", "+QUEUED", "-NOPERM exec"]), (vec![3], true));
    // Without MULTI the commands ran one by one: what they were answered counts, each for itself.
    let (gather, multi) = transaction();
    let replies = ["-NOPERM multi", ":1", "-ERR wrong type", "-ERR EXEC without MULTI"];
    assert_eq!(aborted(gather, &replies), (vec![0, 2, 3], true));
    assert!(multi.must_be_asked_for(|| false));
}

/// Whoever wants the answers to queueing gets them as they are.
#[test]
fn errors_among_the_wanted_replies_of_a_transaction_are_replies() {
    let gather = |skip, keep| Gather::new(Some(Arc::default()), 4, skip, keep);
    let values = answered(gather(1, 3), &["+OK", "-ERR a", "+QUEUED", "-EXECABORT b"]);
    assert!(matches!(values[..], [Value::ServerError(_), _, Value::ServerError(_)]));
    assert_eq!(answered(gather(1, 2), &["+OK", ":1", ":2", "-EXECABORT b"]), ints(&[1, 2]));
    // Unless there was no transaction.
    for skip in [0, 1] {
        let replies = ["-NOPERM multi", ":1", "-ERR wrong type", "-ERR EXEC without MULTI"];
        assert_eq!(aborted(gather(skip, 3), &replies), (vec![0, 2, 3], true));
    }
}

#[test]
fn a_question_for_multi_holds_its_transaction_back_and_says_what_was_refused() {
    let question = || Gather::question(Arc::default());
    assert!(Expect::Many(Box::new(question())).is_question());
    assert!(!Expect::Many(Box::new(transaction().0)).is_question() && !Expect::One.is_question());
    assert!(matches!(gathered(question(), &["+OK", "+OK"]).0, Outcome::HeldBack(None)));
    assert_eq!(aborted(question(), &["-NOPERM multi", "-ERR DISCARD without MULTI"]), (vec![0, 1], false));
}

/// What it is answered says nothing: a server that does not know it answers the rest as if it had not been sent.
#[test]
fn the_replies_to_asking_are_passed_over() {
    for asking in ["+OK", "-ERR unknown command", "?"] {
        let single = |reply| gathered(Gather::single_behind_asking(), &[asking, reply]);
        assert!(matches!(single(":1"), (Outcome::Answered(Value::Int(1)), 20)));
        assert!(matches!(single("-ERR no").0, Outcome::Answered(Value::ServerError(_))));
        assert!(matches!(single("?").0, Outcome::Unreadable(None, "a test")));
        let pipeline = Gather::new(None, 2, 0, 2).behind_asking();
        assert_eq!(answered(pipeline, &[asking, ":1", asking, ":2"]), ints(&[1, 2]));
        let atomic = transaction().0.behind_asking();
        assert_eq!(answered(atomic, &[asking, "+OK", "+QUEUED", "+QUEUED", ":3"]), ints(&[3]));
    }
}
