use super::*;
use crate::{admission::Overload, cluster::routing::Found, exec::scatter::ground::Ground, pool::fixture::HOUR};
use std::{future::pending, time::Duration};

/// It is not known where commands go; those that find no room wait.
fn lost() -> Core {
    let mut core = Ground::quiet().core;
    (core.routing, core.overload) = (Found::default(), Overload::Wait);
    core
}

#[tokio::test]
async fn who_waits_is_counted_once_for_room_and_for_a_connection_alike() {
    for in_flight in [64, 0] {
        let core = lost();
        assert!(core.admission.try_acquire_many(in_flight));
        let found = core.begin_once_found(Operation::Pipeline, Instant::now() + HOUR);
        tokio::pin!(found);
        assert!(futures_util::poll!(&mut found).is_pending());
        assert_eq!(core.admission.stats().waiting, 1, "{in_flight} others are in flight");
    }
}

#[tokio::test]
async fn who_waits_in_vain_is_counted_as_failed() {
    let core = lost();
    let soon = || Instant::now() + Duration::from_millis(1);
    core.begin_once_found(Operation::Pipeline, soon()).await.unwrap_err();
    let stats = core.admission.stats();
    assert_eq!((stats.unserved, stats.failed.timed_out, stats.waiting), (1, 1, 0));
    core.within(soon(), pending::<RedisResult<()>>()).await.unwrap_err();
    assert_eq!(core.admission.stats().failed.timed_out, 2);
}
