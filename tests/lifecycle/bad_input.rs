//! Bad input is a typed error at once, and names the setting.

use common::{SECOND, logs, server::Certificates, within};
use entra_redis::{
    AccessToken, Config, Credential, EntraRedis, Error, ErrorKind, ManagedIdentity, RetryPolicy, Tls,
    TokenManagerConfig, emulator::Emulator,
};
use std::{fs, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

async fn refused(host: &str, port: u16, config: Config) -> Error {
    let attempt = EntraRedis::connect(host, port, config);
    let error = within("connect ends", 3 * SECOND, attempt).await.unwrap_err();
    logs::check(&format!("{error} {error:?}"));
    error
}

fn config() -> Config {
    Config::new(Credential::service_principal("app", "secret", "tenant"))
}

fn tokens() -> TokenManagerConfig {
    TokenManagerConfig::new()
}

#[tokio::test]
async fn settings_are_checked_before_anything_is_sent() {
    let _logs = logs::watch();
    logs::forbid("sup3rs3cret");
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let (ours, other) = (Certificates::for_name("localhost"), Certificates::for_name("localhost"));
    let mutual =
        |key: &str| Tls::new().ca_pem(&ours.ca).client_cert_pem(&ours.cert).client_key_file(file("key.pem", key));
    let principal = |secret: &str, tenant: &str| Config::new(Credential::service_principal("app", secret, tenant));
    let zero = Duration::ZERO;
    for (setting, host, port, config) in vec![
        ("host", "", 10000, config()),
        ("host", "rediss://cache", 10000, config()),
        ("host", "cache:10000", 10000, config()),
        ("host", "a b", 10000, config()),
        ("port", "localhost", 0, config()),
        ("expiration_refresh_ratio", "localhost", 1, config().token_manager(tokens().expiration_refresh_ratio(0.0))),
        (
            "expiration_refresh_ratio",
            "localhost",
            1,
            config().token_manager(tokens().expiration_refresh_ratio(f64::NAN)),
        ),
        ("expiration_refresh_ratio", "localhost", 1, config().token_manager(tokens().expiration_refresh_ratio(1.1))),
        ("expiration_refresh_ratio", "localhost", 1, config().token_manager(tokens().expiration_refresh_ratio(-0.7))),
        (
            "token_request_execution_timeout",
            "localhost",
            1,
            config().token_manager(tokens().token_request_execution_timeout(zero)),
        ),
        (
            "retry_policy.max_attempts",
            "localhost",
            1,
            config().token_manager(tokens().retry_policy(RetryPolicy::new().max_attempts(0))),
        ),
        ("tenant_id", "localhost", 1, principal("sup3rs3cret", "a/b")),
        ("client_secret", "localhost", 1, principal("", "tenant")),
        ("tls.ca", "localhost", 1, config().tls(Tls::new().ca_file(dir.path().join("missing.pem")))),
        ("tls.ca", "localhost", 1, config().tls(Tls::new().ca_file(file("bad.pem", "not a certificate")))),
        ("tls.client_key", "localhost", 1, config().tls(mutual(&other.key))),
        (
            "tls.client_key",
            "localhost",
            1,
            config().tls(mutual("-----BEGIN PRIVATE KEY-----\nsup3rs3cret\n-----END PRIVATE KEY-----")),
        ),
        (
            "authority_host",
            "localhost",
            1,
            Config::new(Credential::service_principal("app", "s", "t").authority_host("http://login.example.com")),
        ),
        (
            "imds_host",
            "localhost",
            1,
            Config::new(Credential::managed_identity(ManagedIdentity::SystemAssigned).imds_host("")),
        ),
        ("pool_size", "localhost", 1, config().pool_size(0)),
        ("connect_timeout", "localhost", 1, config().connect_timeout(zero)),
        ("auth_timeout", "localhost", 1, config().auth_timeout(zero)),
        ("command_timeout", "localhost", 1, config().command_timeout(zero)),
        ("startup_timeout", "localhost", 1, config().startup_timeout(zero)),
    ] {
        let error = refused(host, port, config).await;
        assert_eq!(error.kind(), ErrorKind::Configuration, "{setting}: {error}");
        assert!(error.to_string().starts_with(&format!("`{setting}`")), "{setting}: {error}");
    }
}

#[tokio::test]
async fn the_identity_provider_refuses_with_its_own_words() {
    logs::forbid("sup3rs3cret");
    let emulator = common::start(Emulator::builder()).await;
    let principal = |id: &str, secret: &str, tenant: &str| {
        let credential = Credential::service_principal(id, secret, tenant).authority_host(emulator.authority_host());
        Config::new(credential).tls(Tls::new().ca_pem(emulator.ca_pem()))
    };
    let (id, tenant) = (emulator.client_id(), emulator.tenant_id());
    for (aadsts, config) in [
        (7_000_215, principal(id, "sup3rs3cret", tenant)),
        (90_002, principal(id, "sup3rs3cret", "no-such-tenant")),
        (700_016, principal("no-such-app", "sup3rs3cret", tenant)),
    ] {
        let error = refused(emulator.host(), emulator.port(), config).await;
        assert_eq!((error.kind(), error.aadsts()), (ErrorKind::CredentialRejected, Some(aadsts)), "{error}");
        assert!(error.to_string().contains(&format!("AADSTS{aadsts}")), "{error}");
        assert!(error.hint().is_some());
    }
}

#[tokio::test]
async fn a_wrong_username_is_an_authentication_error_that_names_it() {
    let emulator = common::start(Emulator::builder()).await;
    for name in [emulator.client_id(), "my-client-id"] {
        let error = refused(emulator.host(), emulator.port(), emulator.config().username(name)).await;
        assert_eq!(error.kind(), ErrorKind::AuthenticationRejected);
        let text = error.to_string();
        assert!(text.contains(name) && text.contains("object id"), "{text}");
    }
}

/// People put access keys there, as in `rediss://KEY@host`.
#[tokio::test]
async fn a_user_name_that_may_be_a_key_is_used_and_shown_nowhere() {
    const KEY: &str = "Kq8x2mB1nS7vLc9RwT4yHzJd6fGpAeUiOaZbXcVdNfQ=";
    let _logs = logs::watch();
    logs::forbid(KEY);
    let emulator = common::start(Emulator::builder()).await;
    let (host, port) = (emulator.host(), emulator.port());
    let credential =
        Credential::service_principal(emulator.client_id(), emulator.client_secret(), emulator.tenant_id())
            .authority_host(emulator.authority_host());
    let of_url = Config::from_url(&format!("rediss://{KEY}@{host}:{port}")).unwrap();
    for config in [emulator.config().username(KEY), of_url.tls(emulator.tls()).credential(credential)] {
        logs::check(&format!("{config:?}"));
        let error = refused(host, port, config).await;
        assert_eq!(error.kind(), ErrorKind::AuthenticationRejected, "{error}");
        assert!(error.to_string().contains("object id"), "{error}");
    }
    assert_eq!(emulator.redis_front().stats().rejected, 2, "the name that was given is the one that is sent");
    let token = AccessToken::opaque("any token", SECOND, KEY).unwrap();
    assert_eq!(token.username(), Some(KEY));
    logs::check(&format!("{token:?}"));
}

/// Servers quote what they do not know; here, what stands in the place of the client id is a secret.
#[tokio::test]
async fn a_client_id_that_may_be_a_secret_is_shown_nowhere() {
    const SECRET: &str = "Kq8~x2mB1nS7vLc9RwT4yHzJd6fGpAeUiOaZbXc";
    let _logs = logs::watch();
    logs::forbid(SECRET);
    let emulator = common::start(Emulator::builder()).await;
    let swapped = Credential::service_principal(SECRET, emulator.client_id(), emulator.tenant_id())
        .authority_host(emulator.authority_host());
    let identity = Credential::managed_identity(ManagedIdentity::UserAssignedClientId(SECRET.to_owned()))
        .imds_host(emulator.imds_host());
    for credential in [swapped, identity] {
        logs::check(&format!("{credential:?}"));
        let error = refused(emulator.host(), emulator.port(), Config::new(credential).tls(emulator.tls())).await;
        assert!(matches!(error.kind(), ErrorKind::CredentialRejected | ErrorKind::CredentialUnavailable), "{error}");
    }
}

#[tokio::test]
async fn tls_problems_say_what_they_are() {
    let emulator = common::start(Emulator::builder()).await;
    let (host, port) = (emulator.host(), emulator.port());

    let stranger = Certificates::for_name("localhost");
    let error = refused(host, port, emulator.config().tls(Tls::new().ca_pem(&stranger.ca))).await;
    assert_eq!(error.kind(), ErrorKind::Tls);
    assert!(error.to_string().contains("not trusted"), "{error}");

    let other_name = Tls::new().ca_pem(emulator.ca_pem()).server_name("cache.example.com");
    let error = refused(host, port, emulator.config().tls(other_name)).await;
    assert_eq!(error.kind(), ErrorKind::Tls);
    assert!(error.to_string().contains("another name"), "{error}");

    // A server that answers TLS with plain text, as Redis without TLS does.
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain_port = plain.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = plain.accept().await {
            use tokio::io::AsyncWriteExt;
            _ = socket.write_all(b"-ERR Protocol error: unauthenticated multibulk length\r\n").await;
            tokio::time::sleep(SECOND).await;
        }
    });
    let error = refused("localhost", plain_port, emulator.config()).await;
    assert_eq!(error.kind(), ErrorKind::Tls);
    assert!(error.to_string().contains("does this port speak TLS?"), "{error}");
}

