use super::*;
use crate::{
    exec::scatter::ground::Ground,
    pool::{
        Leases,
        fixture::{HOUR, ordered},
    },
    timer::Timers,
};
use futures_util::FutureExt;
use lonely::{ANYWHERE, Lonely};
use std::{pin::pin, time::Duration};
use tokio::runtime::Handle;

const SECOND: Duration = Duration::from_secs(1);

/// The link that a search has come to.
fn id(lease: Result<(Arc<Node>, Lease), NoLease>) -> u64 {
    lease.unwrap_or_else(|none| panic!("{}", none.error)).1.link().id()
}

/// The dial for it may fail for long, and another user be through with a link that is good.
#[tokio::test]
async fn a_link_that_another_user_gives_back_comes_to_who_waits_for_one_that_is_being_opened() {
    let mut lonely = Lonely::new(8);
    let deadline = Instant::now() + HOUR;
    let other = {
        let order = ordered(&lonely.roster);
        assert!(order.is_empty());
        let core = &lonely.core;
        let mut other = Box::pin(core.lease(&ANYWHERE, deadline));
        assert!(futures_util::poll!(&mut other).is_pending());
        drop(other);
        lonely.open([1]);
        lonely.core.lease(&ANYWHERE, deadline).await.unwrap_or_else(|none| panic!("{}", none.error)).1
    };
    let core = &lonely.core;
    let mut waits = pin!(core.lease(&ANYWHERE, deadline));
    assert!(futures_util::poll!(&mut waits).is_pending());
    other.give_back();
    // Who has just given it back is not before those who wait.
    let mut again = pin!(core.lease(&ANYWHERE, deadline));
    assert!(futures_util::poll!(&mut again).is_pending());
    assert_eq!(id(waits.await), 1);
    assert!(futures_util::poll!(&mut again).is_pending(), "it was dropped, and so closed");
}

#[tokio::test(start_paused = true)]
async fn a_search_that_is_gone_on_with_has_its_order() {
    let mut lonely = Lonely::new(1);
    let mut search = Search::leased();
    for _ in 0..3 {
        let none = lonely.core.lease_by(&mut search, &ANYWHERE, Instant::now() + SECOND).await.err().expect("no link");
        assert!(is_late(&none.error) && !none.are_in_use, "{}", none.error);
    }
    // Its time is over, and another one comes before it goes on.
    let mut other = Search::leased();
    let none = lonely.core.lease_by(&mut other, &ANYWHERE, Instant::now() + SECOND).await.err().expect("no link");
    assert!(none.are_in_use && none.error.to_string().contains("max_leased"), "{}", none.error);
    lonely.open([1]);
    assert_eq!(id(lonely.core.lease_by(&mut search, &ANYWHERE, Instant::now() + SECOND).await), 1);
}

/// Those whose node cannot be reached would have all that there may be, for as long as that lasts.
#[tokio::test(start_paused = true)]
async fn a_search_without_success_lets_those_pass_who_wait_for_a_turn() {
    let mut lonely = Lonely::new(1);
    let (mut first, mut second) = (Search::leased(), Search::leased());
    let attempt = async |core: &Core, search: &mut Search| {
        let attempt = core.lease_by(search, &ANYWHERE, Instant::now() + SECOND).await;
        search.let_pass(&core.leases);
        attempt.map(|(_, lease)| lease)
    };
    assert!(attempt(&lonely.core, &mut first).await.is_err());
    assert!(attempt(&lonely.core, &mut second).await.is_err(), "that one has come too late for the first one's end");
    assert!(attempt(&lonely.core, &mut first).await.is_err(), "it has let the other one pass");
    // What had been ordered for it is not opened any more.
    assert_eq!(ordered(&lonely.roster).len(), 1);
    assert!(attempt(&lonely.core, &mut second).await.is_err());
    lonely.open([1]);
    assert!(attempt(&lonely.core, &mut second).await.is_ok_and(|lease| lease.link().id() == 1));
}

/// A slot that nobody serves is no reason for others to wait.
#[tokio::test]
async fn who_does_not_know_where_to_go_keeps_no_turn() {
    let mut ground = Ground::quiet();
    ground.core.leases = Leases::new(1);
    let (core, cluster) = (&ground.core, ground.core.cluster().unwrap());
    let mut lost = pin!(core.lease(&Place::Owner(Some(Slot::MIN)), Instant::now() + HOUR));
    assert!(futures_util::poll!(&mut lost).is_pending());
    assert!(core.leases.turn().now_or_never().is_none(), "it waits for its node");
    cluster.hand_out(&[]);
    core.availability.announce();
    assert!(futures_util::poll!(&mut lost).is_pending());
    assert!(core.leases.turn().now_or_never().is_some());
}

#[tokio::test]
async fn a_link_that_has_broken_before_it_was_taken_is_none() {
    let mut lonely = Lonely::new(1);
    let deadline = Instant::now() + HOUR;
    let mut search = Search::leased();
    let link = lonely.link(1);
    {
        let mut waits = pin!(lonely.core.lease_by(&mut search, &ANYWHERE, deadline));
        assert!(futures_util::poll!(&mut waits).is_pending());
        let order = ordered(&lonely.roster).pop().expect("one");
        order.fill(Arc::clone(&link), lonely.node.pool(), &lonely.core.leases);
        link.retire("broken");
        assert!(futures_util::poll!(&mut waits).is_pending());
    }
    lonely.open([2]);
    assert_eq!(id(lonely.core.lease_by(&mut search, &ANYWHERE, deadline).await), 2);
}

/// The runtime of `connect` stops its timers before everything else of it has ended: by then nobody has closed
/// anything.
#[tokio::test]
async fn whoever_waits_when_the_runtime_ends_is_told_so() {
    let mut ground = Ground::quiet();
    let (timers, end) = Timers::of(Handle::current());
    ground.core.timers = timers;
    drop(end);
    assert!(!ground.core.availability.is_closed());
    for place in [Place::Owner(None), Place::Owner(Some(Slot::MIN))] {
        let none = ground.core.lease(&place, Instant::now() + HOUR).await.err().expect("nobody opens a link");
        assert_eq!(none.error.kind(), ErrorKind::Closed, "{}", none.error);
        assert!(!none.are_in_use);
    }
}

/// A slot without an owner has no node that would tell of its next one.
#[tokio::test]
async fn the_owner_of_a_slot_is_sought_for_as_long_as_somebody_waits_for_it() {
    let ground = Ground::quiet();
    let (core, cluster) = (&ground.core, ground.core.cluster().unwrap());
    let (place, deadline) = (Place::Owner(Some(Slot::MIN)), Instant::now() + HOUR);
    core.until_up(&place, deadline).await.unwrap();
    cluster.hand_out(&[]);
    let up = async { core.until_up(&place, deadline).await.is_ok() };
    let leased = async { core.lease(&place, deadline).await.is_ok() };
    let subscriber = async { core.subscriber(&place, deadline).await.is_ok() };
    for waits in [up.boxed(), leased.boxed(), subscriber.boxed()] {
        assert!(!cluster.has_seekers());
        let mut waits = waits;
        assert!(futures_util::poll!(&mut waits).is_pending());
        assert!(cluster.has_seekers());
    }
    assert!(!cluster.has_seekers(), "nobody waits any more");
}
