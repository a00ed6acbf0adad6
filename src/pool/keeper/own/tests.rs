use crate::{
    link::EXPIRED,
    pool::{
        keeper::{
            Keeper,
            tests::{keeper, keeper_with_token},
        },
        leases::Offer,
        seat::{Purpose, Seat, Task},
        tests::link_for,
    },
};
use futures_util::FutureExt as _;
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncWriteExt as _, DuplexStream},
    time::{Instant, advance},
};

/// A keeper that has a token, and a link without it that one user has alone, which lives for `life`.
async fn with_link(life: Duration) -> (Keeper, Arc<crate::link::Link>, DuplexStream) {
    let mut keeper = keeper_with_token(Duration::from_secs(3600)).await;
    let (link, far) = link_for(7, life);
    let mut seat = Seat::new(Purpose::Leased);
    seat.link = Some(Arc::clone(&link));
    keeper.seats.push(seat);
    (keeper, link, far)
}

const LONG: Duration = Duration::from_secs(1800);

#[tokio::test(start_paused = true)]
async fn a_link_is_given_the_token_once_its_user_lets_go_of_it() {
    let (mut keeper, link, _far) = with_link(LONG).await;
    link.hold();
    keeper.maintain_own(1, &link);
    // Longer than the starts of a rotation are spread.
    advance(Duration::from_secs(5)).await;
    keeper.maintain_own(1, &link);
    assert_eq!(keeper.seats[1].task, Task::None);
    assert_eq!(link.in_flight(), 0, "nothing comes between the user's commands");
    link.release();
    keeper.maintain_own(1, &link);
    assert_eq!(keeper.seats[1].task, Task::Reauth);
    assert_eq!(link.in_flight(), 1, "what the user sends now comes after the AUTH");
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_held_until_its_token_is_nearly_dead_is_given_up() {
    let (mut keeper, link, _far) = with_link(LONG).await;
    link.hold();
    keeper.maintain_own(1, &link);
    let life = link.authenticated_until() - Instant::now();
    advance(life.saturating_sub(Duration::from_secs(21))).await;
    keeper.maintain_own(1, &link);
    assert!(link.is_open());
    advance(Duration::from_secs(2)).await;
    keeper.maintain_own(1, &link);
    assert_eq!(link.condition(), crate::link::Condition::Down(EXPIRED));
}

#[tokio::test(start_paused = true)]
async fn a_silent_link_is_asked_for_a_sign_unless_it_is_held() {
    let (mut keeper, link, _far) = with_link(LONG).await;
    // It waits with the token until the spread is over; a doubt does not.
    link.suspect();
    link.hold();
    keeper.maintain_own(1, &link);
    assert_eq!(link.in_flight(), 0);
    link.release();
    keeper.seats[1].reauth_after = Instant::now() + LONG;
    keeper.maintain_own(1, &link);
    assert_eq!((keeper.seats[1].task, link.in_flight()), (Task::Check, 1));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_any_more_is_not_opened_and_its_ticket_is_back() {
    let mut keeper = keeper();
    let leases = Arc::clone(&keeper.shared.leases);
    let waiter = || match leases.offer(&keeper.pool) {
        Offer::Wait(waiter) => waiter,
        Offer::Link(_) => panic!("there is none"),
    };
    let mut waiters: Vec<_> = (0..leases.most()).map(|_| waiter()).collect();
    let mut late = waiter();
    assert!(late.lacks_room());
    keeper.take_orders();
    assert_eq!(keeper.seats.iter().filter(|seat| seat.is_wanted()).count(), 1 + leases.most());
    keeper.pool.keeper.notified().now_or_never();
    waiters.pop();
    keeper.pool.keeper.notified().now_or_never().expect("the keeper is told");
    let mut counts = keeper.counts();
    (1..=leases.most()).for_each(|index| keeper.fill(index, &mut counts));
    assert_eq!(keeper.seats.iter().filter(|seat| seat.task == Task::Dial).count(), leases.most() - 1);
    assert!(late.lease().now_or_never().is_none() && !late.lacks_room(), "it has the ticket");
    // The place is used again.
    keeper.take_orders();
    assert_eq!(keeper.seats.len(), 1 + leases.most());
}

/// What became of the last user's link is nothing of the next one's.
#[tokio::test(start_paused = true)]
async fn a_place_keeps_nothing_of_its_last_user() {
    let (mut keeper, link, _far) = with_link(LONG).await;
    advance(Duration::from_secs(2)).await;
    keeper.seats[1].reauth_failed();
    link.retire("broken");
    keeper.tidy();
    assert!(!keeper.seats[1].is_wanted());
    let _order = keeper.pool.order_subscriber();
    keeper.take_orders();
    let now = Instant::now();
    let seat = &mut keeper.seats[1];
    assert_eq!(seat.purpose, Purpose::Subscriber);
    assert!(seat.may_dial(now, 0) && seat.reauth_after <= now && !seat.reauth_failed_before());
    let (next, _far) = link_for(8, LONG);
    assert_eq!(seat.dialed(Arc::clone(&next)), None, "it replaces nothing");
    assert_eq!(next.reconnects(), 0);
}

/// But a server that closes what it has just let in is not dialed as fast as it does that.
#[tokio::test(start_paused = true)]
async fn a_place_whose_last_link_was_lost_at_once_waits() {
    for _ in 0..20 {
        let (mut keeper, link, _far) = with_link(LONG).await;
        let before = Instant::now();
        link.retire("broken");
        keeper.tidy();
        let dial_after = keeper.seats[1].dial_after;
        assert!(dial_after >= before);
        let _order = keeper.pool.order_subscriber();
        keeper.take_orders();
        assert_eq!(keeper.seats[1].dial_after, dial_after);
    }
}

/// The same, whose link has the newest token.
async fn with_new_link() -> (Keeper, Arc<crate::link::Link>, DuplexStream) {
    let (keeper, link, mut far) = with_link(LONG).await;
    let current = keeper.shared.tokens.live().unwrap();
    let reauth = link.reauthenticate_unheld(&current, Duration::from_secs(1)).expect("nobody holds it");
    far.write_all(b"+OK\r\n").await.unwrap();
    reauth.await.unwrap();
    (keeper, link, far)
}

#[tokio::test(start_paused = true)]
async fn a_link_with_the_newest_token_is_left_alone_until_it_has_been_idle_for_long() {
    let (mut keeper, link, _far) = with_new_link().await;
    keeper.shared.options.ping_after = Duration::from_secs(60);
    keeper.maintain_own(1, &link);
    // Past every spread.
    advance(Duration::from_secs(59)).await;
    keeper.maintain_own(1, &link);
    assert_eq!((keeper.seats[1].task, link.in_flight()), (Task::None, 0));
    advance(Duration::from_secs(1)).await;
    keeper.maintain_own(1, &link);
    assert_eq!(keeper.seats[1].task, Task::Check);
}

#[tokio::test(start_paused = true)]
async fn what_an_error_says_of_a_connection_is_looked_into_but_not_again_at_once() {
    let (mut keeper, link, mut far) = with_new_link().await;
    let reply = link.command_alone(redis::cmd("GET").arg("k"), None).expect("it is open").0;
    far.write_all(b"-NOAUTH Authentication required.\r\n").await.unwrap();
    reply.await;
    keeper.seats[1].checked();
    keeper.maintain_own(1, &link);
    assert_eq!(keeper.seats[1].task, Task::None);
    advance(Duration::from_secs(5)).await;
    keeper.maintain_own(1, &link);
    assert_eq!(keeper.seats[1].task, Task::Check);
}
