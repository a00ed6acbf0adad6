//! What goes wrong with credentials, and what a user is told about it: kind, whether it passes by itself, HTTP status,
//! AADSTS number, correlation id, and what to look at.

use common::{Azure, SECOND, eventually, http::Listener, logs, ports::Refusing};
use entra_redis::{
    AccessToken, ClientCertificate, Config, Credential, Error, ErrorKind, ManagedIdentity, RetryPolicy, Stage,
    TokenManagerConfig,
    emulator::{AuthFault, Emulator, IdentityFault},
};
use redis::AsyncCommands;
use serde_json::json;
use std::fs;
use tokio::{
    io::copy_bidirectional,
    net::{TcpSocket, TcpStream},
};

/// The emulator's, in every error of Entra ID's.
const CORRELATION_ID: &str = "7e57e57e-0000-4000-8000-00000000cccc";

async fn azure() -> Azure {
    common::start(Emulator::builder()).await
}

/// The error with which this credential gives no token.
async fn refused(credential: &Credential) -> Error {
    let error = match credential.token_source() {
        Ok(source) => source.fetch().await.unwrap_err(),
        Err(error) => error,
    };
    shown(&error);
    error
}

/// What is shown of the error holds no secret, and all that helps.
fn shown(error: &Error) -> String {
    let text = error.to_string();
    logs::check(&format!("{text} {error:?}"));
    for helpful in [error.hint(), error.correlation_id()].into_iter().flatten() {
        assert!(text.contains(helpful), "{text}");
    }
    text
}

fn imds(emulator: &Azure, identity: ManagedIdentity) -> Credential {
    Credential::managed_identity(identity).imds_host(emulator.imds_host())
}

fn imds_at(url: String) -> Credential {
    Credential::managed_identity(ManagedIdentity::SystemAssigned).imds_host(url)
}

/// There is no IMDS, one may come yet, and elsewhere there are other credentials.
fn not_on_azure(error: &Error) {
    let text = shown(error);
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::CredentialUnavailable, true), "{text}");
    for part in ["no Instance Metadata Service here", "running on Azure", "`AZURE_CLIENT_SECRET`", "`az login`"] {
        assert!(text.contains(part), "no `{part}`: {text}");
    }
}

#[tokio::test]
async fn the_refusals_of_entra_id_by_their_numbers() {
    let emulator = azure().await;
    let credential = emulator.credential();
    for (code, status, hint) in [
        (7_000_215, 401, Some("use the secret's value")),
        (7_000_222, 401, Some("has expired")),
        (700_016, 400, Some("check client id and tenant id")),
        (90_002, 400, Some("check the tenant id")),
        (500_011, 400, Some("check the scope")),
        (50_001, 400, Some("check the scope")),
        (70_011, 400, Some("check the scope")),
        (700_027, 401, Some("the certificate is not one of")),
        (700_024, 401, Some("this machine's clock")),
        (700_211, 401, Some("no federated credential")),
        (700_212, 401, Some("no federated credential")),
        (700_213, 401, Some("no federated credential")),
        (700_025, 401, Some("check the app registration")),
        (650_057, 400, Some("check the app registration")),
        (700_229, 401, Some("may be used as an assertion")),
        (70_001, 400, Some("is disabled")),
        (7_000_112, 400, Some("is disabled")),
        (53_003, 400, Some("Conditional Access")),
        (500_011, 400, Some("az ad sp create --id acca5fbb-b7e4-4009-81f1-37e38fd66d78")),
        (650_052, 400, Some("az ad sp create --id acca5fbb-b7e4-4009-81f1-37e38fd66d78")),
        (650_057, 400, Some("az ad app permission grant --id <CLIENT_ID> --api acca5fbb-b7e4-4009-81f1-37e38fd66d78")),
        (70_023, 400, Some("no federated credential")),
        (700_023, 401, Some("its audience this tenant's token endpoint")),
        (700_236, 400, Some("in the same tenant")),
        (50_013, 401, Some("this machine's clock")),
        (7_000_216, 401, Some("neither a secret nor a certificate")),
        (70_003, 400, None),
    ] {
        emulator.identity().script([IdentityFault::Aadsts(code)]);
        let error = refused(&credential).await;
        let text = error.to_string();
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::CredentialRejected, false), "{text}");
        assert_eq!((error.aadsts(), error.status()), (Some(code), Some(status)), "{text}");
        assert_eq!(error.correlation_id(), Some(CORRELATION_ID), "{text}");
        assert!(text.contains(&format!("AADSTS{code}: ")) && !text.contains("Trace ID"), "{text}");
        match hint {
            Some(hint) => assert!(error.hint().is_some_and(|text| text.contains(hint)), "{text}"),
            None => assert_eq!(error.hint(), None),
        }
    }
    assert_eq!(emulator.identity().requests(), 27, "one request each");
}

