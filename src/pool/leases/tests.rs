use super::*;
use crate::{admission::Admission, link::Access, pool::Roster};
use futures_util::FutureExt as _;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, DuplexStream, duplex},
    time::advance,
};

const HOUR: Duration = Duration::from_secs(3600);

fn pool(leases: &Arc<Leases>) -> (Arc<Pool>, Roster) {
    Pool::new(1, Arc::default(), Arc::clone(leases))
}

/// A link and the far end of its connection.
fn link(id: u64) -> (Arc<Link>, DuplexStream) {
    let (near, far) = duplex(1024);
    (Arc::new(Link::over(id, near, Admission::new(8), HOUR)), far)
}

/// A link in the hands of a user.
fn leased(leases: &Arc<Leases>, pool: &Arc<Pool>, link: &Arc<Link>) -> Lease {
    Lease::new(Arc::clone(link), Arc::clone(pool), Arc::clone(leases)).begin()
}

/// The number of the link that is offered, if one is.
fn offered(leases: &Arc<Leases>, pool: &Arc<Pool>) -> Option<u64> {
    match leases.offer(pool) {
        Offer::Link(lease) => Some(lease.link().id()),
        Offer::Wait(_) => None,
    }
}

/// Somebody for whom there is no link yet.
fn waiter(leases: &Arc<Leases>, pool: &Arc<Pool>) -> Waiter {
    match leases.offer(pool) {
        Offer::Wait(waiter) => waiter,
        Offer::Link(lease) => panic!("the link {} is offered", lease.link().id()),
    }
}

/// The number of the link that it has been given.
fn given(waiter: &mut Waiter) -> Option<u64> {
    waiter.lease().now_or_never().map(|lease| lease.expect("its pool has a keeper").begin().link().id())
}

#[tokio::test]
async fn there_are_so_many_tickets_and_one_more_when_one_is_back() {
    let leases = Leases::new(2);
    let (pool, roster) = pool(&leases);
    let (first, second, mut third) = (waiter(&leases, &pool), waiter(&leases, &pool), waiter(&leases, &pool));
    assert_eq!([&first, &second, &third].map(Waiter::lacks_room), [false, false, true]);
    assert_eq!(roster.take_orders().len(), 2, "their tickets are back");
    assert_eq!((given(&mut third), third.lacks_room()), (None, false));
    assert_eq!(roster.take_orders().len(), 1);
    assert!(!waiter(&leases, &pool).lacks_room(), "nobody has waited for the other one");
}

/// One who gives a link back and wants one again at once would have it for ever otherwise.
#[tokio::test]
async fn a_link_that_is_given_back_goes_to_whoever_has_waited_longest_for_one_to_there() {
    let leases = Leases::new(8);
    let ((here, roster), (there, _b)) = (pool(&leases), pool(&leases));
    let ((one, _one), (two, _two)) = (link(1), link(2));
    let (first, second) = (leased(&leases, &here, &one), leased(&leases, &here, &two));
    let (mut elsewhere, gone) = (waiter(&leases, &there), waiter(&leases, &here));
    let (mut before, mut behind) = (waiter(&leases, &here), waiter(&leases, &here));
    drop(gone);
    first.give_back();
    assert_eq!(offered(&leases, &here), None, "others have waited for it");
    second.give_back();
    assert_eq!([&mut elsewhere, &mut behind, &mut before].map(given), [None, Some(2), Some(1)]);
    drop((before, behind));
    // What was being opened for them is there for the next one.
    let (three, _three) = link(3);
    let order = roster.take_orders().into_iter().nth(1).expect("one for each");
    order.fill(three, &here, &leases);
    assert_eq!(offered(&leases, &here), Some(3));
}

#[tokio::test]
async fn a_link_given_to_somebody_who_has_gone_goes_to_the_one_behind() {
    let leases = Leases::new(8);
    let (pool, _roster) = pool(&leases);
    let (link, _far) = link(1);
    let lease = leased(&leases, &pool, &link);
    let (first, mut second) = (waiter(&leases, &pool), waiter(&leases, &pool));
    lease.give_back();
    assert_eq!(given(&mut second), None, "it is the first one's");
    drop(first);
    assert_eq!(given(&mut second), Some(1));
}

