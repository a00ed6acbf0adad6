use super::*;
use crate::{exec::scatter::ground::Ground, pool::fixture::HOUR, timer::Timers};
use futures_util::FutureExt;
use tokio::runtime::Handle;

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
