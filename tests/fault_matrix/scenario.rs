//! What happens in a cell, and what has to hold after it.

use super::{
    cells::{Moment, Topology},
    ground::{COMMAND_TIMEOUT, Ground, STARTUP_TIMEOUT},
    watch,
};
use common::{
    SECOND, all_current, eventually,
    fault::Stage,
    links_up,
    load::{Load, Report},
    logs, within,
};
use entra_redis::EntraRedis;
use fastrand::Rng;
use redis::AsyncCommands;
use std::time::{Duration, Instant};
use tokio::{runtime::Handle, time::sleep};

/// Tasks that share the client.
const CALLERS: u64 = 4;

/// How long after its deadline the end of something may be seen on a busy machine.
const GRACE: Duration = Duration::from_millis(1500);

/// How long a fault stands once it has struck: longer than a command may take.
const STANDS: Duration = Duration::from_millis(1200);

/// From the end of a fault until everything is well again: what hangs is given up after a second or two, and the
/// longest delay between dials is two seconds.
const RECOVERY: Duration = Duration::from_secs(8);

pub async fn play(ground: &Ground, rng: &mut Rng) {
    let redis = if ground.cell.moment == Moment::FirstConnect {
        first_connect(ground).await
    } else {
        within("connect", STARTUP_TIMEOUT + GRACE, ground.connect()).await.unwrap()
    };
    let scenario = async {
        links_up(&redis, ground.cell.topology.nodes() * ground.cell.pool()).await;
        match ground.cell.moment {
            Moment::FirstConnect => {
                let load = Loads::start(ground, &redis).await;
                load.stop(ground).await.assert_unharmed();
            }
            Moment::SteadyLoad | Moment::Rotation | Moment::Reconnect => under_load(ground, &redis, rng).await,
            Moment::Shutdown => shutdown(ground, &redis, rng).await,
        }
        idle(&redis).await;
    };
    tokio::select! {
        () = scenario => {}
        () = watch::bounds(ground, &redis) => unreachable!("the watch never ends"),
    }
}

/// A `connect` that meets the fault ends in time; the next one, once the fault has ended, succeeds. On a cluster the
/// first one succeeds: the other nodes serve, and this one comes later.
async fn first_connect(ground: &Ground) -> EntraRedis {
    let harmless = ground.cell.behaviour.is_harmless();
    ground.strike();
    let attempt = within("the first connect ends", STARTUP_TIMEOUT + GRACE, ground.connect()).await;
    assert!(ground.has_struck(), "the fault has not struck: the cell proves nothing");
    if ground.cell.topology == Topology::Cluster {
        let redis = attempt.expect("two nodes can be reached");
        assert!(redis.manager().health().is_ready());
        let (_, elsewhere) = ground.tags().await;
        let load = Load::gentle_on(&redis, CALLERS / 2, &elsewhere);
        eventually("service elsewhere", 5 * SECOND, async || (load.successes() >= 20).then_some(())).await;
        load.stop().await.assert_unharmed();
        ground.heal();
        return redis;
    }
    ground.heal();
    match attempt {
        Ok(redis) => {
            assert!(harmless, "connected in spite of the fault");
            redis
        }
        Err(error) => {
            logs::check(&format!("{error} {error:?}"));
            assert!(!harmless, "{error}");
            left_nothing(ground).await;
            within("connect after the fault", RECOVERY, ground.connect()).await.unwrap()
        }
    }
}

/// The fault begins under load, stands, and ends; the service is well again soon after.
async fn under_load(ground: &Ground, redis: &EntraRedis, rng: &mut Rng) {
    let load = Loads::start(ground, redis).await;
    struck(ground, rng).await;
    let harmless = ground.cell.behaviour.is_harmless();
    if ground.cell.stage == Stage::Token && ground.cell.moment == Moment::Rotation && !harmless {
        let dead = async || redis.manager().stats().token.is_some_and(|token| !token.in_use).then_some(());
        eventually("the last token dies", 5 * SECOND, dead).await;
    } else {
        sleep(if harmless { STANDS / 4 } else { STANDS }).await;
    }
    ground.heal();
    recovered(ground, redis).await;
    let well_since = Instant::now();
    if ground.cell.moment == Moment::Rotation {
        all_current(redis).await;
    }
    let before = load.here.successes();
    eventually("service", 5 * SECOND, async || (load.here.successes() >= before + 20).then_some(())).await;
    let report = load.stop(ground).await;
    judge(ground, &report);
    let late = report.failures.iter().find(|failure| failure.began >= well_since);
    assert!(late.is_none(), "a command failed after the recovery: {:?}", late.map(|failure| &failure.error));
}

/// The service is shut down while the fault stands.
async fn shutdown(ground: &Ground, redis: &EntraRedis, rng: &mut Rng) {
    let load = Loads::start(ground, redis).await;
    struck(ground, rng).await;
    sleep(Duration::from_millis(rng.u64(..200))).await;
    within("shutdown ends", COMMAND_TIMEOUT + GRACE, redis.shutdown()).await;
    assert!(!redis.manager().ready());
    let refused = within("a command after it", GRACE, redis.clone().set::<_, _, ()>("late", 1)).await.unwrap_err();
    assert_eq!(refused.kind(), redis::ErrorKind::Client, "{refused}");
    let report = load.stop(ground).await;
    judge(ground, &report);
}

