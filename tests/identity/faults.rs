//! The refresh loop never dies, whatever the identity provider does.

use common::{Fixture, SECOND, eventually, links_up, load::Load, logs, rotations, within};
use entra_redis::{
    ErrorKind, RetryPolicy, Stage, TokenManagerConfig,
    emulator::{Emulator, IdentityFault},
};
use redis::AsyncCommands;
use std::time::{Duration, Instant};

/// An outage of this kind, of three token lifetimes.
async fn outage(fault: IdentityFault) {
    let emulator = common::start(common::emulator(2 * SECOND)).await;
    let patience = TokenManagerConfig::new().token_request_execution_timeout(Duration::from_millis(500));
    let redis = emulator.up(emulator.config().token_manager(patience), 4).await;
    rotations(&redis, 2, 10 * SECOND).await;
    let load = Load::gentle(&redis, 4);

    emulator.identity().fault_all(Some(fault.clone()));
    let out = Instant::now();
    let last_valid = redis.manager().stats().token.unwrap().remaining;
    let requests = emulator.identity().requests();
    eventually("the token dies", 10 * SECOND, async || {
        redis.manager().stats().token.is_some_and(|token| !token.in_use).then_some(())
    })
    .await;
    let one = eventually("an error", 5 * SECOND, async || redis.clone().set::<_, _, ()>("k", 1).await.err()).await;
    assert_eq!(one.kind(), redis::ErrorKind::AuthenticationFailed, "{fault:?}: {one}");
    tokio::time::sleep((6 * SECOND).saturating_sub(out.elapsed())).await;
    let asked = emulator.identity().requests() - requests;
    assert!(asked <= 24, "{fault:?}: {asked} requests in six seconds");

    emulator.identity().fault_all(None);
    let back = Instant::now();
    eventually("service is back", 2 * SECOND, async || redis.clone().set::<_, _, ()>("k", 1).await.ok()).await;
    links_up(&redis, 4).await;
    let report = load.stop().await;
    assert_eq!(report.wrong_reads, 0);
    assert!(!report.failures.is_empty());
    for failure in report.failures {
        // A failure while the last token was still good would be ours. It may have come up to a floor later than
        // asked.
        assert!(failure.at - out + SECOND / 2 >= last_valid, "{fault:?}: failed too early: {}", failure.error);
        assert!(failure.at < back + 2 * SECOND, "{fault:?}: failed too late: {}", failure.error);
        let text = failure.error.to_string();
        assert_eq!(failure.error.kind(), redis::ErrorKind::AuthenticationFailed, "{fault:?}: {text}");
        let why = match fault {
            IdentityFault::Status(_) => "503",
            IdentityFault::Hang => "token_request_execution_timeout",
            IdentityFault::Html => "HTML",
            _ => "AADSTS7000215",
        };
        assert!(text.contains(why), "{fault:?}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_three_token_lifetimes_heals_without_a_restart() {
    tokio::join!(
        outage(IdentityFault::Status(503)),
        outage(IdentityFault::Hang),
        outage(IdentityFault::Html),
        outage(IdentityFault::WrongSecret),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_while_the_token_is_good_are_nobodys_business() {
    let (emulator, redis) = Fixture::on_redis(5 * SECOND)
        .config(|config| {
            config.token_manager(
                common::by_ratio(0.2).min_refresh_interval(SECOND / 5).token_request_execution_timeout(SECOND),
            )
        })
        .connect()
        .await;
    let load = Load::start(&redis, 16);
    for fault in [
        IdentityFault::TooManyRequests { retry_after: Some(SECOND) },
        IdentityFault::Status(500),
        IdentityFault::Html,
        IdentityFault::Reset,
        IdentityFault::Hang,
        IdentityFault::NotJson,
        IdentityFault::Expired,
        IdentityFault::Malformed,
        IdentityFault::Oversized,
        IdentityFault::NoExp,
        IdentityFault::NoOid,
    ] {
        emulator.identity().script([fault]);
        let failures = redis.manager().counters().token_failures;
        eventually("the fault strikes", 10 * SECOND, async || {
            (redis.manager().counters().token_failures > failures).then_some(())
        })
        .await;
        rotations(&redis, 1, 10 * SECOND).await;
    }
    load.stop().await.assert_unharmed();
}

#[tokio::test]
async fn connect_reports_the_identity_providers_own_reason() {
    let emulator = common::start(Emulator::builder()).await;
    let retries = RetryPolicy::new().max_attempts(2).delay(Duration::from_millis(10));
    let tokens = TokenManagerConfig::new().retry_policy(retries).token_request_execution_timeout(SECOND / 2);
    for (fault, kind, why) in [
        (IdentityFault::WrongSecret, ErrorKind::CredentialRejected, "AADSTS7000215"),
        (IdentityFault::Html, ErrorKind::TokenEndpoint, "HTML"),
        (IdentityFault::NotJson, ErrorKind::TokenEndpoint, "not a token answer"),
        (IdentityFault::Oversized, ErrorKind::TokenEndpoint, "more than"),
        (IdentityFault::Malformed, ErrorKind::MalformedToken, "not a JWT"),
        (IdentityFault::NoExp, ErrorKind::MalformedToken, "`exp`"),
        (IdentityFault::NoOid, ErrorKind::MalformedToken, "username"),
        (IdentityFault::Expired, ErrorKind::MalformedToken, "expired"),
        (IdentityFault::Status(503), ErrorKind::TokenEndpoint, "503"),
        (IdentityFault::TooManyRequests { retry_after: None }, ErrorKind::TokenEndpoint, "429"),
        (IdentityFault::Reset, ErrorKind::TokenEndpoint, "no answer"),
        (IdentityFault::Hang, ErrorKind::Timeout(Stage::Token), "did not answer"),
    ] {
        emulator.identity().fault_all(Some(fault.clone()));
        let config = emulator.config().token_manager(tokens.clone());
        let attempt = emulator.try_connect(config);
        let error = within("connect ends", 5 * SECOND, attempt).await.unwrap_err();
        logs::check(&format!("{error} {error:?}"));
        assert_eq!(error.kind(), kind, "{fault:?}: {error}");
        assert!(error.to_string().contains(why), "{fault:?}: {error}");
    }
}

#[tokio::test]
async fn connect_gives_up_on_a_hanging_provider_after_the_startup_timeout() {
    let emulator = common::start(Emulator::builder()).await;
    emulator.identity().fault_all(Some(IdentityFault::Hang));
    let config = emulator.config().startup_timeout(SECOND);
    let attempt = emulator.try_connect(config);
    let error = within("connect ends", 3 * SECOND, attempt).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(Stage::Startup));
    assert!(error.to_string().contains("token source"), "{error}");
}

#[tokio::test]
async fn two_failures_then_success_are_three_requests_and_no_error() {
    let emulator = common::start(Emulator::builder()).await;
    emulator.identity().script([IdentityFault::Status(500), IdentityFault::Reset]);
    let redis = emulator.connect(emulator.config().token_manager(common::by_ratio(0.7))).await;
    let _: () = redis.clone().set("key", 1).await.unwrap();
    assert_eq!(emulator.identity().requests(), 3);
}

#[tokio::test]
async fn concurrent_connections_share_one_initial_token() {
    let (emulator, _redis) = Fixture::new().links(16).up().await;
    assert_eq!(emulator.identity().requests(), 1);
    assert_eq!(emulator.redis_front().stats().authentications, 16);
}

#[tokio::test]
async fn a_managed_identity_connects_through_imds() {
    let emulator = common::start(Emulator::builder()).await;
    let redis = emulator.connect(emulator.managed_identity_config()).await;
    let _: () = redis.clone().set("key", 1).await.unwrap();
    assert_eq!(redis.manager().stats().token.unwrap().username, emulator.object_id());
}