#[tokio::test]
async fn what_passes_by_itself_is_transient() {
    let emulator = azure().await;
    let retry_after = 7 * SECOND;
    let numbers = [50_033, 90_006, 90_012, 90_024, 90_033, 90_055, 90_090].map(|code| (code, 503));
    for (code, status) in numbers.into_iter().chain([(50_196, 400)]) {
        emulator.identity().script([IdentityFault::Aadsts(code)]);
        let error = refused(&emulator.credential()).await;
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::TokenEndpoint, true), "{error}");
        assert_eq!((error.aadsts(), error.status()), (Some(code), Some(status)), "{error}");
        assert_eq!(error.correlation_id(), Some(CORRELATION_ID), "{error}");
    }
    for (fault, status, delay) in [
        (IdentityFault::TooManyRequests { retry_after: Some(retry_after) }, Some(429), Some(retry_after)),
        (IdentityFault::TooManyRequests { retry_after: None }, Some(429), None),
        (IdentityFault::Status(500), Some(500), None),
        (IdentityFault::Status(504), Some(504), None),
        (IdentityFault::HtmlStatus(502), Some(502), None),
        (IdentityFault::Reset, None, None),
    ] {
        for credential in [emulator.credential(), imds(&emulator, ManagedIdentity::SystemAssigned)] {
            emulator.identity().script([fault.clone()]);
            let error = refused(&credential).await;
            let got = (error.kind(), error.is_transient(), error.status(), error.retry_after());
            assert_eq!(got, (ErrorKind::TokenEndpoint, true, status, delay), "{fault:?}: {error}");
        }
    }
}

