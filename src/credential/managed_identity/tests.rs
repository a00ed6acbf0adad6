//! What each place is asked, seen from the other end of the wire.

use super::*;
use crate::{
    credential::test_server::{HttpReply, Server},
    error::ErrorKind,
};
use serde_json::{Value, json};
use std::fs;

const RESOURCE: &str = "https://redis.azure.com";

fn request(identity: &ManagedIdentity) -> Request<'_> {
    Request { identity, resource: RESOURCE, imds_host: None, probe: false }
}

fn user_assigned() -> [ManagedIdentity; 3] {
    [
        ManagedIdentity::UserAssignedClientId("c".to_owned()),
        ManagedIdentity::UserAssignedObjectId("o".to_owned()),
        ManagedIdentity::UserAssignedResourceId("/subscriptions/r".to_owned()),
    ]
}

/// Fetches a token with these variables, in which `SERVER` stands for the server's address; returns the kind of source
/// and what the server saw.
async fn fetch(variables: &[(&str, &str)], identity: &ManagedIdentity) -> (&'static str, Value) {
    let server = Server::start().await;
    server.reply(HttpReply::token());
    let owned: Vec<_> = variables.iter().map(|(name, value)| (*name, value.replace("SERVER", server.url()))).collect();
    let pairs: Vec<_> = owned.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let source = request(identity).source(&ProcessEnv::of_pairs(&pairs)).unwrap();
    let token = source.fetch().await.unwrap();
    (token.source().unwrap(), server.seen().remove(0))
}

fn refusal(variables: &[(&str, &str)], identity: &ManagedIdentity) -> String {
    let Err(error) = request(identity).source(&ProcessEnv::of_pairs(variables)) else {
        panic!("accepted: {variables:?} {identity:?}");
    };
    assert_eq!(error.kind(), ErrorKind::Configuration);
    error.to_string()
}

const APP_SERVICE: [(&str, &str); 2] = [("IDENTITY_ENDPOINT", "SERVER/msi/token"), ("IDENTITY_HEADER", "s3cr3t")];
const MACHINE_LEARNING: [(&str, &str); 2] = [("MSI_ENDPOINT", "SERVER/msi/token"), ("MSI_SECRET", "s3cr3t")];
const CLOUD_SHELL: [(&str, &str); 1] = [("MSI_ENDPOINT", "SERVER/oauth2/token")];
const IMDS: [(&str, &str); 1] = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", "SERVER")];

#[tokio::test]
async fn imds_is_asked_with_its_own_names() {
    let (source, seen) = fetch(&IMDS, &ManagedIdentity::SystemAssigned).await;
    assert_eq!((source, &seen["path"]), ("imds", &json!("/metadata/identity/oauth2/token")));
    assert_eq!(seen["query"], json!({"api-version": "2018-02-01", "resource": RESOURCE}));
    assert_eq!((&seen["method"], &seen["headers"]["metadata"]), (&json!("GET"), &json!("true")));
    for (identity, name) in user_assigned().iter().zip(["client_id", "object_id", "msi_res_id"]) {
        let (_, seen) = fetch(&IMDS, identity).await;
        assert!(seen["query"][name].is_string(), "{name}: {seen}");
    }
}

#[tokio::test]
async fn app_service_is_asked_with_its_own_names() {
    let (source, seen) = fetch(&APP_SERVICE, &ManagedIdentity::SystemAssigned).await;
    assert_eq!((source, &seen["path"]), ("app-service", &json!("/msi/token")));
    assert_eq!(seen["query"], json!({"api-version": "2019-08-01", "resource": RESOURCE}));
    assert_eq!(seen["headers"]["x-identity-header"], "s3cr3t");
    for (identity, name) in user_assigned().iter().zip(["client_id", "principal_id", "mi_res_id"]) {
        let (_, seen) = fetch(&APP_SERVICE, identity).await;
        assert!(seen["query"][name].is_string(), "{name}: {seen}");
    }
}

#[tokio::test]
async fn azure_ml_takes_a_client_id_only() {
    let (source, seen) = fetch(&MACHINE_LEARNING, &ManagedIdentity::SystemAssigned).await;
    assert_eq!((source, &seen["headers"]["secret"]), ("azure-ml", &json!("s3cr3t")));
    assert_eq!(seen["query"], json!({"api-version": "2017-09-01", "resource": RESOURCE}));
    let [client_id, object_id, resource_id] = user_assigned();
    let (_, seen) = fetch(&MACHINE_LEARNING, &client_id).await;
    assert_eq!(seen["query"]["clientid"], "c");
    for identity in [object_id, resource_id] {
        let problem = refusal(&[("MSI_ENDPOINT", "http://127.0.0.1:1"), ("MSI_SECRET", "s")], &identity);
        assert!(problem.starts_with("`managed_identity`") && problem.contains("Machine Learning"), "{problem}");
    }
    let mut with_default = MACHINE_LEARNING.to_vec();
    with_default.push(("DEFAULT_IDENTITY_CLIENT_ID", "d"));
    let (_, seen) = fetch(&with_default, &ManagedIdentity::SystemAssigned).await;
    assert_eq!(seen["query"]["clientid"], "d");
}

