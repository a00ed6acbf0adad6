//! `entra-redis token`: what it says of a token, when it shows the token itself, and how it fails.

use common::{
    Azure,
    child::{self, Run, Variables},
    logs,
    ports::Refusing,
};
use entra_redis::{
    AccessToken, Config, Credential,
    emulator::{Emulator, IdentityFault},
};
use jiff::Timestamp;
use redis::AsyncCommands;
use serde_json::{Value, json};
use std::time::Duration;

async fn azure() -> Azure {
    let emulator = common::start(Emulator::builder()).await;
    logs::forbid(emulator.client_secret());
    emulator
}

fn application(emulator: &Azure) -> Variables {
    vec![
        ("AZURE_AUTHORITY_HOST", emulator.authority_host()),
        ("AZURE_TENANT_ID", emulator.tenant_id().to_owned()),
        ("AZURE_CLIENT_ID", emulator.client_id().to_owned()),
    ]
}

fn with_secret(emulator: &Azure, secret: &str) -> Variables {
    let mut variables = application(emulator);
    variables.push(("AZURE_CLIENT_SECRET", secret.to_owned()));
    variables
}

/// The names of an object's fields, sorted.
fn names(object: &Value) -> Vec<&str> {
    let mut names: Vec<_> = object.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// A moment as RFC 3339 writes it, in UTC.
fn moment(value: &Value) -> Timestamp {
    let text = value.as_str().unwrap();
    assert!(text.len() == "2026-01-31T23:59:59Z".len() && text.ends_with('Z'), "{text}");
    text.parse().unwrap()
}

/// Whether the run ended in an error that it tells in both ways; returns the JSON.
fn failure(run: &Run) -> Value {
    assert_eq!(run.code, Some(1), "{} {}", run.output, run.complaint);
    assert_eq!(run.output.lines().count(), 1, "{}", run.output);
    let shown = run.json();
    assert_eq!(names(&shown), ["aadsts", "error", "hint", "kind"]);
    assert_eq!(run.complaint.trim_end(), format!("error: {}", shown["error"].as_str().unwrap()));
    if let Some(hint) = shown["hint"].as_str() {
        assert!(run.complaint.contains(hint), "{}", run.complaint);
    }
    shown
}

#[tokio::test]
async fn json_tells_everything_but_the_token() {
    let emulator = azure().await;
    let run = child::token(&["--json"], &with_secret(&emulator, emulator.client_secret())).await;
    assert_eq!((run.code, run.complaint.as_str()), (Some(0), ""));
    assert_eq!(run.output.lines().count(), 1, "{}", run.output);
    let shown = run.json();
    assert_eq!(names(&shown), ["audience", "expires_at", "next_refresh_at", "source", "tenant_id", "user_name"]);
    assert_eq!(shown["user_name"], emulator.object_id());
    assert_eq!(shown["audience"], "https://redis.azure.com");
    assert_eq!(shown["tenant_id"], emulator.tenant_id());
    assert_eq!(shown["source"], "service-principal-secret");
    // A token of an hour is renewed after 0.7 of it.
    let (end, refresh) = (moment(&shown["expires_at"]).as_second(), moment(&shown["next_refresh_at"]).as_second());
    let left = end - Timestamp::now().as_second();
    assert!((3540..=3601).contains(&left), "{left}");
    assert!((1078..=1082).contains(&(end - refresh)), "{shown}");
}

#[tokio::test]
async fn people_are_told_the_same() {
    let emulator = azure().await;
    let run = child::token(&[], &with_secret(&emulator, emulator.client_secret())).await;
    assert_eq!((run.code, run.complaint.as_str()), (Some(0), ""));
    let titles: Vec<_> = run.output.lines().map(|line| line[..14].trim_end()).collect();
    assert_eq!(titles, ["user name", "audience", "tenant", "expires", "next refresh", "source"]);
    for value in [emulator.object_id(), emulator.tenant_id(), "https://redis.azure.com", "service-principal-secret"] {
        assert!(run.output.contains(value), "{value}: {}", run.output);
    }
}

#[tokio::test]
async fn the_token_is_shown_when_it_is_asked_for_and_redis_takes_it() {
    let emulator = azure().await;
    let variables = with_secret(&emulator, emulator.client_secret());
    let shown = child::token(&["--json", "--show-token"], &variables).await.json();
    let (token, user) = (shown["token"].as_str().unwrap(), shown["user_name"].as_str().unwrap());
    let (token, user) = (token.to_owned(), user.to_owned());
    let by_hand = Credential::custom(move || {
        let token = AccessToken::opaque(token.as_str(), Duration::from_secs(60), user.as_str());
        async move { token }
    });
    let config = Config::new(by_hand).tls(emulator.tls());
    let redis = emulator.connect(config).await;
    let _: () = redis.clone().set("key", "value").await.unwrap();

    let run = child::token(&["--show-token"], &variables).await;
    let last = run.output.lines().last().unwrap();
    assert!(last.starts_with("token ") && last.contains("eyJ"), "{}", last.len());
}

#[tokio::test]
async fn every_kind_can_be_named() {
    let emulator = azure().await;
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    // All at once: what is named counts, not what comes first.
    let mut variables = with_secret(&emulator, emulator.client_secret());
    variables.extend([
        ("AZURE_CLIENT_CERTIFICATE_PATH", file("app.pem", &emulator.client_certificate_pem())),
        ("AZURE_FEDERATED_TOKEN_FILE", file("token", &emulator.federated_token())),
    ]);
    for (kind, source) in [
        ("secret", "service-principal-secret"),
        ("certificate", "service-principal-certificate"),
        ("workload", "workload-identity"),
        ("default", "service-principal-secret"),
    ] {
        let run = child::token(&["--credential", kind, "--json"], &variables).await;
        assert_eq!(run.code, Some(0), "{kind}: {}", run.complaint);
        assert_eq!(run.json()["source"], source, "{kind}");
    }

    let mut machine = vec![("AZURE_POD_IDENTITY_AUTHORITY_HOST", emulator.imds_host())];
    let run = child::token(&["--credential", "managed-identity", "--json"], &machine).await.json();
    assert_eq!((run["source"].as_str(), run["user_name"].as_str()), (Some("imds"), Some(emulator.object_id())));
    machine.push(("AZURE_CLIENT_ID", emulator.user_assigned_client_id().to_owned()));
    let run = child::token(&["--credential", "managed-identity", "--json"], &machine).await.json();
    assert_eq!(run["user_name"], emulator.user_assigned_object_id());
    // The default chain looks for IMDS before it asks it, and finds it.
    let run = child::token(&["--credential", "default", "--json"], &machine).await.json();
    assert_eq!(run["source"], "imds", "{run}");
}

#[tokio::test]
async fn failures_are_told_with_their_kind_number_and_hint() {
    logs::forbid("wr0ng-secret");
    let emulator = azure().await;
    let wrong = with_secret(&emulator, "wr0ng-secret");
    let shown = failure(&child::token(&["--json"], &wrong).await);
    assert_eq!(shown["kind"], "CredentialRejected");
    assert_eq!(shown["aadsts"], 7_000_215);
    assert!(shown["hint"].as_str().unwrap().contains("the secret's value"), "{shown}");
    assert!(shown["error"].as_str().unwrap().contains("correlation id"), "{shown}");
    let run = child::token(&[], &wrong).await;
    assert_eq!((run.code, run.output.as_str()), (Some(1), ""));
    assert!(run.complaint.starts_with("error: ") && run.complaint.contains("AADSTS7000215"), "{}", run.complaint);

    let mut workload = application(&emulator);
    workload.push(("AZURE_FEDERATED_TOKEN_FILE", "/no/such/file".to_owned()));
    let of_app = application(&emulator);
    let without_ids = vec![("AZURE_CLIENT_SECRET", emulator.client_secret().to_owned())];
    for (arguments, variables, kind, says) in [
        (&["--json"][..], &without_ids, "Configuration", "`AZURE_CLIENT_ID`, `AZURE_TENANT_ID` is missing"),
        (&["--json", "--credential", "secret"][..], &of_app, "Configuration", "`AZURE_CLIENT_SECRET` is not set"),
        (&["--json", "--credential", "certificate"][..], &of_app, "Configuration", "`AZURE_CLIENT_CERTIFICATE_PATH`"),
        (&["--json", "--credential", "workload"][..], &of_app, "Configuration", "`AZURE_FEDERATED_TOKEN_FILE`"),
        (&["--json", "--credential", "workload"][..], &workload, "CredentialUnavailable", "/no/such/file"),
        (&["--json"], &workload, "CredentialUnavailable", "check that the file is there"),
    ] {
        let shown = failure(&child::token(arguments, variables).await);
        assert_eq!((&shown["kind"], &shown["aadsts"]), (&json!(kind), &Value::Null), "{arguments:?}");
        assert!(shown["error"].as_str().unwrap().contains(says), "{arguments:?}: {shown}");
    }
}

#[tokio::test]
async fn what_passes_by_itself_is_waited_for() {
    let emulator = azure().await;
    let secret = with_secret(&emulator, emulator.client_secret());
    let machine = vec![("AZURE_POD_IDENTITY_AUTHORITY_HOST", emulator.imds_host())];
    for variables in [&secret, &machine] {
        let asks_for_a_second = IdentityFault::TooManyRequests { retry_after: Some(Duration::from_secs(1)) };
        emulator.identity().script([IdentityFault::Status(500), asks_for_a_second]);
        let before = emulator.identity().requests();
        let run = child::token(&["--json"], variables).await;
        assert_eq!((run.code, emulator.identity().requests() - before), (Some(0), 3), "{}", run.complaint);
    }
    emulator.identity().script([IdentityFault::Hang]);
    let stuck = child::token(&["--json"], &secret).await;
    let shown = failure(&stuck);
    assert_eq!((&shown["kind"], shown["hint"].is_string()), (&json!("Timeout"), true), "{shown}");
    assert!(shown["error"].as_str().unwrap().starts_with("no token within 10s"), "{shown}");
}

#[tokio::test]
async fn where_there_is_nothing_each_one_says_why() {
    let (nobody, _logs) = (Refusing::new(), logs::watch());
    let variables = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", nobody.url()), ("PATH", "/no/such/directory".to_owned())];
    let shown = failure(&child::token(&["--credential", "default", "--json"], &variables).await);
    assert_eq!((&shown["kind"], &shown["aadsts"]), (&json!("CredentialUnavailable"), &Value::Null));
    let mut rest = shown["error"].as_str().unwrap();
    for (name, why) in [
        ("EnvironmentCredential: ", "`AZURE_CLIENT_SECRET`"),
        ("WorkloadIdentityCredential: ", "`AZURE_FEDERATED_TOKEN_FILE`"),
        ("ManagedIdentityCredential: ", "no Instance Metadata Service here"),
        ("AzureCliCredential: ", "(`az`) is not installed"),
        ("AzureDeveloperCliCredential: ", "(`azd`) is not installed"),
    ] {
        for part in [name, why] {
            let (_, after) = rest.split_once(part).unwrap_or_else(|| panic!("no `{part}` in its turn: {shown}"));
            rest = after;
        }
    }
    assert!(shown["hint"].as_str().unwrap().contains("az login"), "{shown}");
}

#[cfg(unix)]
#[tokio::test]
async fn developers_are_told_what_is_wrong_with_their_tool() {
    use common::tools::{Tools, prints};

    let emulator = azure().await;
    let token = emulator.identity().issue_token().unwrap();
    let az = prints(&json!({"accessToken": token, "expiresOn": "2000-01-01 00:00:00.000000"}).to_string());
    let good = prints(&json!({"accessToken": token, "expires_on": 4_102_444_800_u64}).to_string());
    let azd = prints(&json!({"token": token, "expiresOn": "2100-01-01T00:00:00Z"}).to_string());
    for (kind, script, source) in [("az", good.as_str(), "azure-cli"), ("azd", azd.as_str(), "azure-developer-cli")] {
        let tools = Tools::new(&[(kind, script)]);
        let run = child::token(&["--json", "--credential", kind], &[("PATH", tools.path())]).await;
        assert_eq!(run.code, Some(0), "{}", run.complaint);
        assert_eq!(run.json()["source"], source);
        // The token's own expiry counts, too.
        let left = moment(&run.json()["expires_at"]).as_second() - Timestamp::now().as_second();
        assert!((3500..=3601).contains(&left), "{left}");
    }
    let not_found = "exit 127";
    let az_login = "echo \"ERROR: Please run 'az login' to setup account.\" >&2; exit 1";
    let azd_login = "echo 'ERROR: not logged in, run `azd auth login` to login' >&2; exit 1";
    let garbage = "echo 's3cr3t garbage'";
    logs::forbid("s3cr3t garbage");
    let other = "echo 'AADSTS53003: Access has been blocked' >&2; exit 1";
    for (kind, script, expected, hint) in [
        ("az", None, "CredentialUnavailable", "install the Azure CLI"),
        ("azd", None, "CredentialUnavailable", "install the Azure Developer CLI"),
        ("az", Some(not_found), "CredentialUnavailable", "install the Azure CLI"),
        ("azd", Some(not_found), "CredentialUnavailable", "install the Azure Developer CLI"),
        ("az", Some(az_login), "CredentialUnavailable", "run `az login`"),
        ("azd", Some(azd_login), "CredentialUnavailable", "run `azd auth login`"),
        ("az", Some(garbage), "TokenEndpoint", ""),
        ("azd", Some(garbage), "TokenEndpoint", ""),
        ("az", Some(az.as_str()), "MalformedToken", ""),
        ("az", Some(other), "CredentialRejected", "Conditional Access"),
    ] {
        let scripts: Vec<_> = script.map(|script| (kind, script)).into_iter().collect();
        let tools = Tools::new(&scripts);
        let run = child::token(&["--json", "--credential", kind], &[("PATH", tools.path())]).await;
        let shown = failure(&run);
        assert_eq!(shown["kind"], expected, "{kind} {script:?}: {shown}");
        assert!(shown["hint"].as_str().unwrap_or_default().contains(hint), "{kind} {script:?}: {shown}");
    }
}