#[tokio::test]
async fn who_waits_where_nobody_opens_links_any_more_is_told() {
    let leases = Leases::new(1);
    let ((here, roster), (there, other)) = (pool(&leases), pool(&leases));
    let (mut ordered, mut without) = (waiter(&leases, &here), waiter(&leases, &here));
    let mut elsewhere = waiter(&leases, &there);
    drop(roster);
    assert!(ordered.lease().now_or_never().is_some_and(|lease| lease.is_none()));
    assert!(without.lease().now_or_never().is_some_and(|lease| lease.is_none()));
    drop((ordered, without));
    assert_eq!((given(&mut elsewhere), elsewhere.lacks_room()), (None, false), "the ticket has come to it");
    assert_eq!(other.take_orders().len(), 1);
}

#[tokio::test]
async fn somebody_waits_for_a_turn_only_if_all_are_out() {
    let leases = Leases::new(1);
    let turn = leases.turn().await;
    assert!(!leases.has_queue());
    let (mut next, given_up) = (leases.turn(), leases.turn());
    assert!(next.as_mut().now_or_never().is_none() && given_up.now_or_never().is_none());
    assert!(leases.has_queue());
    drop(turn);
    _ = next.await;
    assert!(!leases.has_queue());
}

#[tokio::test]
async fn what_is_given_back_is_for_the_next_user_the_last_used_first() {
    let leases = Leases::new(4);
    let ((here, _a), (there, _b)) = (pool(&leases), pool(&leases));
    let ((one, _one), (two, _two)) = (link(1), link(2));
    let (first, second) = (leased(&leases, &here, &one), leased(&leases, &here, &two));
    one.hold();
    first.give_back();
    second.give_back();
    assert!(!one.is_held(), "what the last user held is let go of");
    assert_eq!(offered(&leases, &there), None, "it leads to another node");
    // An offer that is dropped on its way is there for the next one.
    assert_eq!([offered(&leases, &here), offered(&leases, &here)], [Some(2), Some(2)]);
    two.retire("broken");
    assert_eq!(offered(&leases, &here), Some(1), "what is down is of no use");
}

#[tokio::test]
async fn what_is_dropped_is_closed_at_once() {
    let leases = Leases::new(4);
    let (pool, _roster) = pool(&leases);
    let (link, mut far) = link(1);
    drop(leased(&leases, &pool, &link));
    assert!(!link.is_open());
    // While the link itself is still there.
    assert_eq!(far.read(&mut [0]).await.unwrap(), 0, "the connection has ended");
    assert_eq!(offered(&leases, &pool), None);
}

/// So many links, each with its ticket, which nobody uses.
fn idle<const COUNT: usize>(leases: &Arc<Leases>, pool: &Arc<Pool>) -> [(Arc<Link>, DuplexStream, Ticket); COUNT] {
    let ready: [_; COUNT] = std::array::from_fn(|at| {
        lock(&leases.state).tickets += 1;
        let (link, far) = link(at as u64 + 1);
        (link, far, Ticket(Arc::clone(leases)))
    });
    for (link, ..) in &ready {
        leased(leases, pool, link).give_back();
    }
    ready
}

fn open<const COUNT: usize>(links: &[(Arc<Link>, DuplexStream, Ticket); COUNT]) -> [bool; COUNT] {
    std::array::from_fn(|at| links[at].0.is_open())
}

#[tokio::test]
async fn who_finds_all_of_them_idle_elsewhere_has_one_closed() {
    let leases = Leases::new(1);
    let ((here, _a), (there, _b)) = (pool(&leases), pool(&leases));
    let [(link, _far, ticket)] = idle(&leases, &here);
    let mut waiter = waiter(&leases, &there);
    assert!(!link.is_open(), "it makes room");
    // The place is free when its connection is closed, of which the ticket tells.
    assert_eq!((given(&mut waiter), waiter.lacks_room()), (None, true));
    drop(ticket);
    assert_eq!((given(&mut waiter), waiter.lacks_room()), (None, false));
}

#[tokio::test]
async fn for_each_who_wants_a_place_one_is_closed_whatever_else_happens_meanwhile() {
    let leases = Leases::new(5);
    let ((here, _a), (there, _b)) = (pool(&leases), pool(&leases));
    let (used, _used) = link(9);
    lock(&leases.state).tickets += 1;
    let (user, used_ticket) = (leased(&leases, &here, &used), Ticket(Arc::clone(&leases)));
    let links = idle::<4>(&leases, &here);
    let mut first = waiter(&leases, &there);
    assert_eq!(open(&links), [false, true, true, true]);
    // What comes back, and looks that find nothing.
    for _ in 0..10 {
        leases.idle(&here).expect("three wait").begin().give_back();
        assert!(leases.idle(&there).is_none());
        assert_eq!(given(&mut first), None);
    }
    user.give_back();
    assert_eq!(open(&links), [false, true, true, true]);
    let mut second = waiter(&leases, &there);
    assert_eq!(open(&links).into_iter().filter(|is_open| *is_open).count(), 2);
    let [(.., ticket), rest @ ..] = links;
    drop(ticket);
    assert_eq!((given(&mut first), first.lacks_room(), second.lacks_room()), (None, false, true));
    // There is one on its way for the second, but none for a third.
    drop(second);
    second = waiter(&leases, &there);
    assert_eq!(open(&rest).into_iter().filter(|is_open| *is_open).count(), 2);
    let third = waiter(&leases, &there);
    assert_eq!(open(&rest).into_iter().filter(|is_open| *is_open).count() + usize::from(used.is_open()), 2);
    drop((second, third, used_ticket));
}

