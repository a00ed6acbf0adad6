//! Which link takes a request, and what is shown of a pool. And what the tests of this room share.

use super::{Availability, Leases, Pool, Roster, SPILL_AT, SPILL_LARGE_AT, SeatTotal, choose};
use crate::{
    admission::Admission,
    error::{Error, ErrorKind},
    link::{Access, Link},
};
use futures_util::FutureExt;
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    task::yield_now,
    time::sleep,
};

pub(super) use super::fixture::HOUR;
pub(super) const SECOND: Duration = Duration::from_secs(1);

/// The last millisecond before that.
pub(super) fn just_below(duration: Duration) -> Duration {
    duration.saturating_sub(Duration::from_millis(1))
}

/// A link of the token 0, which lives this long from now, and its server.
pub(super) fn link_for(id: u64, life: Duration) -> (Arc<Link>, DuplexStream) {
    let (near, far) = duplex(1 << 20);
    (Arc::new(Link::over(id, near, Admission::new(usize::MAX), life)), far)
}

pub(super) fn link(id: u64) -> (Arc<Link>, DuplexStream) {
    link_for(id, HOUR)
}

/// Leaves so many commands on it unanswered.
pub(super) fn keep_busy(link: &Link, commands: usize) {
    for _ in 0..commands {
        _ = link.command(Access::Open, redis::cmd("GET").arg("k"), None, false).expect("it is open");
    }
}

/// Leaves a command on it unanswered until it is doubted.
pub(super) async fn fall_silent(link: &Link) {
    keep_busy(link, 1);
    while !link.is_silent() {
        sleep(SECOND / 10).await;
    }
}

fn links<const COUNT: usize>() -> ([Arc<Link>; COUNT], Vec<DuplexStream>) {
    let mut servers = Vec::new();
    let links = std::array::from_fn(|at| {
        let (link, server) = link(at as u64 + 1);
        servers.push(server);
        link
    });
    (links, servers)
}

/// The number of the link that is offered a request first.
fn first_choice(links: &[Arc<Link>]) -> Option<u64> {
    choose(links, false, |link, _| Some(link.id()))
}

/// The same for somebody whose requests or replies are large.
fn large_choice(links: &[Arc<Link>]) -> Option<u64> {
    choose(links, true, |link, _| Some(link.id()))
}

#[tokio::test]
async fn links_are_filled_in_order() {
    let (links, _servers) = links::<2>();
    keep_busy(&links[0], SPILL_AT - 1);
    assert_eq!(first_choice(&links), Some(1));
    keep_busy(&links[0], 1);
    assert_eq!(first_choice(&links), Some(2));
    keep_busy(&links[1], SPILL_AT + 1);
    assert_eq!(first_choice(&links), Some(1), "both are full, and it has less to do");
}

#[tokio::test]
async fn what_one_link_does_not_take_is_offered_to_the_next() {
    let (links, _servers) = links::<3>();
    let taken = choose(&links, false, |link, access| (link.id() == 3).then_some((link.id(), access)));
    assert_eq!(taken, Some((3, Access::Open)));
    assert_eq!(choose(&links, false, |_, _| None::<()>), None);
    assert_eq!(choose(&[], false, |_, _| Some(())), None);
    assert_eq!(choose(&[], true, |_, _| Some(())), None);
}

#[tokio::test]
async fn small_requests_go_around_a_large_reply_on_its_way() {
    let (links, mut servers) = links::<2>();
    keep_busy(&links[0], 1);
    servers[0].read_exact(&mut [0; 20]).await.unwrap();
    servers[0].write_all(b"$100000\r\nthe first bytes").await.unwrap();
    while !links[0].is_congested() {
        yield_now().await;
    }
    assert_eq!(first_choice(&links), Some(2));
    assert_eq!(first_choice(&links[..1]), Some(1), "better behind it than not at all");
}

#[tokio::test(start_paused = true)]
async fn links_that_may_not_answer_are_used_when_there_are_no_others() {
    let (links, _servers) = links::<3>();
    fall_silent(&links[0]).await;
    assert_eq!((first_choice(&links), large_choice(&links[..2])), (Some(2), Some(2)));
    links[1].divert();
    links[2].retire("a test");
    assert_eq!(first_choice(&links), Some(1), "it is silent, and open");
    links[0].retire("a test");
    let taken = choose(&links, false, |link, access| Some((link.id(), access)));
    assert_eq!(taken, Some((2, Access::Reauthenticating)), "behind its AUTH");
    assert_eq!(large_choice(&links), Some(2));
    links[1].retire("a test");
    assert_eq!((first_choice(&links), large_choice(&links)), (None, None));
}

#[tokio::test]
async fn large_replies_are_kept_to_the_back() {
    let (links, _servers) = links::<4>();
    assert_eq!(large_choice(&links[..1]), Some(1));
    assert_eq!(large_choice(&links[..3]), Some(3));
    keep_busy(&links[3], SPILL_LARGE_AT - 1);
    assert_eq!(large_choice(&links), Some(4));
    keep_busy(&links[3], 1);
    assert_eq!(large_choice(&links), Some(3));
    keep_busy(&links[2], SPILL_LARGE_AT + 1);
    assert_eq!(large_choice(&links), Some(4), "the less busy of the back, though the front has nothing to do");
}