#[tokio::test]
async fn answers_that_are_no_answers() {
    let emulator = azure().await;
    logs::forbid(emulator.client_secret());
    let secret = emulator.client_secret();
    let quoted = json!({"error": "invalid_client", "error_description": format!("AADSTS7000215: not {secret}")});
    let body = |status, body: String| IdentityFault::Body { status, body };
    for (fault, kind, status, says) in [
        (IdentityFault::Html, ErrorKind::TokenEndpoint, 200, "HTML"),
        (IdentityFault::HtmlStatus(407), ErrorKind::TokenEndpoint, 407, "HTML instead of an answer"),
        (IdentityFault::NotJson, ErrorKind::TokenEndpoint, 200, "not a token answer"),
        (IdentityFault::Oversized, ErrorKind::TokenEndpoint, 200, "more than"),
        (body(400, "{}".to_owned()), ErrorKind::TokenEndpoint, 400, "no reason given"),
        (
            body(400, r#"{"error":"interaction_required"}"#.to_owned()),
            ErrorKind::CredentialRejected,
            400,
            "interaction",
        ),
        (body(401, quoted.to_string()), ErrorKind::CredentialRejected, 401, "not [redacted]"),
    ] {
        emulator.identity().script([fault.clone()]);
        let error = refused(&emulator.credential()).await;
        assert_eq!((error.kind(), error.status()), (kind, Some(status)), "{fault:?}: {error}");
        assert!(error.to_string().contains(says), "{fault:?}: {error}");
    }
    for (fault, says) in
        [(IdentityFault::Malformed, "not a JWT"), (IdentityFault::NoExp, "`exp`"), (IdentityFault::Expired, "expired")]
    {
        emulator.identity().script([fault]);
        let error = refused(&emulator.credential()).await;
        assert_eq!(error.kind(), ErrorKind::MalformedToken, "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

/// The mistakes that people make most, made here; two more of them are with the developers' tools.
#[tokio::test]
async fn common_mistakes_are_told_with_what_to_look_at() {
    logs::forbid("wr0ng-secret");
    let (emulator, stranger) = (azure().await, azure().await);
    let (client, secret, tenant) = (emulator.client_id(), emulator.client_secret(), emulator.tenant_id());
    let principal = |client: &str, secret: &str, tenant: &str| {
        Credential::service_principal(client, secret, tenant).authority_host(emulator.authority_host())
    };
    let unknown = "7e57e57e-0000-4000-8000-0000000000ff";
    let foreign = ClientCertificate::pem(stranger.client_certificate_pem());
    let foreign = Credential::client_certificate(client, foreign, tenant).authority_host(emulator.authority_host());
    let vault = "https://vault.azure.net/.default";
    for (credential, code, hint) in [
        (principal(client, "wr0ng-secret", tenant), 7_000_215, "use the secret's value"),
        (principal(unknown, secret, tenant), 700_016, "no such application in this tenant"),
        (principal(client, secret, unknown), 90_002, "no such tenant"),
        (principal(client, secret, tenant).scope(vault), 500_011, "https://redis.azure.com/.default"),
        (foreign, 700_027, "the certificate is not one of the app registration's"),
        (principal(client, &format!("{secret}\n"), tenant), 7_000_215, "such as the newline that ends a file"),
        (principal(client, &format!(" {secret}"), tenant), 7_000_215, "whitespace around it"),
        (principal(client, &format!("\"{secret}\""), tenant), 7_000_215, "quotation marks around it"),
        (principal(&format!("{client}\r\n"), secret, tenant), 700_016, "the client id has whitespace around it"),
    ] {
        let error = refused(&credential).await;
        assert_eq!((error.kind(), error.aadsts()), (ErrorKind::CredentialRejected, Some(code)), "{error}");
        assert_eq!(error.correlation_id(), Some(CORRELATION_ID), "{error}");
        assert!(error.hint().is_some_and(|text| text.contains(hint)), "{error}");
    }

    let error = refused(&imds(&emulator, ManagedIdentity::UserAssignedClientId(unknown.to_owned()))).await;
    assert_eq!((error.kind(), error.status()), (ErrorKind::CredentialUnavailable, Some(400)), "{error}");
    assert!(error.hint().is_some_and(|text| text.contains("assign the managed identity")), "{error}");
    let error = refused(&imds(&emulator, ManagedIdentity::SystemAssigned).scope(vault)).await;
    assert_eq!((error.kind(), error.aadsts()), (ErrorKind::CredentialRejected, Some(500_011)), "{error}");
    assert!(error.hint().is_some_and(|text| text.contains("check the scope")), "{error}");

    let asked = emulator.identity().requests();
    let file = "/no/such/file";
    for (credential, kind) in [
        (Credential::workload_identity_with(client, tenant, file), ErrorKind::CredentialUnavailable),
        (Credential::client_certificate(client, ClientCertificate::pem_file(file), tenant), ErrorKind::Configuration),
    ] {
        let error = refused(&credential.authority_host(emulator.authority_host())).await;
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(file), "{error}");
        assert!(error.hint().is_some_and(|text| text.contains("check that the file is there")), "{error}");
    }
    assert_eq!(emulator.identity().requests(), asked, "something was sent");
}

#[tokio::test]
async fn imds_says_what_it_says_and_is_missed_where_it_is_not() {
    let emulator = azure().await;
    let credential = imds(&emulator, ManagedIdentity::SystemAssigned);
    let unknown_source = json!({"error": "unknown_source", "error_description": "Unknown Source"}).to_string();
    let gone = json!({"error": "gone", "error_description": "The service is being updated"}).to_string();
    for (status, body, kind, transient) in [
        (401, &unknown_source, ErrorKind::CredentialRejected, false),
        (404, &gone, ErrorKind::TokenEndpoint, true),
        (410, &gone, ErrorKind::TokenEndpoint, true),
        (500, &unknown_source, ErrorKind::TokenEndpoint, true),
    ] {
        emulator.identity().script([IdentityFault::Body { status, body: body.clone() }]);
        let error = refused(&credential).await;
        let got = (error.kind(), error.is_transient(), error.status());
        assert_eq!(got, (kind, transient, Some(status)), "{error}");
    }

    let (nobody, _logs) = (Refusing::new(), logs::watch());
    not_on_azure(&refused(&imds_at(nobody.url())).await);
}

#[tokio::test]
async fn an_imds_that_somebody_else_answers_for_is_told_as_that_and_not_waited_for() {
    let emulator = azure().await;
    for (status, header, body, says) in [
        ("404 Not Found", "Content-Type: text/html", "<html>404 Not Found</html>", "HTML instead of an answer"),
        ("403 Forbidden", "Content-Type: text/plain", "nicht erreichbar\nsonst nichts", "403): nicht erreichbar"),
        ("403 Forbidden", "Content-Length-Of-Nothing: 0", "", "no reason given"),
        ("401 Unauthorized", "Server: EC2ws", "<?xml version=\"1.0\"?><html/>", "HTML instead of an answer"),
        ("404 Not Found", "Content-Type: application/json", r#"{"code":404,"message":"no such path"}"#, "no such path"),
        ("200 OK", "Content-Type: text/html", "<html>sign in</html>", "HTML instead of an answer"),
    ] {
        let stranger = Listener::answering(status, header, body).await;
        let credential = imds_at(stranger.url());
        let error = refused(&credential).await;
        let got = (error.kind(), error.is_transient(), error.status(), error.retry_after());
        assert_eq!(got, (ErrorKind::TokenEndpoint, false, status[..3].parse().ok(), None), "{error}");
        assert!(error.to_string().contains(says), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("in the place of Azure's Instance Metadata Service")));

        let config = Config::new(credential).tls(emulator.tls());
        let attempt = emulator.try_connect(config);
        let error = common::within("connect ends", 5 * SECOND, attempt).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TokenEndpoint, "{error}");
        assert_eq!(stranger.seen().len(), 2, "one request each");
    }
    // What may pass is asked again, and told with the same hint meanwhile.
    let stranger = Listener::answering("502 Bad Gateway", "Content-Type: text/html", "<html>").await;
    let error = refused(&imds_at(stranger.url())).await;
    assert_eq!((error.kind(), error.is_transient(), error.status()), (ErrorKind::TokenEndpoint, true, Some(502)));
    assert!(error.hint().is_some_and(|hint| hint.contains("a proxy, Docker Desktop")), "{error}");
}

/// Where there has been an IMDS, somebody else is a nuisance that passes; its own answers need no hint.
#[tokio::test]
async fn an_imds_that_is_hidden_for_a_while_is_an_outage() {
    let emulator = azure().await;
    let source = imds(&emulator, ManagedIdentity::SystemAssigned).token_source().unwrap();
    source.fetch().await.unwrap();
    for status in [200, 403, 404, 502] {
        emulator.identity().script([match status {
            200 => IdentityFault::Html,
            _ => IdentityFault::HtmlStatus(status),
        }]);
        let error = source.fetch().await.unwrap_err();
        let got = (error.kind(), error.is_transient(), error.status(), error.retry_after());
        assert_eq!(got, (ErrorKind::TokenEndpoint, true, Some(status), None), "{error}");
    }
    let body = json!({"ErrorCode": "ServiceUnavailable", "ExceptionMessage": "The token service is busy."});
    emulator.identity().script([IdentityFault::Body { status: 503, body: body.to_string() }]);
    let error = refused(&imds(&emulator, ManagedIdentity::SystemAssigned)).await;
    let got = (error.kind(), error.is_transient(), error.status(), error.hint());
    assert_eq!(got, (ErrorKind::TokenEndpoint, true, Some(503), None), "{error}");
    assert!(error.to_string().contains("The token service is busy."), "{error}");
    assert!(source.fetch().await.is_ok());
}

/// As in many places outside of Azure, where the packets to its address are dropped.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_imds_that_nobody_is_connected_to_is_missed_within_seconds() {
    use common::{ports::Deaf, within};

    let emulator = azure().await;
    let deaf = Deaf::new();
    let credential = imds_at(format!("http://{}", deaf.address));
    not_on_azure(&within("a request ends", 5 * SECOND, refused(&credential)).await);

    // After its attempts `connect` says so, and not at the end of `startup_timeout`.
    let retries = RetryPolicy::new().max_attempts(2).delay(SECOND / 100);
    let tokens = TokenManagerConfig::new().retry_policy(retries);
    let config = Config::new(credential).tls(emulator.tls()).token_manager(tokens);
    let attempt = emulator.try_connect(config);
    let error = within("connect ends", 10 * SECOND, attempt).await.unwrap_err();
    not_on_azure(&error);
}

#[tokio::test]
async fn an_imds_that_comes_late_is_found_and_its_silence_is_an_outage_from_then_on() {
    let emulator = azure().await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    let source = imds_at(url).token_source().unwrap();
    not_on_azure(&source.fetch().await.unwrap_err());

    let listener = socket.listen(1).unwrap();
    let imds = emulator.imds_host().replace("http://", "");
    let network = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut imds = TcpStream::connect(imds).await.unwrap();
        // However it ends, it is over then.
        _ = copy_bidirectional(&mut client, &mut imds).await;
    });
    assert_eq!(source.fetch().await.unwrap().source(), Some("imds"));
    common::within("the network is gone", 10 * SECOND, network).await.unwrap();

    let error = source.fetch().await.unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::TokenEndpoint, true), "{error}");
    assert_eq!(error.hint(), None, "{error}");
}

