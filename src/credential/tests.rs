//! Settings and variables: what is accepted, what is refused, and with which words. And each kind that goes to the
//! token endpoint, seen from there.

#[cfg(unix)]
mod chain_cases;

use super::{
    certificate::tests::pair,
    test_server::{HttpReply, Server, jwt},
    *,
};
use crate::error::ErrorKind;
use serde_json::{Value, json};
use std::{
    fs,
    sync::atomic::{AtomicU32, Ordering::SeqCst},
};

fn nowhere() -> ProcessEnv {
    ProcessEnv::of_pairs(&[])
}

fn problem(credential: &Credential) -> String {
    let Err(error) = credential.resolve_in(&nowhere()) else { panic!("accepted: {credential:?}") };
    assert_eq!(error.kind(), ErrorKind::Configuration);
    error.to_string()
}

#[test]
fn bad_settings_are_named() {
    let good = || Credential::service_principal("app", "secret", "contoso.com");
    let system = || Credential::managed_identity(ManagedIdentity::SystemAssigned);
    assert!(good().token_source().is_ok());
    for (credential, setting) in [
        (Credential::service_principal("", "secret", "t"), "`client_id`"),
        (Credential::service_principal("app", "", "t"), "`client_secret`"),
        (Credential::service_principal("app", "secret", ""), "`tenant_id`"),
        (Credential::service_principal("app", "secret", "a/b"), "`tenant_id`"),
        (good().scope("https://redis.azure.com"), "`scope`"),
        (good().scope("/.default"), "`scope`"),
        (good().authority_host("http://login.example.com"), "`authority_host`"),
        (good().authority_host("ftp://127.0.0.1"), "`authority_host`"),
        (good().authority_host("https://"), "`authority_host`"),
        (good().authority_host("https://user:pw@host"), "`authority_host`"),
        (system().imds_host("://"), "`imds_host`"),
        (Credential::client_certificate("app", ClientCertificate::pem("x"), "t"), "`client_certificate`"),
        (Credential::client_certificate("app", ClientCertificate::pem_file("/no/such"), "t"), "`client_certificate`"),
        (Credential::workload_identity(), "`AZURE_CLIENT_ID`, `AZURE_TENANT_ID`, `AZURE_FEDERATED_TOKEN_FILE`"),
        (Credential::workload_identity_with("app", "t", ""), "`token_file`"),
        (
            Credential::federated_managed_identity("app", ManagedIdentity::SystemAssigned, "t"),
            "`managed_identity` must be user-assigned",
        ),
        (Credential::azure_cli().tenant_id("a b"), "`tenant_id`"),
        (Credential::azure_developer_cli().scope("a;b/.default"), "`scope`"),
    ] {
        let problem = problem(&credential);
        assert!(problem.starts_with(setting), "{problem}");
    }
    for host in ["http://127.0.0.1:8080", "http://localhost:1/", "http://[::1]:2", "login.microsoftonline.us"] {
        assert!(good().authority_host(host).resolve_in(&nowhere()).is_ok(), "{host}");
    }
}

