use super::{leaving::STEADY, *};
use crate::{
    link::Condition,
    pool::tests::{HOUR, SECOND, just_below, link},
};
use tokio::time::advance;

fn seat() -> Seat {
    Seat::new(Purpose::Shared)
}

#[tokio::test]
async fn a_dial_fills_the_seat_or_opens_a_standby() {
    let mut seat = seat();
    assert!(!seat.is_dialing() && !seat.has_standby() && seat.links().count() == 0);
    seat.task = Task::Dial;
    assert!(seat.is_dialing() && !seat.has_standby());
    seat.dial_ended();
    let ((first, _near), (second, _far)) = (link(1), link(2));
    assert_eq!(seat.dialed(first), None);
    assert!(!seat.is_dialing() && !seat.has_standby() && seat.links().count() == 1);
    (seat.task, seat.opens_standby) = (Task::Check, true);
    assert!(seat.is_dialing() && seat.has_standby());
    seat.dial_ended();
    assert_eq!((seat.task, seat.opens_standby), (Task::Check, false), "the check goes on");
    assert_eq!(seat.dialed(second), None);
    assert!(seat.has_standby() && !seat.is_dialing());
    assert_eq!(seat.links().map(|link| link.id()).collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test]
async fn a_seat_knows_whether_its_link_serves() {
    let mut seat = seat();
    assert!(!seat.is_reauthenticating());
    let (link, _server) = link(1);
    seat.link = Some(Arc::clone(&link));
    assert!(!seat.is_reauthenticating());
    link.divert();
    assert!(seat.is_reauthenticating());
}

#[tokio::test]
async fn a_lost_link_is_told_once_with_the_one_in_its_place() {
    let mut seat = seat();
    let ((first, _a), (second, _b), (third, _c)) = (link(1), link(2), link(3));
    seat.dialed(Arc::clone(&first));
    first.retire("broken");
    let gone: Vec<_> = seat.tidy().into_iter().map(|gone| (gone.link.id(), gone.reason)).collect();
    assert_eq!(gone, [(1, "broken")]);
    assert_eq!(seat.replaced(), None, "nothing has taken its place yet");
    assert_eq!(seat.dialed(Arc::clone(&second)), Some(1));
    assert_eq!(seat.replaced(), None, "the dial has told that");
    assert!(seat.tidy().is_empty());
    assert_eq!(second.reconnects(), 1);
    // One that stands in takes the place at once.
    seat.dialed(Arc::clone(&third));
    second.retire("broken");
    assert_eq!(seat.tidy().len(), 1);
    assert_eq!((seat.replaced(), seat.replaced()), (Some((2, 3)), None));
    assert_eq!((third.reconnects(), seat.has_standby()), (2, false));
}

#[tokio::test]
async fn a_standby_that_is_lost_leaves_the_link_in_its_place() {
    let mut seat = seat();
    let ((first, _a), (second, _b)) = (link(1), link(2));
    seat.dialed(first);
    seat.dialed(Arc::clone(&second));
    second.retire("broken");
    assert_eq!(seat.tidy().len(), 1);
    assert_eq!(seat.links().map(|link| link.id()).collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn a_link_that_has_to_go_goes_when_the_standby_is_there() {
    let mut seat = seat();
    let ((first, _a), (second, _b)) = (link(1), link(2));
    seat.dialed(Arc::clone(&first));
    seat.to_replace = Some(AUTH_UNANSWERED);
    assert!(seat.tidy().is_empty() && first.is_open());
    seat.dialed(Arc::clone(&second));
    let gone: Vec<_> = seat.tidy().into_iter().map(|gone| (gone.link.id(), gone.reason)).collect();
    assert_eq!(gone, [(1, AUTH_UNANSWERED)]);
    assert_eq!(first.condition(), Condition::Down(AUTH_UNANSWERED));
    assert_eq!((seat.replaced(), seat.to_replace), (Some((1, 2)), None));
    assert_eq!((second.reconnects(), second.is_open()), (1, true));
}

/// The delays before the next dials when so many links in a row are lost that lived this long.
async fn delays(losses: usize, life: Duration) -> Vec<Duration> {
    let mut seat = seat();
    let mut delays = Vec::new();
    for _ in 0..losses {
        let (link, _server) = link(1);
        seat.dialed(Arc::clone(&link));
        advance(life).await;
        link.retire("broken");
        seat.tidy();
        let now = Instant::now();
        assert!(seat.dial_after >= now, "a delay, if it is drawn as nothing");
        delays.push(seat.dial_after - now);
    }
    delays
}

/// A server that accepts and closes is not dialed as fast as it does that.
#[tokio::test(start_paused = true)]
async fn links_that_are_lost_at_once_are_dialed_after_growing_delays() {
    let steady = delays(30, STEADY).await;
    assert!(steady.iter().all(|delay| *delay <= Duration::from_millis(100)), "{steady:?}");
    assert!(steady.iter().any(|delay| !delay.is_zero()), "clients that lost theirs together come back one by one");
    let short = delays(30, just_below(STEADY)).await;
    assert!(short.iter().any(|delay| *delay > SECOND), "{short:?}");
    assert!(short.iter().all(|delay| *delay <= 2 * SECOND), "{short:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_not_tried_again_soon_and_a_newer_one_at_once() {
    let mut seat = seat();
    let now = Instant::now();
    assert!(seat.may_dial(now, 0));
    let delay = seat.dial_failed(None);
    assert!(delay <= SECOND / 10 && seat.dial_after == now + delay);
    assert!(!seat.may_dial(now, 9) || delay.is_zero(), "a newer token does not bring up a dead server");
    assert!(seat.may_dial(now + delay, 0));
    let delays: Vec<_> = (0..20).map(|_| seat.dial_failed(Some(3))).collect();
    assert!(delays.iter().any(|delay| *delay > 2 * SECOND), "longer than a dial that failed: {delays:?}");
    seat.dial_after = now + HOUR;
    assert!(!seat.may_dial(now, 3));
    assert!(seat.may_dial(now, 4));
    seat.dial_after = now + HOUR;
    assert!(!seat.may_dial(now, 5), "no refusal stands against that one");
    // What was refused before counts no more once a link is up.
    let (link, _server) = link(1);
    seat.dialed(link);
    assert!(seat.dial_failed(Some(5)) <= SECOND);
}

#[tokio::test(start_paused = true)]
async fn errors_are_looked_into_once_in_a_while() {
    let mut seat = seat();
    assert!(seat.may_verify());
    seat.task = Task::Check;
    seat.checked();
    assert_eq!((seat.task, seat.may_verify()), (Task::None, false));
    advance(just_below(VERIFY_EVERY)).await;
    assert!(!seat.may_verify());
    advance(Duration::from_millis(1)).await;
    assert!(seat.may_verify());
}

#[tokio::test(start_paused = true)]
async fn an_auth_is_late_from_its_moment_on() {
    let mut seat = seat();
    let now = Instant::now();
    seat.auth_is_late = Some(now + SECOND);
    assert!(!seat.auth_is_late(now + SECOND), "there is none");
    seat.task = Task::Reauth;
    assert!(!seat.auth_is_late(now) && seat.auth_is_late(now + SECOND) && seat.auth_is_late(now + HOUR));
    seat.auth_is_late = None;
    assert!(!seat.auth_is_late(now + HOUR));
}

#[tokio::test(start_paused = true)]
async fn what_failed_with_one_token_is_tried_at_once_with_the_next() {
    let mut seat = seat();
    let now = Instant::now();
    seat.rotate(1, Duration::ZERO, SECOND);
    assert_eq!((seat.reauth_after, seat.alone_after), (now, now + SECOND));
    for _ in 0..20 {
        seat.reauth_failed();
    }
    assert!(seat.reauth_failed_before() && seat.reauth_after > now);
    let waits = seat.reauth_after;
    seat.rotate(1, Duration::ZERO, HOUR);
    assert_eq!((seat.reauth_after, seat.alone_after), (waits, now + SECOND), "it is told of a token once");
    seat.rotate(2, Duration::ZERO, HOUR);
    assert_eq!((seat.reauth_after, seat.alone_after), (now, now + HOUR));
    assert!(!seat.reauth_failed_before());
    seat.reauth_failed();
    assert!(seat.reauth_after <= now + SECOND / 10, "delays begin again");
}

#[tokio::test(start_paused = true)]
async fn a_link_that_took_a_token_has_no_failures_left() {
    let mut seat = seat();
    for _ in 0..20 {
        seat.reauth_failed();
    }
    seat.reauthenticated();
    assert!(!seat.reauth_failed_before());
    seat.reauth_failed();
    assert!(seat.reauth_after <= Instant::now() + SECOND / 10);
}

#[tokio::test(start_paused = true)]
async fn re_auths_of_a_rotation_are_spread() {
    let now = Instant::now();
    let begins: Vec<_> = (0..50)
        .map(|_| {
            let mut seat = seat();
            seat.rotate(1, 10 * SECOND, HOUR);
            seat.reauth_after
        })
        .collect();
    assert!(begins.iter().all(|at| (now..=now + 10 * SECOND).contains(at)), "{begins:?}");
    assert!(begins.iter().any(|at| *at < now + 5 * SECOND) && begins.iter().any(|at| *at > now + 5 * SECOND));
}
