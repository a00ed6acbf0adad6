use super::*;
use crate::{admission::Admission, pool::Roster};
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

/// The number of the link that is offered; none if there is a ticket, or nothing.
fn offered(leases: &Arc<Leases>, pool: &Arc<Pool>) -> Option<u64> {
    match leases.offer(pool) {
        Offer::Link(lease) => Some(lease.link().id()),
        Offer::Ticket(_) | Offer::Nothing => None,
    }
}

#[tokio::test]
async fn there_are_so_many_tickets_and_one_more_when_one_is_back() {
    let leases = Leases::new(2);
    let (pool, _roster) = pool(&leases);
    let first = leases.offer(&pool);
    let second = leases.offer(&pool);
    assert!(matches!((&first, &second), (Offer::Ticket(_), Offer::Ticket(_))));
    assert!(matches!(leases.offer(&pool), Offer::Nothing));
    let changed = leases.changed();
    drop(first);
    changed.await;
    assert!(matches!(leases.offer(&pool), Offer::Ticket(_)));
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

#[tokio::test]
async fn who_finds_all_of_them_idle_elsewhere_has_one_closed() {
    let leases = Leases::new(1);
    let ((here, _a), (there, _b)) = (pool(&leases), pool(&leases));
    let Offer::Ticket(ticket) = leases.offer(&here) else { panic!("a ticket") };
    let (link, _far) = link(1);
    leased(&leases, &here, &link).give_back();
    assert!(matches!(leases.offer(&there), Offer::Nothing));
    assert!(!link.is_open(), "it makes room");
    // The place is free when its connection is closed, of which the ticket tells.
    assert!(matches!(leases.offer(&there), Offer::Nothing));
    drop(ticket);
    assert!(matches!(leases.offer(&there), Offer::Ticket(_)));
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
    let Offer::Ticket(ticket) = leases.offer(&pool) else { panic!("a ticket") };
    let there = pool.order_lease(ticket);
    let fill = |link: &Arc<Link>| {
        let order = roster.take_orders().pop().expect("an order");
        order.fill(Arc::clone(link), &pool, &leases);
    };
    fill(&waited_for);
    let lease = there.await.expect("the link is given to who waits").begin();
    assert_eq!(lease.link().id(), 1);

    let Offer::Ticket(ticket) = leases.offer(&pool) else { panic!("a ticket") };
    drop(pool.order_lease(ticket));
    fill(&left);
    drop(pool.order_subscriber());
    fill(&subscriber);
    assert_eq!(far.read(&mut [0]).await.unwrap(), 0, "nobody looks for a subscriber's link among those that wait");
    assert_eq!(offered(&leases, &pool), Some(2));
}