/// One whose server says nothing would not be closed for as long as it says nothing.
#[tokio::test]
async fn one_on_which_nothing_is_under_way_is_closed_before_others_and_those_at_once() {
    let leases = Leases::new(2);
    let ((here, _a), (there, _b)) = (pool(&leases), pool(&leases));
    let mut links = idle::<2>(&leases, &here);
    let ping = || redis::cmd("PING");
    _ = links[0].0.command(Access::Own, &ping(), None, false).expect("it is open");
    let first = waiter(&leases, &there);
    assert_eq!(open(&links), [true, false]);
    let second = waiter(&leases, &there);
    assert_eq!(open(&links), [false, false]);
    let mut rest = Vec::new();
    links[0].1.read_to_end(&mut rest).await.unwrap();
    assert!(first.lacks_room() && second.lacks_room());
}

#[tokio::test(start_paused = true)]
async fn what_nobody_uses_for_a_minute_is_closed() {
    let leases = Leases::new(4);
    let ((here, _a), (there, _b)) = (pool(&leases), pool(&leases));
    let ((one, _one), (two, _two)) = (link(1), link(2));
    leased(&leases, &here, &one).give_back();
    leased(&leases, &there, &two).give_back();
    let due = leases.next_to_tidy(&here).unwrap();
    assert_eq!(due, Instant::now() + IDLE);
    advance(IDLE.saturating_sub(Duration::from_millis(1))).await;
    leases.tidy(&here, Instant::now());
    assert!(one.is_open());
    advance(Duration::from_millis(1)).await;
    leases.tidy(&here, Instant::now());
    assert!(!one.is_open() && two.is_open(), "each keeper sees to its own");
    assert_eq!(leases.next_to_tidy(&here), None);
    // Without a keeper there is nobody who looks after them.
    leases.clear(&there);
    assert_eq!(offered(&leases, &there), None);
}

#[tokio::test]
async fn what_is_down_or_belongs_to_a_node_that_is_gone_does_not_wait_for_a_user() {
    let leases = Leases::new(4);
    let (pool, roster) = pool(&leases);
    let ((broken, _broken), (late, _late)) = (link(1), link(2));
    let lease = leased(&leases, &pool, &broken);
    broken.retire("broken");
    lease.give_back();
    assert_eq!(leases.next_to_tidy(&pool), None);
    let lease = leased(&leases, &pool, &late);
    drop(roster);
    lease.give_back();
    assert_eq!(leases.next_to_tidy(&pool), None);
}

#[test]
fn what_its_own_client_closes_is_no_fault_of_the_servers() {
    assert!(is_given_up(UNUSED) && is_given_up(LEFT));
    assert!(!is_given_up("the connection was closed"));
}

#[tokio::test]
async fn what_was_opened_for_somebody_who_has_gone_waits_for_the_next_one_unless_it_is_a_subscribers() {
    let leases = Leases::new(4);
    let (pool, roster) = pool(&leases);
    let ((waited_for, _a), (left, _b), (subscriber, mut far)) = (link(1), link(2), link(3));
    let mut there = waiter(&leases, &pool);
    let fill = |link: &Arc<Link>| {
        let order = roster.take_orders().pop().expect("an order");
        order.fill(Arc::clone(link), &pool, &leases);
    };
    fill(&waited_for);
    let lease = there.lease().await.expect("the link is given to who waits").begin();
    assert_eq!(lease.link().id(), 1);
    drop(there);

    drop(waiter(&leases, &pool));
    fill(&left);
    drop(pool.order_subscriber());
    fill(&subscriber);
    assert_eq!(far.read(&mut [0]).await.unwrap(), 0, "nobody looks for a subscriber's link among those that wait");
    assert_eq!(offered(&leases, &pool), Some(2));
}