#[tokio::test]
async fn cloud_shell_is_posted_a_form() {
    let (source, seen) = fetch(&CLOUD_SHELL, &ManagedIdentity::SystemAssigned).await;
    assert_eq!((source, &seen["method"], &seen["path"]), ("cloud-shell", &json!("POST"), &json!("/oauth2/token")));
    assert_eq!((&seen["form"], &seen["query"]), (&json!({"resource": RESOURCE}), &json!({})));
    assert_eq!(seen["headers"]["metadata"], "true");
}

#[test]
fn what_a_place_does_not_support_is_refused_with_its_name() {
    let arc = [("IDENTITY_ENDPOINT", "http://127.0.0.1:1"), ("IMDS_ENDPOINT", "http://127.0.0.1:1")];
    let fabric = [
        ("IDENTITY_ENDPOINT", "https://localhost:1"),
        ("IDENTITY_HEADER", "s"),
        ("IDENTITY_SERVER_THUMBPRINT", "00112233445566778899aabbccddeeff00112233"),
    ];
    for identity in user_assigned() {
        for (variables, place) in [
            (&arc[..], "Azure Arc"),
            (&fabric[..], "Service Fabric"),
            (&[("MSI_ENDPOINT", "http://127.0.0.1:1")][..], "Cloud Shell"),
        ] {
            let problem = refusal(variables, &identity);
            assert!(problem.starts_with("`managed_identity`") && problem.contains(place), "{problem}");
        }
    }
    assert!(refusal(&[], &ManagedIdentity::UserAssignedClientId(" ".to_owned())).contains("empty id"));
}

#[test]
fn bad_variables_are_named() {
    let thumbprint = "00112233445566778899aabbccddeeff00112233";
    for (variables, name) in [
        (vec![("IDENTITY_ENDPOINT", "://"), ("IDENTITY_HEADER", "s")], "`IDENTITY_ENDPOINT`"),
        (vec![("IDENTITY_ENDPOINT", "http://127.0.0.1:1"), ("IDENTITY_HEADER", "a\nb")], "`IDENTITY_HEADER`"),
        (vec![("MSI_ENDPOINT", "ftp://x")], "`MSI_ENDPOINT`"),
        (
            vec![
                ("IDENTITY_ENDPOINT", "http://localhost:1"),
                ("IDENTITY_HEADER", "s"),
                ("IDENTITY_SERVER_THUMBPRINT", thumbprint),
            ],
            "`IDENTITY_ENDPOINT` must be https",
        ),
        (
            vec![
                ("IDENTITY_ENDPOINT", "https://localhost:1"),
                ("IDENTITY_HEADER", "s"),
                ("IDENTITY_SERVER_THUMBPRINT", "zz"),
            ],
            "`IDENTITY_SERVER_THUMBPRINT`",
        ),
    ] {
        let problem = refusal(&variables, &ManagedIdentity::SystemAssigned);
        assert!(problem.starts_with(name), "{problem}");
    }
}

#[tokio::test]
async fn the_order_of_detection_is_the_documented_one() {
    // Everything at once is App Service; an explicit address is IMDS wherever it runs.
    let everything: Vec<_> =
        APP_SERVICE.into_iter().chain([("IMDS_ENDPOINT", "SERVER")]).chain(MACHINE_LEARNING).chain(IMDS).collect();
    assert_eq!(fetch(&everything, &ManagedIdentity::SystemAssigned).await.0, "app-service");
    // Without its header, and without Arc's variable, the endpoint alone says nothing.
    let half: Vec<_> = APP_SERVICE[..1].iter().copied().chain(MACHINE_LEARNING).collect();
    assert_eq!(fetch(&half, &ManagedIdentity::SystemAssigned).await.0, "azure-ml");
    let empty: Vec<_> = [("IDENTITY_ENDPOINT", ""), ("MSI_ENDPOINT", "")].into_iter().chain(IMDS).collect();
    assert_eq!(fetch(&empty, &ManagedIdentity::SystemAssigned).await.0, "imds");

    let server = Server::start().await;
    server.reply(HttpReply::token());
    let identity = ManagedIdentity::SystemAssigned;
    let explicit = Request { imds_host: Some(server.url()), ..request(&identity) };
    let variables = [("IDENTITY_ENDPOINT", "http://127.0.0.1:1"), ("IDENTITY_HEADER", "s")];
    let token = explicit.source(&ProcessEnv::of_pairs(&variables)).unwrap().fetch().await.unwrap();
    assert_eq!(token.source(), Some("imds"));
}

