use super::*;
use crate::{
    error::Stage,
    link::Condition,
    pool::{
        keeper::tests::{fill, keeper, keeper_with_token},
        tests::{HOUR, SECOND, link},
    },
};
use futures_util::FutureExt;
use tokio::{
    sync::{broadcast::Receiver, oneshot},
    time::{sleep, timeout},
};

fn error(kind: ErrorKind) -> Error {
    Error::new(kind, "a test")
}

fn next(events: &mut Receiver<Event>) -> Event {
    events.try_recv().expect("an event")
}

#[tokio::test]
async fn a_link_that_came_up_is_in_use_and_told() {
    let mut keeper = keeper();
    let (first, mut ready) = oneshot::channel();
    keeper.first = Some(first);
    keeper.pool.note_error(Some(error(ErrorKind::Connect)));
    let mut events = keeper.shared.journal.subscribe();
    for (id, lost) in [(1, None), (2, Some(1))] {
        let (link, _server) = link(id);
        let link = Arc::into_inner(link).unwrap();
        keeper.seats[0].task = Task::Dial;
        keeper.pool.dial_began();
        keeper.settle(Done::Dialed { seat: 0, generation: 1, result: Ok((link, SECOND)) });
        assert_eq!((keeper.seats[0].task, keeper.pool.dialing(), keeper.pool.open_seats()), (Task::None, 0, 1));
        let Event::LinkUp { node, link, reconnect, took, .. } = next(&mut events) else { panic!("it is up") };
        assert_eq!((&*node, link, reconnect, took), ("localhost:1", id, lost.is_some(), SECOND));
        if let Some(lost) = lost {
            let Event::LinkReplaced { link, by, .. } = next(&mut events) else { panic!("it has replaced one") };
            assert_eq!((link, by), (lost, id));
        }
        assert!(events.try_recv().is_err() && keeper.pool.last_error().is_none());
        keeper.seats[0].link.as_ref().unwrap().retire("broken");
        keeper.seats[0].tidy();
    }
    assert!(ready.try_recv().unwrap().is_ok(), "`connect` is through");
}

#[tokio::test]
async fn a_dial_that_failed_is_told_and_remembered() {
    let mut keeper = keeper();
    let (first, mut ready) = oneshot::channel();
    keeper.first = Some(first);
    let mut events = keeper.shared.journal.subscribe();
    keeper.seats[0].task = Task::Dial;
    keeper.pool.dial_began();
    keeper.settle(Done::Dialed { seat: 0, generation: 1, result: Err(error(ErrorKind::Connect)) });
    assert_eq!((keeper.seats[0].task, keeper.pool.dialing()), (Task::None, 0));
    let Event::DialFailed { retry_in, .. } = next(&mut events) else { panic!("it has failed") };
    assert!(retry_in <= SECOND / 10);
    assert_eq!(keeper.pool.last_error().map(|error| error.kind()), Some(ErrorKind::Connect));
    assert!(keeper.shared.trouble.notified().now_or_never().is_some(), "a cluster may have changed");
    assert_eq!(ready.try_recv().unwrap().map_err(|error| error.kind()), Err(ErrorKind::Connect));
}

/// Whether a dial, or an `AUTH`, that failed so has another token asked for.
async fn asks_for_a_token(kind: ErrorKind, of_auth: bool) -> bool {
    let mut keeper = keeper_with_token(HOUR).await;
    let (links, _servers) = fill(&mut keeper, &[HOUR]);
    let current = keeper.shared.tokens.live().unwrap();
    let mut tokens = keeper.shared.tokens.clone();
    _ = tokens.changed().now_or_never();
    keeper.settle(if of_auth {
        Done::Reauthenticated { seat: 0, link: Arc::clone(&links[0]), current, result: Err(error(kind)) }
    } else {
        Done::Dialed { seat: 0, generation: 1, result: Err(error(kind)) }
    });
    let mut events = keeper.shared.journal.subscribe();
    let asked = timeout(30 * SECOND, events.recv()).await;
    asked.is_ok()
}

#[tokio::test(start_paused = true)]
async fn only_a_refused_token_has_another_one_asked_for() {
    for of_auth in [false, true] {
        assert!(asks_for_a_token(ErrorKind::AuthenticationRejected, of_auth).await);
        assert!(!asks_for_a_token(ErrorKind::Connect, of_auth).await);
    }
}

#[tokio::test(start_paused = true)]
async fn an_auth_that_was_taken_is_through() {
    let mut keeper = keeper_with_token(HOUR).await;
    let (links, _servers) = fill(&mut keeper, &[HOUR]);
    let current = keeper.shared.tokens.live().unwrap();
    let mut events = keeper.shared.journal.subscribe();
    let seat = &mut keeper.seats[0];
    seat.task = Task::Reauth;
    seat.auth_is_late = Some(Instant::now());
    seat.reauth_failed();
    keeper.settle(Done::Reauthenticated { seat: 0, link: Arc::clone(&links[0]), current, result: Ok(()) });
    let seat = &keeper.seats[0];
    assert_eq!((seat.task, seat.auth_is_late, seat.reauth_failed_before()), (Task::None, None, false));
    assert!(matches!(next(&mut events), Event::Reauthenticated { link: 1, generation: 1, .. }));
    assert!(links[0].is_open());
}

/// What becomes of a link and its seat when its `AUTH` ends so.
async fn after_auth(kind: ErrorKind, life: Duration, is_here: bool) -> (bool, Option<&'static str>, bool) {
    let mut keeper = keeper_with_token(HOUR).await;
    let (links, _servers) = fill(&mut keeper, &[life]);
    let current = keeper.shared.tokens.live().unwrap();
    sleep(SECOND).await;
    let (other, _server) = link(2);
    if !is_here {
        keeper.seats[0].link = Some(other);
    }
    let mut events = keeper.shared.journal.subscribe();
    let link = Arc::clone(&links[0]);
    keeper.settle(Done::Reauthenticated { seat: 0, link, current, result: Err(error(kind)) });
    assert!(matches!(next(&mut events), Event::ReauthFailed { link: 1, .. }));
    let seat = &keeper.seats[0];
    (links[0].condition() == Condition::Down(EXPIRED), seat.to_replace, seat.reauth_failed_before())
}

#[tokio::test(start_paused = true)]
async fn an_auth_that_failed_is_tried_again_and_one_without_an_answer_is_not() {
    let (unanswered, refused) = (ErrorKind::Timeout(Stage::Auth), ErrorKind::Server);
    assert_eq!(after_auth(unanswered, HOUR, true).await, (false, Some(AUTH_UNANSWERED), false));
    assert_eq!(after_auth(unanswered, SECOND, true).await, (true, None, false), "its token has died meanwhile");
    assert_eq!(after_auth(refused, HOUR, true).await, (false, None, true));
    // What is in its place by then has nothing to do with that.
    assert_eq!(after_auth(unanswered, HOUR, false).await, (false, None, false));
    assert_eq!(after_auth(refused, HOUR, false).await, (false, None, false));
}

#[tokio::test]
async fn a_link_that_fails_its_check_goes() {
    let mut keeper = keeper();
    let (links, _servers) = fill(&mut keeper, &[HOUR]);
    for (result, condition) in [(Ok(()), Condition::Open), (Err("silent"), Condition::Down("silent"))] {
        keeper.seats[0].task = Task::Check;
        keeper.settle(Done::Checked { seat: 0, link: Arc::clone(&links[0]), result });
        assert_eq!((keeper.seats[0].task, links[0].condition()), (Task::None, condition));
    }
}