#[test]
fn the_environment_decides_the_kind() {
    const APP: &str = "7e57e57e-0000-4000-8000-00000000000a";
    const REDIS_APP: &str = "7e57e57e-0000-4000-8000-00000000000b";
    let app = [("AZURE_TENANT_ID", "t.example"), ("AZURE_CLIENT_ID", APP)];
    let shown = |more: &[(&str, &str)]| {
        let all: Vec<_> = app.iter().chain(more).copied().collect();
        format!("{:?}", Credential::from_process_env(&ProcessEnv::of_pairs(&all)).unwrap())
    };
    let secret = ("AZURE_CLIENT_SECRET", "s3cr3t");
    let certificate = ("AZURE_CLIENT_CERTIFICATE_PATH", "/app.pfx");
    let file = ("AZURE_FEDERATED_TOKEN_FILE", "/token");

    let text = shown(&[secret, certificate, file, ("AZURE_AUTHORITY_HOST", "http://127.0.0.1:1")]);
    assert!(
        text.contains(&format!("service principal {APP} in tenant t.example")) && text.contains("127.0.0.1:1"),
        "{text}"
    );
    assert!(!text.contains("s3cr3t") && !text.contains("app.pfx"), "{text}");
    let text = shown(&[certificate, file, ("AZURE_CLIENT_CERTIFICATE_PASSWORD", "s3cr3t")]);
    assert!(text.contains("/app.pfx") && text.contains("send_chain: false") && !text.contains("s3cr3t"), "{text}");
    for yes in ["1", "true", "TRUE"] {
        let text = shown(&[certificate, ("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN", yes)]);
        assert!(text.contains("send_chain: true"), "{text}");
    }
    let text = shown(&[file]);
    assert!(text.contains(&format!("workload identity {APP} in tenant t.example from /token")), "{text}");
    let text = shown(&[secret, ("AZURE_TOKEN_CREDENTIALS", "prod")]);
    assert!(text.contains("default chain"), "{text}");

    let connector = [("AZURE_REDIS_CLIENTID", REDIS_APP), ("AZURE_REDIS_TENANTID", "redis.example")];
    let of_connector = [connector[0], connector[1], ("AZURE_REDIS_CLIENTSECRET", "s3cr3t")];
    let text = shown(&[&of_connector[..], &[secret]].concat());
    assert!(
        text.contains(&format!("service principal {REDIS_APP} in tenant redis.example")) && !text.contains("s3cr3t"),
        "{text}"
    );
    let text = shown(&[connector[0], file]);
    assert!(text.contains(&format!("workload identity {REDIS_APP} in tenant t.example from /token")), "{text}");
    let text = shown(&[connector[0], secret]);
    assert!(text.contains(&format!(r#"UserAssignedClientId(\"{REDIS_APP}\")"#)), "{text}");

    let alone = |pairs: &[(&str, &str)]| format!("{:?}", Credential::from_process_env(&ProcessEnv::of_pairs(pairs)));
    assert!(alone(&[("AZURE_CLIENT_SECRET", "")]).contains("SystemAssigned"));
    assert!(alone(&[("AZURE_CLIENT_ID", APP)]).contains(&format!(r#"UserAssignedClientId(\"{APP}\")"#)));
    // A service principal without its secret is none.
    assert!(alone(&[("AZURE_TENANT_ID", "t.example")]).contains("SystemAssigned"));
    let without_secret = [("AZURE_TENANT_ID", "t.example"), ("AZURE_CLIENT_ID", APP)];
    assert!(alone(&without_secret).contains(&format!(r#"UserAssignedClientId(\"{APP}\")"#)));
}

#[test]
fn what_is_there_in_part_is_an_error_that_names_the_rest() {
    for (pairs, missing) in [
        (&[("AZURE_CLIENT_SECRET", "s")][..], "`AZURE_CLIENT_ID`, `AZURE_TENANT_ID` is missing"),
        (&[("AZURE_CLIENT_CERTIFICATE_PATH", "/x")][..], "`AZURE_CLIENT_ID`, `AZURE_TENANT_ID` is missing"),
        (&[("AZURE_FEDERATED_TOKEN_FILE", "/x"), ("AZURE_CLIENT_ID", "app")][..], "`AZURE_TENANT_ID` is missing"),
        (&[("AZURE_REDIS_CLIENTSECRET", "s")][..], "`AZURE_REDIS_CLIENTID`, `AZURE_REDIS_TENANTID` is missing"),
        (&[("AZURE_TOKEN_CREDENTIALS", "everything")][..], "`AZURE_TOKEN_CREDENTIALS` must be one of"),
    ] {
        let error = Credential::from_process_env(&ProcessEnv::of_pairs(pairs)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().starts_with(missing), "{error}");
    }
}

#[test]
fn a_cloud_takes_the_place_of_the_environments_authority() {
    let variables = [("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "app"), ("AZURE_CLIENT_SECRET", "s")];
    let with_host = [&variables[..], &[("AZURE_AUTHORITY_HOST", "http://127.0.0.1:1")]].concat();
    let credential = Credential::from_process_env(&ProcessEnv::of_pairs(&with_host)).unwrap();
    let shown = |credential: Credential| format!("{credential:?}");
    assert!(shown(credential.clone()).contains("127.0.0.1:1"));
    let chosen = credential.cloud(Cloud::China);
    assert!(!shown(chosen.clone()).contains("127.0.0.1:1"));
    assert!(shown(chosen.authority_host("http://127.0.0.1:2")).contains("127.0.0.1:2"));
}

#[test]
fn debug_shows_no_password_of_a_url() {
    let identity = Credential::managed_identity(ManagedIdentity::SystemAssigned).imds_host("user:s3cr3t@imds");
    for credential in
        [identity, Credential::service_principal("a", "b", "t").authority_host("https://user:s3cr3t@host/x")]
    {
        let shown = format!("{credential:?}");
        assert!(shown.contains("imds\"") || shown.contains("https://host\""), "{shown}");
        assert!(!shown.contains("s3cr3t") && !shown.contains("user:"), "{shown}");
    }
}

/// A credential that asks this server, and nothing of its surroundings.
async fn fetch(credential: Credential, server: &Server) -> Result<crate::token::AccessToken, Error> {
    credential.authority_host(server.url()).resolve_in(&nowhere()).unwrap().fetch().await
}

fn too_late() -> HttpReply {
    let body = json!({
        "error": "invalid_client", "error_codes": [700_024], "correlation_id": "c-1",
        "error_description": "AADSTS700024: Client assertion is not within its valid time range.",
    });
    HttpReply::json(401, &body)
}

#[tokio::test]
async fn a_secret_is_sent_as_a_form() {
    let server = Server::start().await;
    server.reply(HttpReply::token());
    let token = fetch(Credential::service_principal("app", "s&=é", "contoso.com"), &server).await.unwrap();
    assert_eq!((token.source(), token.username()), (Some("service-principal-secret"), Some("me")));
    assert_eq!((token.audience(), token.tenant_id()), (Some("https://redis.azure.com"), Some("the-tenant")));
    let seen = server.seen().remove(0);
    assert_eq!((&seen["method"], &seen["path"]), (&json!("POST"), &json!("/contoso.com/oauth2/v2.0/token")));
    let form = json!({
        "client_id": "app", "client_secret": "s&=é", "grant_type": "client_credentials",
        "scope": "https://redis.azure.com/.default",
    });
    assert_eq!(seen["form"], form);
}

#[tokio::test]
async fn a_server_that_quotes_the_secret_or_redirects_gets_nowhere() {
    let server = Server::start().await;
    server.reply(HttpReply::json(401, &json!({"error": "invalid_client", "error_description": "not s3cr3t"})));
    server.reply(HttpReply {
        status: 307,
        headers: vec![("Location".to_owned(), format!("{}/elsewhere", server.url()))],
        body: String::new(),
    });
    let principal = || Credential::service_principal("app", "s3cr3t", "t");
    let error = fetch(principal(), &server).await.unwrap_err();
    assert!(error.to_string().contains("not [redacted]"), "{error}");
    let error = fetch(principal(), &server).await.unwrap_err();
    assert_eq!(error.status(), Some(307));
    assert_eq!(server.seen().len(), 2, "a redirect was followed");
}

#[tokio::test]
async fn an_assertion_that_comes_too_late_is_made_anew_once() {
    let server = Server::start().await;
    let made = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&made);
    let assertion = move || {
        let number = counter.fetch_add(1, SeqCst);
        async move { Ok(Secret::new(format!("assertion-{number}"))) }
    };
    let credential = Credential::client_assertion("app", assertion, "t");
    server.reply(too_late());
    server.reply(HttpReply::token());
    let token = fetch(credential.clone(), &server).await.unwrap();
    assert_eq!(token.source(), Some("client-assertion"));
    let sent: Vec<_> = server.seen().iter().map(|seen| seen["form"]["client_assertion"].clone()).collect();
    assert_eq!(sent, ["assertion-0", "assertion-1"]);
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    assert_eq!(server.seen()[0]["form"]["client_assertion_type"], kind);

    server.reply(too_late());
    server.reply(too_late());
    let error = fetch(credential, &server).await.unwrap_err();
    assert_eq!((error.aadsts(), error.correlation_id()), (Some(700_024), Some("c-1")));
    assert!(error.hint().is_some_and(|hint| hint.contains("clock")), "{error}");
    assert_eq!(made.load(SeqCst), 4);
}

#[tokio::test]
async fn a_certificate_signs_each_request_anew() {
    let (cert, key) = pair();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.pem");
    let write = |cert: &str, key: &rcgen::KeyPair| fs::write(&path, format!("{cert}{}", key.serialize_pem())).unwrap();
    write(&cert, &key);
    let server = Server::start().await;
    let credential = Credential::client_certificate("app", ClientCertificate::pem_file(&path), "t");
    let source = credential.authority_host(server.url()).resolve_in(&nowhere()).unwrap();
    for _ in 0..2 {
        server.reply(HttpReply::token());
        assert_eq!(source.fetch().await.unwrap().source(), Some("service-principal-certificate"));
    }
    // The certificate is renewed on disk.
    let (cert, key) = pair();
    write(&cert, &key);
    server.reply(HttpReply::token());
    source.fetch().await.unwrap();
    let seen = server.seen();
    let header = |index: usize| {
        let assertion = seen[index]["form"]["client_assertion"].as_str().unwrap();
        jsonwebtoken::decode_header(assertion).unwrap().x5t_s256.unwrap()
    };
    assert_eq!(header(0), header(1));
    assert_ne!(header(1), header(2));
    assert_ne!(seen[0]["form"]["client_assertion"], seen[1]["form"]["client_assertion"]);
    let claims: Value =
        jsonwebtoken::dangerous::insecure_decode_claims(seen[0]["form"]["client_assertion"].as_str().unwrap()).unwrap();
    assert_eq!(claims["aud"], format!("{}/t/oauth2/v2.0/token", server.url()));
}

#[tokio::test]
async fn a_token_file_is_read_at_every_exchange() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    let server = Server::start().await;
    let credential = Credential::workload_identity_with("app", "t", &path);
    let error = fetch(credential.clone(), &server).await.unwrap_err();
    assert_eq!((error.kind(), error.hint()), (ErrorKind::CredentialUnavailable, Some(hints::FILE_MISSING)));
    for (content, problem) in [(&b" \n"[..], "is empty"), (&b"\xff\xfe"[..], "is not text")] {
        fs::write(&path, content).unwrap();
        let error = fetch(credential.clone(), &server).await.unwrap_err();
        assert!(error.to_string().contains(problem), "{error}");
    }
    for content in ["first\n", " second "] {
        fs::write(&path, content).unwrap();
        server.reply(HttpReply::token());
        assert_eq!(fetch(credential.clone(), &server).await.unwrap().source(), Some("workload-identity"));
    }
    let sent: Vec<_> = server.seen().iter().map(|seen| seen["form"]["client_assertion"].clone()).collect();
    assert_eq!(sent, ["first", "second"]);
}

#[tokio::test]
async fn a_managed_identity_is_the_assertion_of_an_app() {
    let server = Server::start().await;
    let assertion = jwt();
    let identity = ManagedIdentity::UserAssignedClientId("mine".to_owned());
    for (cloud, suffix) in [(Cloud::Public, ""), (Cloud::UsGovernment, "USGov"), (Cloud::China, "China")] {
        server.reply(HttpReply::json(200, &json!({"access_token": assertion, "expires_in": "3599"})));
        server.reply(HttpReply::token());
        let credential = Credential::federated_managed_identity("app", identity.clone(), "other-tenant");
        let credential = credential.imds_host(server.url()).cloud(cloud);
        let token = fetch(credential, &server).await.unwrap();
        assert_eq!(token.source(), Some("federated-managed-identity"));
        let seen = server.seen();
        let [asked, exchanged] = &seen[seen.len() - 2..] else { panic!("two requests") };
        assert_eq!(asked["query"]["resource"], format!("api://AzureADTokenExchange{suffix}"));
        assert_eq!(asked["query"]["client_id"], "mine");
        assert_eq!(exchanged["path"], "/other-tenant/oauth2/v2.0/token");
        assert_eq!(exchanged["form"]["client_assertion"], assertion.as_str());
    }
    server.reply(HttpReply::json(400, &json!({"error": "invalid_request", "error_description": "Identity not found"})));
    let credential = Credential::federated_managed_identity("app", identity, "t").imds_host(server.url());
    let error = fetch(credential, &server).await.unwrap_err();
    assert_eq!((error.kind(), error.hint()), (ErrorKind::CredentialUnavailable, Some(hints::IDENTITY_NOT_ASSIGNED)));
    assert!(error.to_string().starts_with("no token of the managed identity itself"), "{error}");
}

#[tokio::test]
async fn the_audience_of_an_exchange_is_that_of_the_authoritys_cloud() {
    let server = Server::start().await;
    for (host, suffix) in [
        ("https://login.microsoftonline.us/common", "USGov"),
        ("login.microsoftonline.us:443", "USGov"),
        ("https://login.partner.microsoftonline.cn:443/contoso.cn/", "China"),
        ("https://login.microsoftonline.com/login.microsoftonline.us", ""),
    ] {
        // The exchange itself, which would go there, does not take place.
        server.reply(HttpReply::json(
            400,
            &json!({"error": "invalid_request", "error_description": "Identity not found"}),
        ));
        let identity = ManagedIdentity::UserAssignedClientId("mine".to_owned());
        let credential = Credential::federated_managed_identity("app", identity, "t").imds_host(server.url());
        let source = credential.authority_host(host).resolve_in(&nowhere()).unwrap();
        source.fetch().await.unwrap_err();
        let asked = server.seen().pop().unwrap();
        assert_eq!(asked["query"]["resource"], format!("api://AzureADTokenExchange{suffix}"), "{host}");
    }
}

/// Everything that is read of the environment.
const VARIABLES: [&str; 18] = [
    "AZURE_TOKEN_CREDENTIALS",
    "AZURE_CLIENT_ID",
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD",
    "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_AUTHORITY_HOST",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "IDENTITY_SERVER_THUMBPRINT",
    "IMDS_ENDPOINT",
    "MSI_ENDPOINT",
    "MSI_SECRET",
    "DEFAULT_IDENTITY_CLIENT_ID",
    "PATH",
];

proptest::proptest! {
    #[test]
    fn no_environment_is_a_reason_to_panic(
        values in proptest::collection::vec((proptest::sample::select(VARIABLES.to_vec()), ".{0,40}"), 0..8),
    ) {
        let pairs: Vec<_> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let env = ProcessEnv::of_pairs(&pairs);
        if let Err(error) = Credential::from_process_env(&env).and_then(|credential| credential.resolve_in(&env)) {
            let kinds = [ErrorKind::Configuration, ErrorKind::CredentialUnavailable];
            proptest::prop_assert!(kinds.contains(&error.kind()), "{}", error);
        }
    }
}
