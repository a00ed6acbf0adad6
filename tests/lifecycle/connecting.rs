//! Connecting is quick: what can be done at the same time is, and what was agreed on before is not agreed on again.

use common::{
    Azure, Fixture, SECOND,
    distance::Distance,
    eventually, links_up,
    ports::{Deaf, Refusing},
};
use entra_redis::{AccessToken, Config, Credential, EntraRedis, ErrorKind, emulator::Emulator};
use redis::AsyncCommands;
use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

const TOKEN: Duration = Duration::from_millis(500);
const ROUND_TRIP: Duration = Duration::from_millis(500);

/// The emulator's tokens, each of which takes a while to get.
fn slow_tokens(emulator: &Azure) -> Credential {
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
    let (emulator, redis) = Fixture::new().up().await;
    for round in 1..=3 {
        let before = emulator.redis_front().stats();
        emulator.redis_front().cut_all();
        eventually("reconnects", 10 * SECOND, async || {
            (redis.manager().counters().reconnects == 4 * round).then_some(())
        })
        .await;
        links_up(&redis, 4).await;
        let after = emulator.redis_front().stats();
        let (accepted, resumed) = (after.accepted - before.accepted, after.resumed - before.resumed);
        assert_eq!((accepted, resumed), (4, 4), "connections, and those that resumed, in round {round}");
    }
}

#[tokio::test]
async fn a_port_at_which_nobody_listens_says_which_one_the_service_has() {
    let emulator = common::start(Emulator::builder()).await;
    let config = || emulator.config().startup_timeout(SECOND).connect_timeout(SECOND / 2);
    let nobody = Refusing::new();
    let error = EntraRedis::connect("127.0.0.1", nobody.address.port(), config()).await.unwrap_err();
    let shown = error.to_string();
    assert!(shown.contains("no connection to 127.0.0.1:") && shown.contains("refused"), "{shown}");
    assert!(error.hint().is_some_and(|hint| hint.contains("listens on port 10000")), "{shown}");

    // Azure's firewalls swallow what is for a closed port.
    let deaf = Deaf::new();
    let swallowed = deaf.address;
    let resolver = move |_: String, _: u16| async move { Ok::<_, io::Error>(vec![swallowed]) };
    let error = EntraRedis::connect("cache.example", 6379, config().resolver(resolver)).await.unwrap_err();
    assert!(error.to_string().contains("connect_timeout"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("listens on port 10000")), "{error}");

    let resolver = |_: String, _: u16| async { Err::<Vec<_>, _>(io::Error::other("no such host")) };
    let error = EntraRedis::connect("cache.example", 10000, config().resolver(resolver)).await.unwrap_err();
    assert!(error.to_string().contains("cannot resolve the host name of cache.example:10000: no such host"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("DNS")), "{error}");
    let resolver = |_: String, _: u16| std::future::pending::<io::Result<Vec<SocketAddr>>>();
    let error = EntraRedis::connect("cache.example", 10000, config().resolver(resolver)).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Timeout(_)), "{error:?}");
    assert!(error.to_string().contains("cannot resolve the host name of cache.example:10000 within"), "{error}");
}