#[tokio::test]
async fn redis_refuses_a_client_id_for_a_user_name_and_whoever_has_no_access_policy() {
    let emulator = azure().await;
    let connect = async |config: Config| {
        let attempt = emulator.try_connect(config.pool_size(1));
        common::within("connect ends", 5 * SECOND, attempt).await.unwrap_err()
    };
    let error = connect(emulator.config().username(emulator.client_id())).await;
    let text = shown(&error);
    assert_eq!(error.kind(), ErrorKind::AuthenticationRejected, "{text}");
    assert!(text.contains(emulator.client_id()) && text.contains("WRONGPASS"), "{text}");
    assert!(error.hint().is_some_and(|hint| hint.contains("object id (not its client id)")), "{text}");

    // The object id is right, the token good, and Redis knows nobody of that name.
    emulator.redis_front().script_first_auth([AuthFault::WrongPass]);
    let error = connect(emulator.config()).await;
    let text = shown(&error);
    assert_eq!(error.kind(), ErrorKind::AuthenticationRejected, "{text}");
    assert!(text.contains(emulator.object_id()), "{text}");
    let hint = error.hint().unwrap();
    // What people try instead: their own user without one, and a group.
    for part in ["the cache needs an access policy assignment", "your own user's", "a group does not count"] {
        assert!(hint.contains(part), "{text}");
    }
}