fn pool(size: usize, availability: Arc<Availability>) -> (Arc<Pool>, Roster) {
    Pool::new(size, availability, Leases::new(4))
}

fn ids(links: &[Arc<Link>]) -> Vec<u64> {
    links.iter().map(|link| link.id()).collect()
}

#[tokio::test]
async fn a_link_that_leaves_is_there_until_everything_on_it_is_answered() {
    let (pool, roster) = pool(2, Arc::default());
    let ([first, second], _servers) = links();
    roster.publish(vec![Arc::clone(&first), Arc::clone(&second)], 2);
    assert_eq!((ids(&pool.all_links()), pool.draining()), (vec![1, 2], 0));
    roster.leaves(&first);
    assert_eq!(ids(&pool.all_links()), [1, 2], "it is in both lists for a moment, and shown once");
    roster.publish(vec![second], 1);
    assert_eq!((ids(&pool.snapshot()), ids(&pool.all_links())), (vec![2], vec![2, 1]));
    assert!(pool.link(1).is_none() && pool.link(2).is_some());
    assert_eq!((pool.any_link(1).map(|link| link.id()), pool.draining()), (Some(1), 1));
    assert!(pool.any_link(3).is_none());
    roster.has_left(2);
    assert_eq!(pool.draining(), 1, "that is another one");
    roster.has_left(1);
    assert!(pool.any_link(1).is_none() && pool.draining() == 0);
    roster.leaves(&first);
    pool.clear();
    assert!(pool.snapshot().is_empty() && pool.all_links().is_empty() && first.id() == 1);
}

#[tokio::test]
async fn open_seats_are_counted_without_stand_ins_and_without_what_is_down() {
    let (pool, roster) = pool(3, Arc::default());
    assert_eq!((pool.size(), pool.open_seats(), pool.open_links()), (3, 0, 0));
    let (links, _servers) = links::<3>();
    roster.publish(links.to_vec(), 2);
    assert_eq!((pool.open_seats(), pool.open_links()), (2, 3), "one stands in for another");
    links[0].divert();
    assert_eq!((pool.open_seats(), pool.open_links()), (2, 3), "it takes commands when nothing else does");
    links[0].retire("a test");
    links[1].retire("a test");
    assert_eq!((pool.open_seats(), pool.open_links()), (1, 1));
}

#[tokio::test]
async fn a_pool_grows_and_its_keeper_is_told() {
    let (pool, _roster) = pool(2, Arc::default());
    pool.grow(4);
    pool.keeper.notified().now_or_never().expect("the keeper is told");
    pool.grow(3);
    assert_eq!(pool.size(), 4, "it does not shrink");
}

#[tokio::test]
async fn dials_under_way_are_counted_until_there_is_no_keeper() {
    let (pool, roster) = pool(2, Arc::default());
    roster.dial_began();
    roster.dial_began();
    assert_eq!(pool.dialing(), 2);
    roster.dial_ended();
    assert_eq!((pool.dialing(), pool.has_ended()), (1, false));
    drop(roster);
    assert_eq!((pool.dialing(), pool.has_ended()), (0, true));
}

/// Whether commands that wait for a link are told of `change`.
fn is_told(availability: &Availability, change: impl FnOnce()) -> bool {
    let mut changed = pin!(availability.changed());
    assert!(changed.as_mut().now_or_never().is_none());
    change();
    changed.now_or_never().is_some()
}

/// Not at each failed dial of a node that is gone: there may be thousands of them.
#[tokio::test]
async fn commands_that_wait_are_told_of_what_changes_for_them() {
    let availability = Arc::<Availability>::default();
    let (pool, roster) = pool(1, Arc::clone(&availability));
    let error = || Some(Error::new(ErrorKind::Connect, "refused"));
    assert!(is_told(&availability, || roster.publish(Vec::new(), 0)), "links");
    assert!(is_told(&availability, || roster.wake_commands()), "whatever the keeper tells");
    assert!(is_told(&availability, || roster.note_error(error())), "that no link comes up");
    assert!(!is_told(&availability, || roster.note_error(error())), "they know");
    assert_eq!(pool.last_error().map(|error| error.kind()), Some(ErrorKind::Connect));
    assert!(!is_told(&availability, || roster.note_error(None)), "a link comes with it, which is told");
    assert!(pool.last_error().is_none());
    assert!(is_told(&availability, || drop(roster)), "that nobody opens links any more");
    assert!(!availability.is_closed());
    assert!(is_told(&availability, || availability.close()) && availability.is_closed(), "that it is over");
}

#[test]
fn seats_of_all_pools_are_added_up_while_their_pools_live() {
    let total = SeatTotal::default();
    let (mut one, mut other) = (total.part(), total.clone().part());
    one.set(3);
    other.set(2);
    assert_eq!(total.get(), 5);
    one.set(1);
    assert_eq!(total.get(), 3);
    one.set(4);
    assert_eq!(total.get(), 6);
    drop(one);
    assert_eq!(total.get(), 2);
    other.set(2);
    assert_eq!(total.get(), 2);
}
