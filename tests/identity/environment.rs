//! What the environment describes leads to Redis, and is called by its name: one process for each case, with an
//! environment of its own.

use common::{
    Azure,
    child::{self, Variables},
    logs,
    openssl::OpenSsl,
};
use entra_redis::emulator::Emulator;
use futures_util::future::join_all;

const PASSWORD: &str = "passw0rd-of-the-file";

/// Variables, the kind of credential that they describe, and the user that its tokens are for.
struct Case {
    variables: Variables,
    source: &'static str,
    user: &'static str,
}

impl Case {
    /// Lets `token` and `soak` run with the case's variables.
    async fn check(&self, emulator: &Azure) {
        let Self { variables, source, user } = self;
        let run = child::token(&["--json"], variables).await;
        assert_eq!(run.code, Some(0), "{source}: {}", run.complaint);
        let token = run.json();
        assert_eq!(token["source"], *source, "{token}");
        assert_eq!(token["user_name"], *user, "{token}");
        child::soak(emulator, variables).await;
    }
}

/// Runs the cases, a few at a time.
async fn check(emulator: &Azure, cases: Vec<Case>) {
    for some in cases.chunks(4) {
        join_all(some.iter().map(|case| case.check(emulator))).await;
    }
    assert_eq!(emulator.redis_front().stats().rejected, 0);
}

fn with(variables: &[(&'static str, String)], more: &[(&'static str, &str)]) -> Variables {
    let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
    variables.iter().cloned().chain(more).collect()
}

/// What every application has.
fn application(emulator: &Azure) -> Variables {
    vec![
        ("AZURE_AUTHORITY_HOST", emulator.authority_host()),
        ("AZURE_TENANT_ID", emulator.tenant_id().to_owned()),
        ("AZURE_CLIENT_ID", emulator.client_id().to_owned()),
    ]
}

fn app_service(emulator: &Azure) -> Variables {
    vec![
        ("IDENTITY_ENDPOINT", format!("{}/msi/token", emulator.authority_host())),
        ("IDENTITY_HEADER", emulator.identity_header().to_owned()),
    ]
}