#[tokio::test]
async fn nobody_there_is_a_connect_error() {
    let emulator = common::start(Emulator::builder()).await;
    let nobody = common::ports::Refusing::new();
    let error = refused("localhost", nobody.address.port(), emulator.config()).await;
    assert_eq!(error.kind(), ErrorKind::Connect);
    let error = refused("no-such-host.invalid", 10000, emulator.config()).await;
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.to_string().contains("no-such-host.invalid"), "{error}");
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_is_a_timeout() {
    let emulator = common::start(Emulator::builder()).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = emulator.config().connect_timeout(SECOND);
    let error = refused("127.0.0.1", silent.local_addr().unwrap().port(), config).await;
    assert_eq!(error.kind(), ErrorKind::Timeout(entra_redis::Stage::Connect));
    assert!(error.to_string().contains("connect_timeout"), "{error}");
}

/// What the server has said counts, though it hangs up on the rest.
#[tokio::test]
async fn a_refusal_is_told_though_the_server_closes_after_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut request = [0; 1024];
        assert!(client.read(&mut request).await.unwrap() > 0);
        client.write_all(b"-WRONGPASS invalid username-password pair or user is disabled.\r\n").await.unwrap();
    });
    let token = || async { AccessToken::opaque("any token", Duration::from_secs(3600), "tester") };
    let config = Config::new(Credential::custom(token)).tls(Tls::dangerously_unencrypted());
    let error = refused("127.0.0.1", port, config).await;
    assert_eq!(error.kind(), ErrorKind::AuthenticationRejected);
}