/// A machine of Azure Arc's: its agent, a server here, writes the challenge file that it names.
async fn arc(
    tokens: &std::path::Path,
    challenge: &str,
    replies: Vec<HttpReply>,
) -> (Result<crate::token::AccessToken, Error>, Server) {
    let server = Server::start().await;
    let headers = vec![("WWW-Authenticate".to_owned(), format!("Basic realm={challenge}"))];
    server.reply(HttpReply { status: 401, headers, body: String::new() });
    for reply in replies {
        server.reply(reply);
    }
    let endpoint = format!("{}/metadata/identity/oauth2/token", server.url());
    let variables = [("IDENTITY_ENDPOINT", endpoint.as_str()), ("IMDS_ENDPOINT", server.url())];
    let mut env = ProcessEnv::of_pairs(&variables);
    env.arc_tokens = tokens.to_owned();
    let source = request(&ManagedIdentity::SystemAssigned).source(&env).unwrap();
    (source.fetch().await, server)
}

#[tokio::test]
async fn arc_is_shown_its_own_file() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("1.key");
    fs::write(&key, "challenge").unwrap();
    let (token, server) = arc(dir.path(), &key.display().to_string(), vec![HttpReply::token()]).await;
    assert_eq!(token.unwrap().source(), Some("arc"));
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    for request in &seen {
        assert_eq!(request["query"], json!({"api-version": "2020-06-01", "resource": RESOURCE}));
        assert_eq!(request["headers"]["metadata"], "true");
    }
    assert_eq!(
        (&seen[0]["headers"]["authorization"], &seen[1]["headers"]["authorization"]),
        (&Value::Null, &json!("Basic challenge"))
    );
}

#[tokio::test]
async fn arc_is_sent_no_other_file() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = dir.path().join("tokens");
    fs::create_dir(&tokens).unwrap();
    fs::write(dir.path().join("secret.key"), "s3cr3t").unwrap();
    fs::write(tokens.join("large.key"), "s3cr3t".repeat(1000)).unwrap();
    fs::write(tokens.join("s.txt"), "s3cr3t").unwrap();
    for path in ["secret.key", "tokens/../secret.key", "tokens/large.key", "tokens/s.txt"] {
        let path = dir.path().join(path);
        let (refused, server) = arc(&tokens, &path.display().to_string(), vec![HttpReply::token()]).await;
        let error = refused.unwrap_err();
        assert!(error.to_string().contains("it is not read"), "{error}");
        assert_eq!(server.seen().len(), 1, "nothing may follow");
    }
}

#[tokio::test]
async fn an_endpoint_that_quotes_its_secret_has_it_blanked() {
    let server = Server::start().await;
    server.reply(HttpReply::json(401, &json!({"statusCode": 401, "message": "wrong header: s3cr3t"})));
    let endpoint = format!("{}/msi/token", server.url());
    let variables = [("IDENTITY_ENDPOINT", endpoint.as_str()), ("IDENTITY_HEADER", "s3cr3t")];
    let source = request(&ManagedIdentity::SystemAssigned).source(&ProcessEnv::of_pairs(&variables)).unwrap();
    let error = source.fetch().await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::CredentialRejected, Some(401)));
    assert!(error.to_string().contains("wrong header: [redacted]"), "{error}");

    // Nor is what the address itself may hold.
    let endpoint = format!("{endpoint}?key=s3cr3t-key#s3cr3t");
    let variables = [("IDENTITY_ENDPOINT", endpoint.as_str()), ("IDENTITY_HEADER", "h34der")];
    server.reply(HttpReply::json(401, &json!({"statusCode": 401, "message": "no"})));
    let source = request(&ManagedIdentity::SystemAssigned).source(&ProcessEnv::of_pairs(&variables)).unwrap();
    let shown = format!("{:?}", source.fetch().await.unwrap_err());
    assert!(shown.contains("/msi/token refused") && !shown.contains("s3cr3t"), "{shown}");
}

/// A client secret may stand there by mistake, and be given back by whoever is asked.
#[tokio::test]
async fn an_id_that_may_be_a_secret_is_not_shown() {
    let swapped = "Kq8~abcdefghijklmnopqrstuvwxyz";
    for variables in [&APP_SERVICE[..], &MACHINE_LEARNING, &IMDS] {
        for probe in [false, true] {
            let server = Server::start().await;
            // Two that IMDS may give, and two that are somebody else's.
            for body in [
                json!({"error": "invalid_request", "error_description": format!("Identity {swapped} not found")}),
                json!({"message": format!("{swapped} is not here")}),
            ] {
                server.reply(HttpReply::json(400, &body));
                server.reply(HttpReply::json(400, &body));
            }
            let owned: Vec<_> =
                variables.iter().map(|(name, value)| (*name, value.replace("SERVER", server.url()))).collect();
            let pairs: Vec<_> = owned.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let identity = ManagedIdentity::UserAssignedClientId(swapped.to_owned());
            let source = Request { probe, ..request(&identity) }.source(&ProcessEnv::of_pairs(&pairs)).unwrap();
            for _ in 0..2 {
                let error = source.fetch().await.unwrap_err();
                assert!(!format!("{error} {error:?}").contains("abcdefgh"), "{error}");
            }
        }
    }
}
