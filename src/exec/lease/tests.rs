use super::*;
use crate::{exec::scatter::ground::Ground, pool::fixture::HOUR, timer::Timers};
use tokio::runtime::Handle;

/// The runtime of `connect` stops its timers before everything else of it has ended: by then nobody has closed anything.
#[tokio::test]
async fn whoever_waits_when_the_runtime_ends_is_told_so() {
    let mut ground = Ground::quiet();
    let (timers, end) = Timers::of(Handle::current());
    ground.core.timers = timers;
    drop(end);
    assert!(!ground.core.is_closed());
    for place in [Place::Owner(None), Place::Owner(Some(Slot::MIN))] {
        let none = ground.core.lease(&place, Instant::now() + HOUR).await.err().expect("nobody opens a link");
        assert_eq!(none.error.kind(), ErrorKind::Closed, "{}", none.error);
        assert!(!none.are_in_use);
    }
}
