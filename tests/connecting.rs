//! Connecting is quick: what can be done at the same time is, and what was agreed on before is not agreed on again.

mod common;

use common::{SECOND, distance::Distance, eventually, links_up, logs};
use entra_redis::{AccessToken, Config, Credential, EntraRedis, emulator::Emulator};
use redis::AsyncCommands;
use std::time::{Duration, Instant};

const TOKEN: Duration = Duration::from_millis(500);
const ROUND_TRIP: Duration = Duration::from_millis(500);

/// The emulator's tokens, each of which takes a while to get.
fn slow_tokens(emulator: &Emulator) -> Credential {
    let identity = emulator.identity().clone();
    Credential::custom(move || {
        let token = identity.issue_token().unwrap();
        async move {
            tokio::time::sleep(TOKEN).await;
            AccessToken::from_jwt(token)
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_is_fetched_while_tcp_and_tls_are_set_up() {
    let _logs = logs::watch();
    let emulator = common::start(Emulator::builder()).await;
    let distance = Distance::to(emulator.port(), ROUND_TRIP).await;
    let config = Config::new(slow_tokens(&emulator)).tls(emulator.tls());

    let began = Instant::now();
    let redis = EntraRedis::connect(emulator.host(), distance.port, config).await.unwrap();
    let connected = began.elapsed();
    let () = redis.clone().set("key", 1).await.unwrap();
    let answered = began.elapsed();

    // TLS takes one round trip, and so do the first AUTH and the first command.
    let least = TOKEN.max(ROUND_TRIP) + ROUND_TRIP;
    let one_by_one = TOKEN + ROUND_TRIP + ROUND_TRIP;
    assert!(connected >= least, "{connected:?}: something was not slow, and the test proves nothing");
    assert!(connected < one_by_one, "{connected:?}: the token and TLS waited for each other");
    assert!(answered < one_by_one + ROUND_TRIP, "{answered:?}: the first command took more than a round trip");
}

#[tokio::test]
async fn reconnects_resume_the_tls_session() {
    let _logs = logs::watch();
    let emulator = common::start(Emulator::builder()).await;
    let redis = EntraRedis::connect(emulator.host(), emulator.port(), emulator.config()).await.unwrap();
    links_up(&redis, 4).await;
    for round in 1..=3 {
        let before = emulator.gate().stats();
        emulator.gate().cut_all();
        eventually("reconnects", 10 * SECOND, async || {
            (redis.manager().counters().reconnects == 4 * round).then_some(())
        })
        .await;
        links_up(&redis, 4).await;
        let after = emulator.gate().stats();
        let (accepted, resumed) = (after.accepted - before.accepted, after.resumed - before.resumed);
        assert_eq!((accepted, resumed), (4, 4), "connections, and those that resumed, in round {round}");
    }
}