#[tokio::test]
async fn connect_ends_with_the_credentials_own_error() {
    let emulator = azure().await;
    let retries = RetryPolicy::new().max_attempts(2).delay(SECOND / 100);
    let tokens = TokenManagerConfig::new().retry_policy(retries);
    for (fault, kind) in [
        (IdentityFault::Aadsts(7_000_222), ErrorKind::CredentialRejected),
        (IdentityFault::Aadsts(90_033), ErrorKind::TokenEndpoint),
    ] {
        emulator.identity().fault_all(Some(fault.clone()));
        let config = emulator.config().token_manager(tokens.clone());
        let attempt = emulator.try_connect(config);
        let error = common::within("connect ends", 5 * SECOND, attempt).await.unwrap_err();
        let text = shown(&error);
        assert_eq!(error.kind(), kind, "{fault:?}: {text}");
        assert_eq!(error.correlation_id(), Some(CORRELATION_ID), "{fault:?}");
        assert_eq!(error.hint().is_some(), kind == ErrorKind::CredentialRejected, "{fault:?}");
    }
}

/// A command's error once there is no token, and what it is counted as.
async fn without_a_token(emulator: &Azure, credential: Credential) -> redis::RedisError {
    let retries = RetryPolicy::new().max_attempts(1);
    let tokens = common::by_ratio(0.2).retry_policy(retries);
    let config = Config::new(credential).tls(emulator.tls()).pool_size(1).token_manager(tokens);
    let redis = emulator.connect(config).await;
    eventually("the token dies, and its link", 10 * SECOND, async || {
        let lives = redis.manager().ready() || redis.manager().stats().token.is_some_and(|token| token.in_use);
        (!lives).then_some(())
    })
    .await;
    let error = redis.clone().get::<_, Option<String>>("key").await.unwrap_err();
    let failed = redis.manager().stats().commands.failed;
    assert_eq!((failed.unauthenticated, failed.total()), (1, 1), "{error}: {failed:?}");
    error
}

