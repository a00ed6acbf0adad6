use super::*;
use crate::{
    admission::Admission,
    exec::{
        lease::Place,
        scatter::ground::Ground,
        session::{State, step::ReplyMode},
    },
    link::Link,
    pool::fixture::HOUR,
};
use std::time::Duration;
use tokio::io::duplex;

/// A session that may use `key` behind `ASKING` for so long, in this state; its last `MULTI` went behind `ASKING`.
fn session(good_for: Duration, state: State) -> Session {
    let node = Ground::quiet().core.node_of(&Place::Owner(None)).unwrap();
    let gone = Some(Gone::new(redis::cmd("GET").arg("key"), Instant::now() + good_for));
    Session { lease: None, node, state, replies: ReplyMode::On, limit: None, gone, multi_asks: true }
}

/// Whether a command on another key may come next.
fn may_go_on(session: &mut Session) -> bool {
    let other = redis::Cmd::get("other");
    session.check_in_multi([(&other, Step::Plain)]).is_ok()
}

#[tokio::test]
async fn nobody_says_that_nothing_is_done_of_a_transaction_whose_end_is_out() {
    let open = State { in_multi: true, ..State::default() };
    assert!(!may_go_on(&mut session(HOUR, open)));
    let given_up = State { is_pending: true, end_is_out: true, ..open };
    let mut session = session(Duration::ZERO, given_up);
    assert!(may_go_on(&mut session), "what comes next says that it may have run");
    assert!(session.gone().may_have_run());
}

#[tokio::test]
async fn a_multi_within_a_transaction_does_not_change_how_that_was_begun() {
    let link = Link::over(1, duplex(1 << 10).0, Admission::new(64), HOUR);
    let mut session = session(HOUR, State { in_multi: true, ..State::default() });
    _ = session.queue(&link, &redis::cmd("MULTI"), Step::Multi, Instant::now() + HOUR);
    assert!(!may_go_on(&mut session));
}
