//! One link's re-AUTH goes wrong: the others and the traffic do not notice, and the link recovers or is replaced.

mod common;

use common::{SECOND, all_current, eventually, links_up, load::Load, logs, rotations};
use entra_redis::{
    EntraRedis,
    emulator::{AuthFault, Emulator},
};

/// Lets the `victim`-th connection answer its next AUTH with `fault`, under load, and looks three rotations later.
/// Returns whether the victim's connection lived on.
async fn survives(fault: AuthFault, victim: usize) -> bool {
    let emulator = common::start(common::emulator(3 * SECOND)).await;
    let redis = connect(&emulator).await;
    links_up(&redis, 4).await;
    let before = emulator.gate().connections();
    let load = Load::start(&redis, 32);
    before[victim].next_auth(fault);
    rotations(&redis, 3, 30 * SECOND).await;
    let failed = async || (redis.manager().counters().reauth_failures > 0).then_some(());
    eventually("the fault has struck", 10 * SECOND, failed).await;
    links_up(&redis, 4).await;
    all_current(&redis).await;
    load.stop().await.assert_unharmed();

    assert_eq!(emulator.gate().stats().expired, 0, "a connection was cut with an expired token");
    for (index, connection) in before.iter().enumerate() {
        assert!(index == victim || connection.is_open(), "connection {index} suffered with {victim}");
    }
    eventually("four connections, no more", 10 * SECOND, async || {
        (emulator.gate().connection_count() == 4).then_some(())
    })
    .await;
    before[victim].is_open()
}

async fn connect(emulator: &Emulator) -> EntraRedis {
    EntraRedis::connect(emulator.host(), emulator.port(), emulator.config()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_auth_that_fails_once_is_retried_on_the_same_connection() {
    let _logs = logs::watch();
    for victim in [0, 3] {
        assert!(survives(AuthFault::Error("ERR temporary failure".to_owned()), victim).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_auth_answered_with_wrongpass_is_retried_with_a_fresh_token() {
    let _logs = logs::watch();
    assert!(survives(AuthFault::WrongPass, 0).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_auth_that_is_never_answered_gets_the_link_replaced() {
    let _logs = logs::watch();
    assert!(!survives(AuthFault::Silent, 0).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_whose_auth_keeps_failing_is_replaced_before_its_token_dies() {
    let _logs = logs::watch();
    let emulator = common::start(common::emulator(6 * SECOND)).await;
    let redis = connect(&emulator).await;
    links_up(&redis, 4).await;
    let victim = emulator.gate().connections().remove(0);
    let load = Load::start(&redis, 32);
    let broken = async || {
        // Each AUTH of this connection fails, however often it is tried.
        victim.next_auth(AuthFault::Error("ERR broken for good".to_owned()));
        (!victim.is_open()).then_some(())
    };
    eventually("the link is replaced", 20 * SECOND, broken).await;
    links_up(&redis, 4).await;
    load.stop().await.assert_unharmed();
    assert_eq!(emulator.gate().stats().expired, 0);
}