/// The token is dead, and no kind of error of its source makes a command's error another one's.
fn unauthenticated(error: &redis::RedisError, reason: &str) {
    assert_eq!(error.kind(), redis::ErrorKind::AuthenticationFailed, "{error}");
    assert!(error.to_string().contains(reason), "{error}");
    assert!(!error.is_connection_dropped() && !error.is_timeout() && !error.is_io_error(), "{error}");
    assert_eq!(Error::kind_of(error), None, "{error}");
}

#[tokio::test]
async fn a_command_without_a_token_failed_to_authenticate_whatever_the_sources_error_is() {
    let emulator = common::start(Emulator::builder().token_lifetime(2 * SECOND)).await;
    let failing = |kind| {
        let identity = emulator.identity().clone();
        let first = std::sync::atomic::AtomicBool::new(true);
        let credential = Credential::custom(move || {
            let first = first.swap(false, std::sync::atomic::Ordering::SeqCst);
            let answer = if first {
                AccessToken::from_jwt(identity.issue_token().unwrap())
            } else {
                Err(Error::new(kind, "the broker is away"))
            };
            async move { answer }
        });
        without_a_token(&emulator, credential)
    };
    let kinds = [
        ErrorKind::Configuration,
        ErrorKind::CredentialUnavailable,
        ErrorKind::Connect,
        ErrorKind::Tls,
        ErrorKind::Server,
        ErrorKind::Timeout(Stage::Command),
        ErrorKind::Timeout(Stage::Startup),
        ErrorKind::Overloaded,
        ErrorKind::Closed,
    ];
    for error in futures_util::future::join_all(kinds.map(failing)).await {
        unauthenticated(&error, "the broker is away");
    }
}

#[tokio::test]
async fn a_certificate_file_that_vanishes_is_a_failed_authentication_of_a_command() {
    let emulator = common::start(Emulator::builder().token_lifetime(2 * SECOND)).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("app.pem");
    fs::write(&file, emulator.client_certificate_pem()).unwrap();
    let certificate = ClientCertificate::pem_file(&file);
    let credential = Credential::client_certificate(emulator.client_id(), certificate, emulator.tenant_id())
        .authority_host(emulator.authority_host());
    let gone = async {
        eventually("it is read", 5 * SECOND, async || (emulator.identity().requests() > 0).then_some(())).await;
        fs::remove_file(&file).unwrap();
    };
    let (error, ()) = tokio::join!(without_a_token(&emulator, credential), gone);
    unauthenticated(&error, "app.pem");
}
