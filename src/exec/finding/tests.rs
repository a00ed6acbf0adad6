use super::*;
use crate::{
    admission::Overload,
    cluster::routing::Found,
    exec::{
        core::Way,
        order::Memory,
        request::CommandRequest,
        scatter::{
            self,
            ground::{Ground, cmd},
        },
        waiting::Turn,
    },
    pool::fixture::HOUR,
    timer::Timers,
};
use futures_util::{FutureExt, TryFutureExt};
use redis::RedisError;
use std::{future::pending, sync::Arc, task::Poll, time::Duration};
use tokio::runtime::Handle;

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

/// The runtime of `connect` stops its timers before everything else of it has ended.
#[tokio::test]
async fn whoever_waits_while_the_runtime_ends_is_told_so() {
    let (mut nowhere, mut ground) = (lost(), Ground::quiet());
    let (timers, end) = Timers::of(Handle::current());
    (nowhere.timers, ground.core.timers) = (timers.clone(), timers);
    let deadline = Instant::now() + HOUR;
    // Nobody has the slot of the first command, and the second one's owner has no link.
    ground.cluster.hand_out(&[(0..=5460, Arc::clone(&ground.nodes[0]))]);
    ground.nodes[0].pool().clear();
    let mut memory = Memory::default();
    let (away, here, mut two) = (cmd("GET a"), cmd("GET b"), redis::pipe());
    two.add_command(away.clone()).add_command(here.clone());
    let [away, here] = [&away, &here].map(|cmd| CommandRequest { cmd, profile: crate::command::profile(cmd) });
    let found = nowhere.begin_once_found(Operation::Pipeline, deadline).boxed();
    let sent = async |request| {
        let mut memory = Memory::default();
        ground.core.send(&request, deadline, &mut memory, Turn::First, Way::Owner).await.map(drop)
    };
    let in_parts = scatter::pipeline(&ground.core, &ground.cluster, &mut memory, &two, (0, 2)).map_ok(drop).boxed();
    let one = sent(away).map_err(RedisError::from).boxed();
    let other_one = sent(here).map_err(RedisError::from).boxed();
    let mut waiting = [found, in_parts, one, other_one];
    for waits in &mut waiting {
        assert!(futures_util::poll!(waits).is_pending());
    }
    drop(end);
    for (number, waits) in waiting.iter_mut().enumerate() {
        let Poll::Ready(Err(error)) = futures_util::poll!(waits) else {
            panic!("number {number} waits on");
        };
        assert_eq!(Error::kind_of(&error), Some(ErrorKind::Closed), "number {number}: {error}");
    }
}