fn service_fabric(emulator: &Azure, thumbprint: String) -> Variables {
    vec![
        ("IDENTITY_ENDPOINT", format!("{}/msi/token", emulator.https_identity_host())),
        ("IDENTITY_HEADER", emulator.identity_header().to_owned()),
        ("IDENTITY_SERVER_THUMBPRINT", thumbprint),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn applications() {
    logs::forbid(PASSWORD);
    let emulator = common::start(Emulator::builder()).await;
    logs::forbid(emulator.client_secret());
    let files = OpenSsl::in_a_directory();
    files.write("app.pem", emulator.client_certificate_pem());
    files.run(&format!("pkcs12 -export -in app.pem -out app.pfx -passout pass:{PASSWORD}"));
    let path = |name: &str| files.path(name).display().to_string();
    let token_file = files.write("token", emulator.federated_token()).display().to_string();
    let (pem, pfx) = (path("app.pem"), path("app.pfx"));
    let pfx = [
        ("AZURE_CLIENT_CERTIFICATE_PATH", pfx.as_str()),
        ("AZURE_CLIENT_CERTIFICATE_PASSWORD", PASSWORD),
        ("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN", "true"),
    ];
    let workload = ("AZURE_FEDERATED_TOKEN_FILE", token_file.as_str());
    let cases = [
        ("service-principal-secret", vec![("AZURE_CLIENT_SECRET", emulator.client_secret())]),
        ("service-principal-certificate", vec![("AZURE_CLIENT_CERTIFICATE_PATH", pem.as_str())]),
        ("service-principal-certificate", pfx.to_vec()),
        ("workload-identity", vec![workload]),
        ("workload-identity", vec![workload, ("AZURE_TOKEN_CREDENTIALS", "prod")]),
    ];
    let application = application(&emulator);
    let user = emulator.object_id();
    let cases = cases.map(|(source, more)| Case { variables: with(&application, &more), source, user });
    check(&emulator, cases.into()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn managed_identities_wherever_azure_has_them() {
    let emulator = common::start(Emulator::builder()).await;
    logs::forbid(emulator.identity_header());
    let endpoint = || ("MSI_ENDPOINT", format!("{}/msi/token", emulator.authority_host()));
    let virtual_machine = vec![("AZURE_POD_IDENTITY_AUTHORITY_HOST", emulator.imds_host())];
    let azure_ml = vec![endpoint(), ("MSI_SECRET", emulator.identity_header().to_owned())];
    let (system, user_assigned) = (emulator.object_id(), emulator.user_assigned_object_id());
    let selected = [("AZURE_CLIENT_ID", emulator.user_assigned_client_id())];
    let alone = [("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")];
    let cases = [
        ("imds", system, virtual_machine.clone()),
        ("imds", user_assigned, with(&virtual_machine, &selected)),
        ("imds", system, with(&virtual_machine, &[("AZURE_TOKEN_CREDENTIALS", "prod")])),
        ("app-service", system, app_service(&emulator)),
        ("app-service", user_assigned, with(&app_service(&emulator), &selected)),
        ("app-service", system, with(&app_service(&emulator), &alone)),
        ("service-fabric", system, service_fabric(&emulator, emulator.identity_thumbprint())),
        ("azure-ml", system, azure_ml.clone()),
        ("azure-ml", user_assigned, with(&azure_ml, &selected)),
        ("cloud-shell", system, vec![endpoint()]),
    ];
    let cases = cases.map(|(source, user, variables)| Case { variables, source, user });
    check(&emulator, cases.into()).await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn developers_with_their_tools() {
    use common::tools::{Tools, prints};
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    let emulator = common::start(Emulator::builder()).await;
    let token = emulator.identity().issue_token().unwrap();
    let end = SystemTime::now() + Duration::from_secs(3600);
    let epoch = end.duration_since(UNIX_EPOCH).unwrap().as_secs();
    let utc = jiff::Timestamp::try_from(end).unwrap().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let az = serde_json::json!({"accessToken": token, "expires_on": epoch, "tokenType": "Bearer"}).to_string();
    let azd = serde_json::json!({"token": token, "expiresOn": utc}).to_string();
    let (az, azd) = (prints(&az), prints(&azd));
    let not_signed_in = "echo \"ERROR: Please run 'az login' to setup account.\" >&2; exit 1";

    let both = Tools::new(&[("az", az.as_str()), ("azd", azd.as_str())]);
    let second = Tools::new(&[("az", not_signed_in), ("azd", azd.as_str())]);
    let user = emulator.object_id();
    let cases = [
        ("azure-cli", &both, "AzureCliCredential"),
        ("azure-developer-cli", &both, "azuredeveloperclicredential"),
        ("azure-cli", &both, "dev"),
        ("azure-developer-cli", &second, "dev"),
    ];
    let cases = cases.map(|(source, tools, chosen)| {
        let variables = vec![("PATH", tools.path()), ("AZURE_TOKEN_CREDENTIALS", chosen.to_owned())];
        Case { variables, source, user }
    });
    check(&emulator, cases.into()).await;
    assert_eq!(emulator.identity().requests(), 0);
}

#[tokio::test]
async fn a_service_fabric_with_another_certificate_is_told_nothing() {
    let emulator = common::start(Emulator::builder()).await;
    let stranger = common::start(Emulator::builder()).await;
    let run = child::token(&["--json"], &service_fabric(&emulator, stranger.identity_thumbprint())).await;
    assert_eq!(run.code, Some(1), "{}", run.output);
    assert_eq!(run.json()["kind"], "TokenEndpoint");
    assert_eq!(emulator.identity().requests(), 0);
}

/// The agent's own directory is not for tests to write to; with it, Azure Arc is tested beside the code.
#[tokio::test]
async fn an_azure_arc_that_names_a_file_elsewhere_is_not_sent_it() {
    let emulator = common::start(Emulator::builder()).await;
    let elsewhere = tempfile::tempdir().unwrap();
    emulator.arc_key_dir(elsewhere.path());
    let variables = [
        ("IDENTITY_ENDPOINT", format!("{}/metadata/identity/oauth2/token", emulator.imds_host())),
        ("IMDS_ENDPOINT", emulator.imds_host()),
    ];
    let run = child::token(&["--json"], &variables).await;
    let shown = run.json();
    assert_eq!(run.code, Some(1), "{}", run.output);
    assert_eq!(shown["kind"], "TokenEndpoint");
    assert!(shown["error"].as_str().unwrap().contains("outside of the agent's directory"), "{shown}");
    assert_eq!(emulator.identity().requests(), 1, "it was answered");
    assert_eq!(elsewhere.path().read_dir().unwrap().count(), 1, "the challenge is still there");
}
