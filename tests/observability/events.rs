//! Events tell every step, and nobody waits for those who listen.

use crate::{HOUR, start, told};
use common::{SECOND, all_current, by_ratio, load::Load, rotations};
use entra_redis::{
    EntraRedis, Event,
    emulator::{Emulator, IdentityFault},
};
use std::{collections::BTreeSet, time::Duration};
use tokio::sync::broadcast::error::RecvError;

fn links(redis: &EntraRedis) -> BTreeSet<u64> {
    redis.manager().stats().links.iter().map(|link| link.link).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_is_told_step_by_step() {
    let emulator = start(Emulator::builder().token_lifetime(HOUR)).await;
    let redis = emulator.up(emulator.config().token_manager(by_ratio(0.5)), 3).await;
    let mut events = redis.manager().events();
    redis.manager().refresh_token();

    let first = told(&mut events, "the first event", Some).await;
    let Event::TokenRefreshed { generation, lifetime, next_refresh, .. } = first else {
        panic!("{first:?}");
    };
    assert_eq!(generation, 2);
    assert!(lifetime > HOUR - 5 * SECOND && lifetime < HOUR + 5 * SECOND, "{lifetime:?}");
    assert!(next_refresh > lifetime.mul_f64(0.49) && next_refresh < lifetime.mul_f64(0.51), "{next_refresh:?}");
    let mut reauthenticated = BTreeSet::new();
    while reauthenticated.len() < 3 {
        let link = told(&mut events, "a re-AUTH", |event| match event {
            Event::Reauthenticated { link, generation: 2, .. } => Some(link),
            other => panic!("{other:?}"),
        })
        .await;
        assert!(reauthenticated.insert(link), "link {link} was told of twice");
    }
    assert_eq!(reauthenticated, links(&redis));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_link_is_told_with_the_one_that_replaces_it() {
    let emulator = start(Emulator::builder()).await;
    let redis = emulator.up(emulator.config(), 2).await;
    let before = links(&redis);
    let mut events = redis.manager().events();
    emulator.redis_front().connections()[0].cut();

    let (lost, reason) = told(&mut events, "the loss", |event| match event {
        Event::LinkDown { link, reason, .. } => Some((link, reason)),
        other => panic!("{other:?}"),
    })
    .await;
    assert!(before.contains(&lost) && reason.starts_with("connection "), "link {lost}: {reason}");
    let (new, took) = told(&mut events, "the new link", |event| match event {
        Event::LinkUp { link, generation: 1, reconnect: true, took, .. } => Some((link, took)),
        Event::LinkDrained { .. } => None,
        other => panic!("{other:?}"),
    })
    .await;
    assert!(!before.contains(&new) && !took.is_zero() && took < 10 * SECOND, "link {new} took {took:?}");
    let replaced = told(&mut events, "the replacement", |event| match event {
        Event::LinkReplaced { link, by, .. } => Some((link, by)),
        Event::LinkDrained { .. } => None,
        other => panic!("{other:?}"),
    })
    .await;
    assert_eq!(replaced, (lost, new));
    let mut expected = before;
    expected.remove(&lost);
    expected.insert(new);
    assert_eq!(links(&redis), expected);
}

/// A lone link has a standby for its re-AUTH, which goes again, once what was sent on it is answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stand_in_is_told_from_its_connection_to_its_end() {
    let emulator = start(Emulator::builder().token_lifetime(HOUR)).await;
    let redis = emulator.up(emulator.config(), 1).await;
    let lone = links(&redis);
    let load = Load::start(&redis, 8);
    let mut events = redis.manager().events();
    redis.manager().refresh_token();
    let standby = told(&mut events, "a standby", |event| match event {
        Event::LinkUp { link, generation: 2, reconnect: false, .. } => Some(link),
        Event::TokenRefreshed { .. } => None,
        other => panic!("{other:?}"),
    })
    .await;
    let lone_link = *lone.first().unwrap();
    let address = format!("{}:{}", emulator.host(), emulator.port());
    let first = told(&mut events, "its AUTH", |event| match event {
        Event::Reauthenticated { node, link, generation: 2, .. } => Some((node, link)),
        other => panic!("{other:?}"),
    });
    assert_eq!(first.await, (address.as_str().into(), lone_link));
    let retired = told(&mut events, "its end", |event| match event {
        Event::LinkRetired { node, link, .. } => Some((node, link)),
        other => panic!("{other:?}"),
    });
    assert_eq!(retired.await, (address.as_str().into(), standby));
    let drained = told(&mut events, "its last answer", |event| match event {
        Event::LinkDrained { link, .. } => Some(link),
        other => panic!("{other:?}"),
    });
    assert_eq!(drained.await, standby);
    load.stop().await.assert_unharmed();
    assert_eq!(links(&redis), lone);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_never_reads_slows_nothing() {
    const LINKS: usize = 64;
    let emulator = start(common::emulator(4 * SECOND)).await;
    let tokens = by_ratio(0.15).min_refresh_interval(SECOND / 2);
    let redis = emulator.up(emulator.config().token_manager(tokens), LINKS).await;
    let mut lazy = redis.manager().events();
    let mut eager = redis.manager().events();
    let counted = tokio::spawn(async move {
        let mut reauths = 0;
        while let Ok(event) = eager.recv().await {
            reauths += usize::from(matches!(event, Event::Reauthenticated { .. }));
        }
        reauths
    });
    let before = redis.manager().counters().reauths;
    let load = Load::start(&redis, 16);
    rotations(&redis, 8, 60 * SECOND).await;
    all_current(&redis).await;
    let report = load.stop().await;
    report.assert_unharmed();
    assert!(report.slowest < SECOND, "a command took {:?}", report.slowest);
    let reauths = redis.manager().counters().reauths - before;
    assert!(reauths > 256, "{reauths} re-AUTHs fit into the backlog: the test proves nothing");

    // Who never reads has missed some, and is told so; who reads has missed none.
    assert!(matches!(lazy.recv().await, Err(RecvError::Lagged(missed)) if missed > 0));
    lazy.recv().await.unwrap();
    drop((lazy, redis));
    let seen = common::within("the end of the events", 10 * SECOND, counted).await.unwrap();
    assert!(seen as u64 >= reauths, "{seen} of {reauths} re-AUTHs were seen");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_are_told_with_their_reason_and_the_next_attempt() {
    let emulator = start(Emulator::builder().token_lifetime(HOUR)).await;
    let redis = emulator.up(emulator.config().token_manager(by_ratio(0.5)), 2).await;
    let mut events = redis.manager().events();
    emulator.identity().script(vec![IdentityFault::Status(503); 2]);
    redis.manager().refresh_token();
    for expected in 1..=2 {
        let (error, attempt, retry_in) = told(&mut events, "a failure", |event| match event {
            Event::RefreshFailed { error, attempt, retry_in, .. } => Some((error, attempt, retry_in)),
            other => panic!("{other:?}"),
        })
        .await;
        assert_eq!((attempt, error.status()), (expected, Some(503)));
        assert!(retry_in <= Duration::from_secs(30), "{retry_in:?}");
    }
    told(&mut events, "a new token", |event| match event {
        Event::TokenRefreshed { generation: 2, .. } => Some(()),
        other => panic!("{other:?}"),
    })
    .await;

    emulator.redis_front().refuse_connections(true);
    emulator.redis_front().cut_all();
    let error = told(&mut events, "a dial fails", |event| match event {
        Event::DialFailed { error, retry_in, .. } if retry_in < 30 * SECOND => Some(error),
        _ => None,
    })
    .await;
    assert!(error.to_string().contains(&emulator.port().to_string()), "{error}");
}

/// However the host is written, a node has one name: in events, in statistics, and as the name of the pool.
#[tokio::test]
async fn a_node_has_one_name_in_events_and_in_statistics() {
    let emulator = start(Emulator::builder()).await;
    let redis = EntraRedis::connect("LocalHost", emulator.port(), emulator.config()).await.unwrap();
    let mut events = redis.manager().events();
    emulator.redis_front().connections()[0].cut();
    let node = told(&mut events, "the loss", |event| match event {
        Event::LinkDown { node, .. } => Some(node),
        _ => None,
    })
    .await;
    let stats = redis.manager().stats();
    let name = format!("localhost:{}", emulator.port());
    assert_eq!((&*node, &*stats.nodes[0].address, &*stats.pool), (&*name, &*name, &*name));
}