/// Callers of the node where the fault is, and on a cluster of another one.
struct Loads {
    here: Load,
    elsewhere: Option<Load>,
}

impl Loads {
    async fn start(ground: &Ground, redis: &EntraRedis) -> Self {
        let loads = match ground.cell.topology {
            Topology::SingleEndpoint => Self { here: Load::gentle(redis, CALLERS), elsewhere: None },
            Topology::Cluster => {
                let (here, elsewhere) = ground.tags().await;
                // As many in all as on a single endpoint, so that a cell takes no more of the machine.
                let on = |tag: &str| Load::gentle_on(redis, CALLERS / 2, tag);
                Self { here: on(&here), elsewhere: Some(on(&elsewhere)) }
            }
        };
        let all_flow = || loads.all().all(|load| load.successes() >= 20);
        eventually("load", 5 * SECOND, async || all_flow().then_some(())).await;
        loads
    }

    fn all(&self) -> impl Iterator<Item = &Load> {
        [&self.here].into_iter().chain(&self.elsewhere)
    }

    /// What the callers of the node with the fault have seen; the others have seen nothing of it.
    async fn stop(self, ground: &Ground) -> Report {
        let ends = COMMAND_TIMEOUT + GRACE;
        if let Some(elsewhere) = self.elsewhere {
            let report = within("every command to another node ends", ends, elsewhere.stop()).await;
            let is_refused = |text: &str| ground.cell.moment == Moment::Shutdown && text.contains("shut down");
            let failed = report.failures.iter().find(|failure| !is_refused(&failure.error.to_string()));
            assert!(failed.is_none(), "a command to another node failed: {:?}", failed.map(|failure| &failure.error));
            assert_eq!(report.wrong_reads, 0, "wrong reads elsewhere");
            let (slowest, latest) = (report.slowest, ground.latest_elsewhere());
            assert!(slowest <= latest, "a command to another node took {slowest:?}, not {latest:?}");
        }
        within("every command ends", ends, self.here.stop()).await
    }
}

/// Begins the fault, at a moment that the seed draws, and waits until somebody has met it.
async fn struck(ground: &Ground, rng: &mut Rng) {
    sleep(Duration::from_millis(rng.u64(..300))).await;
    ground.strike();
    eventually("the fault strikes", 6 * SECOND, async || ground.has_struck().then_some(())).await;
}

/// Waits until every broken connection has been given up, every place is filled and tokens come again, and it stays so
/// for a moment.
async fn recovered(ground: &Ground, redis: &EntraRedis) {
    let (proxy, pool) = (ground.proxy(), ground.cell.pool());
    let deadline = Instant::now() + RECOVERY;
    let mut steady = 0;
    while steady < 20 {
        let stats = redis.manager().stats();
        // Of several nodes, one is nearly always in a rotation, and may have a standby.
        let full = match ground.cell.topology {
            Topology::SingleEndpoint => {
                stats.links.len() == pool && stats.links.iter().all(entra_redis::LinkStats::is_open)
            }
            Topology::Cluster => stats.nodes.iter().all(|node| node.open_links >= pool),
        };
        let clean = proxy.parked() == 0 && proxy.connections() == pool;
        // With a token that is good yet but cannot be renewed, the worst may be still to come.
        let renewed = stats.token.as_ref().is_some_and(|token| token.in_use) && stats.token_error().is_none();
        steady = if full && clean && renewed { steady + 1 } else { 0 };
        assert!(
            Instant::now() < deadline,
            "not well again {RECOVERY:?} after the fault: {} connections, {} of them dead, {stats:?}",
            proxy.connections(),
            proxy.parked(),
        );
        sleep(SECOND / 200).await;
    }
}

fn judge(ground: &Ground, report: &Report) {
    let cell = ground.cell;
    assert_eq!(report.wrong_reads, 0, "wrong reads");
    assert!(report.slowest <= ground.latest(), "a command took {:?}, not {:?}", report.slowest, ground.latest());
    for failure in &report.failures {
        assert!(cell.explains(&failure.error), "nothing here explains this failure: {}", failure.error);
    }
    if cell.moment == Moment::Reconnect && cell.behaviour.is_harmless() {
        // Each caller may lose one command per link that was cut.
        let most = usize::try_from(CALLERS).unwrap() * cell.pool();
        assert!(report.failures.len() <= most, "{} commands failed", report.failures.len());
    }
}

/// Nothing is left on the way, nothing was refused because there was no room, and nothing shown holds a secret.
async fn idle(redis: &EntraRedis) {
    let none = async || (redis.manager().stats().commands.in_flight == 0).then_some(());
    eventually("nothing is in flight", 3 * SECOND, none).await;
    let stats = redis.manager().stats();
    assert_eq!(stats.commands.failed.overloaded, 0);
    logs::check(&format!("{redis:?} {stats:?}"));
}

/// Waits until neither a task nor a connection is left of a client that is gone.
pub async fn left_nothing(ground: &Ground) {
    let tasks = || Handle::current().metrics().num_alive_tasks();
    eventually("all tasks are gone", 5 * SECOND, async || (tasks() == 0).then_some(())).await;
    eventually("all connections are gone", 5 * SECOND, async || ground.is_left().then_some(())).await;
}
