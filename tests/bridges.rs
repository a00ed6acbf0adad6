//! The ways to and from other clients: the Azure SDK's credentials as ours, and our tokens for the `redis` crate's own
//! connections.
//!
//! A binary of its own, because the `redis` crate's TLS takes the process's default for cryptography, which this one
//! installs: the other binaries show that this crate needs none. And it needs two features that they do without.

#![cfg(all(feature = "azure-core", feature = "streaming-credentials"))]

#[path = "../src/credential/azure/tests/sdk.rs"]
mod sdk;

use common::{Azure, SECOND, by_ratio, eventually, logs, rotations};
use entra_redis::{
    AccessToken, Config, Credential, EntraCredentials, ErrorKind,
    emulator::{Emulator, FrontConnection, IdentityFault},
};
use redis::{AsyncCommands, AsyncConnectionConfig, Client, TlsCertificates, aio::MultiplexedConnection};
use sdk::Sdk;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

const LIFETIME: Duration = Duration::from_secs(4);

#[tokio::test]
async fn a_credential_of_the_azure_sdk_is_one_of_ours() {
    let emulator = common::start(Emulator::builder().token_lifetime(LIFETIME)).await;
    let identity = emulator.identity().clone();
    let credential = Credential::azure_core(Arc::new(Sdk(move || match identity.issue_token() {
        Ok(token) => Ok(sdk::token(token, LIFETIME)),
        Err(error) => Err(azure_core::Error::new(azure_core::error::ErrorKind::Credential, error)),
    })));
    let config = Config::new(credential).tls(emulator.tls()).token_manager(by_ratio(0.2));
    let redis = emulator.connect(config).await;
    let mut con = redis.clone();
    let _: () = con.set("key", "value").await.unwrap();
    assert_eq!(redis.manager().stats().token.unwrap().username, emulator.object_id());
    rotations(&redis, 2, 20 * SECOND).await;
    assert_eq!(con.get::<_, String>("key").await.unwrap(), "value");
    assert_eq!(emulator.identity().requests(), 0);
}

/// The `redis` crate leaves that to the process.
fn choose_cryptography() {
    // If another test has chosen already, it has chosen the same.
    _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// A connection of the `redis` crate's, which gets its tokens from ours.
async fn connect(emulator: &Azure, credentials: &EntraCredentials) -> redis::RedisResult<MultiplexedConnection> {
    let url = format!("rediss://{}:{}/?protocol=resp3", emulator.host(), emulator.port());
    let certificates = TlsCertificates { client_tls: None, root_cert: Some(emulator.ca_pem().as_bytes().to_vec()) };
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(5 * SECOND))
        .set_response_timeout(Some(5 * SECOND))
        .set_credentials_provider(credentials.clone());
    Client::build_with_tls(url, certificates)?.get_multiplexed_async_connection_with_config(&config).await
}

/// Sends commands on all connections until so many tokens have been asked for.
async fn work_until(emulator: &Azure, tokens: u64, connections: &mut [MultiplexedConnection]) {
    let deadline = Instant::now() + 30 * SECOND;
    while emulator.identity().requests() < tokens {
        assert!(Instant::now() < deadline, "{} tokens instead of {tokens}", emulator.identity().requests());
        for connection in connections.iter_mut() {
            let answer: String = redis::cmd("PING").query_async(connection).await.unwrap();
            assert_eq!(answer, "PONG");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn connections_of_the_redis_crate_live_through_rotations_on_our_tokens() {
    choose_cryptography();
    let emulator = common::start(Emulator::builder().token_lifetime(LIFETIME)).await;
    let credentials = EntraCredentials::start(emulator.credential(), by_ratio(0.5)).unwrap();
    let authentications =
        || -> Vec<u64> { emulator.redis_front().connections().iter().map(FrontConnection::authentications).collect() };
    let mut connections = vec![connect(&emulator, &credentials).await.unwrap()];
    work_until(&emulator, 2, &mut connections).await;
    // The first token, the same again when it subscribes, the second.
    eventually("the second token", 5 * SECOND, async || (authentications() == [3]).then_some(())).await;

    // One that comes late is on the token in use at once; nothing is asked for in its name.
    connections.push(connect(&emulator, &credentials).await.unwrap());
    assert_eq!(emulator.identity().requests(), 2);
    drop(credentials);
    work_until(&emulator, 5, &mut connections).await;
    eventually("the fifth token", 5 * SECOND, async || (authentications() == [6, 5]).then_some(())).await;
    for connection in &mut connections {
        let _: () = connection.set("key", "value").await.unwrap();
    }
    let stats = emulator.redis_front().stats();
    assert_eq!((stats.accepted, stats.expired, stats.rejected), (2, 0, 0));
}

#[tokio::test]
async fn the_redis_crate_is_told_why_there_is_no_token() {
    choose_cryptography();
    let emulator = common::start(Emulator::builder()).await;
    emulator.identity().fault_all(Some(IdentityFault::WrongSecret));
    let credentials = EntraCredentials::start(emulator.credential(), by_ratio(0.5)).unwrap();
    let error = connect(&emulator, &credentials).await.unwrap_err();
    logs::check(&format!("{error} {error:?}"));
    assert_eq!(error.kind(), redis::ErrorKind::AuthenticationFailed);
    assert!(error.to_string().contains("AADSTS7000215"), "{error}");

    // It heals without anybody's help, as ever.
    emulator.identity().fault_all(None);
    let mut connection =
        eventually("a connection", 10 * SECOND, async || connect(&emulator, &credentials).await.ok()).await;
    let _: () = connection.set("key", "value").await.unwrap();
}

/// A token that says nothing of its user.
#[tokio::test]
async fn the_user_name_can_be_given() {
    choose_cryptography();
    let emulator = common::start(Emulator::builder()).await;
    let jwt = emulator.identity().issue_token().unwrap();
    let source = Credential::custom(move || {
        let jwt = jwt.clone();
        async move { AccessToken::opaque(jwt, Duration::from_secs(600), "") }
    });
    let nameless = EntraCredentials::start(source.clone(), by_ratio(0.5)).unwrap();
    let error = connect(&emulator, &nameless).await.unwrap_err();
    assert!(error.to_string().contains("start_with_username"), "{error}");

    let named = EntraCredentials::start_with_username(source.clone(), by_ratio(0.5), emulator.object_id()).unwrap();
    let _: () = connect(&emulator, &named).await.unwrap().set("key", "value").await.unwrap();
    let empty = EntraCredentials::start_with_username(source, by_ratio(0.5), " ").unwrap_err();
    assert_eq!(empty.kind(), ErrorKind::Configuration);
}
