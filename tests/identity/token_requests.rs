//! Where token requests go: to the endpoint that was configured, directly where it is on this machine, and nowhere
//! else.

use common::{
    Azure,
    child::{self, Variables},
    http::Listener,
    logs,
    ports::Refusing,
};
use entra_redis::{Credential, ErrorKind, ManagedIdentity, emulator::Emulator};

/// All the names under which programs look for a proxy.
const PROXIES: [&str; 6] = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

fn through(proxy: &str, variables: &[(&'static str, String)]) -> Variables {
    variables.iter().cloned().chain(PROXIES.map(|name| (name, proxy.to_owned()))).collect()
}

fn application(emulator: &Azure, authority: &str) -> Variables {
    vec![
        ("AZURE_AUTHORITY_HOST", authority.to_owned()),
        ("AZURE_TENANT_ID", emulator.tenant_id().to_owned()),
        ("AZURE_CLIENT_ID", emulator.client_id().to_owned()),
        ("AZURE_CLIENT_SECRET", emulator.client_secret().to_owned()),
    ]
}

#[tokio::test]
async fn managed_identities_are_asked_directly_whatever_proxy_there_is() {
    let emulator = common::start(Emulator::builder()).await;
    let header = emulator.identity_header().to_owned();
    let endpoint = |host: String| format!("{host}/msi/token");
    let places = [
        ("imds", vec![("AZURE_POD_IDENTITY_AUTHORITY_HOST", emulator.imds_host())]),
        (
            "app-service",
            vec![("IDENTITY_ENDPOINT", endpoint(emulator.authority_host())), ("IDENTITY_HEADER", header.clone())],
        ),
        (
            "service-fabric",
            vec![
                ("IDENTITY_ENDPOINT", endpoint(emulator.https_identity_host())),
                ("IDENTITY_HEADER", header.clone()),
                ("IDENTITY_SERVER_THUMBPRINT", emulator.identity_thumbprint()),
            ],
        ),
        ("azure-ml", vec![("MSI_ENDPOINT", endpoint(emulator.authority_host())), ("MSI_SECRET", header.clone())]),
        ("cloud-shell", vec![("MSI_ENDPOINT", endpoint(emulator.authority_host()))]),
    ];
    let (nobody, curious) = (Refusing::new(), Listener::answering("502 Bad Gateway", "Via: 1.1 proxy", "").await);
    for proxy in [nobody.url(), curious.url()] {
        for (source, variables) in &places {
            // The default chain looks for IMDS first; that must not go to the proxy either.
            for kind in ["managed-identity", "default"] {
                let run = child::token(&["--json", "--credential", kind], &through(&proxy, variables)).await;
                assert_eq!(run.code, Some(0), "{source} {kind}: {}", run.complaint);
                assert_eq!(run.json()["source"], *source);
            }
        }
    }
    assert!(curious.seen().is_empty(), "a proxy saw {:?}", curious.seen());
}

/// So that the test above is known to say something: the same variables lead other requests to the proxy.
#[tokio::test]
async fn entra_id_is_asked_through_the_proxy_that_there_is() {
    let emulator = common::start(Emulator::builder()).await;
    let proxy = Listener::answering("502 Bad Gateway", "Via: 1.1 proxy", "").await;
    let mut variables = through(&proxy.url(), &application(&emulator, "https://login.test.invalid"));
    let dir = tempfile::tempdir().unwrap();
    variables.push(trust(dir.path(), &emulator));
    let run = child::token(&["--json"], &variables).await;
    assert_eq!(run.code, Some(1), "{}", run.output);
    assert_eq!(run.json()["kind"], "TokenEndpoint", "{}", run.output);
    let seen = proxy.seen();
    assert!(!seen.is_empty() && seen.iter().all(|request| request.starts_with("CONNECT login.test.invalid:443 ")));
    assert!(!seen.concat().contains(emulator.client_secret()));
    // A local authority is for tests, and nobody's proxy knows it.
    let run =
        child::token(&["--json"], &through(&proxy.url(), &application(&emulator, &emulator.authority_host()))).await;
    assert_eq!(run.code, Some(0), "{}", run.complaint);
    assert_eq!(proxy.seen().len(), seen.len());
}

/// The variable that makes the emulator's CA a trust root, on systems whose trust roots are files.
fn trust(dir: &std::path::Path, emulator: &Azure) -> (&'static str, String) {
    let ca_file = dir.join("ca.pem");
    std::fs::write(&ca_file, emulator.ca_pem()).unwrap();
    ("SSL_CERT_FILE", ca_file.display().to_string())
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn over_https_the_authority_has_to_prove_itself() {
    let emulator = common::start(Emulator::builder()).await;
    let stranger = common::start(Emulator::builder()).await;
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut variables = application(&emulator, &emulator.https_identity_host());
    variables.push(trust(ours.path(), &emulator));
    let run = child::token(&["--json"], &variables).await;
    assert_eq!(run.code, Some(0), "{}", run.complaint);
    assert_eq!(run.json()["source"], "service-principal-secret");
    assert_eq!(emulator.identity().requests(), 1);

    variables.pop();
    variables.push(trust(theirs.path(), &stranger));
    let run = child::token(&["--json"], &variables).await;
    assert_eq!(run.code, Some(1), "{}", run.output);
    assert_eq!(run.json()["kind"], "TokenEndpoint");
    assert!(
        run.output.contains("invalid peer certificate") && run.output.contains("a proxy that looks into TLS"),
        "{}",
        run.output
    );
    assert_eq!(emulator.identity().requests(), 1, "the secret was sent to somebody unproven");

    // A machine, or a container, without any certificate authorities.
    let nobody = ours.path().join("empty.pem");
    std::fs::write(&nobody, "").unwrap();
    variables.pop();
    variables.push(("SSL_CERT_FILE", nobody.display().to_string()));
    let run = child::token(&["--json"], &variables).await;
    assert_eq!(run.code, Some(1), "{}", run.output);
    assert_eq!(run.json()["kind"], "Configuration");
    assert!(run.output.contains("No CA certificates") && run.output.contains("`ca-certificates`"), "{}", run.output);
    assert_eq!(emulator.identity().requests(), 1);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    logs::forbid("s3cret-of-the-app");
    let elsewhere = Listener::answering("200 OK", "Content-Type: application/json", "{}").await;
    let location = format!("Location: {}/t/oauth2/v2.0/token", elsewhere.url());
    for status in
        ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"]
    {
        let endpoint = Listener::answering(status, &location, "").await;
        let principal = Credential::service_principal("app", "s3cret-of-the-app", "contoso.com");
        let identity = Credential::managed_identity(ManagedIdentity::SystemAssigned);
        for credential in [principal.authority_host(endpoint.url()), identity.imds_host(endpoint.url())] {
            let error = credential.token_source().unwrap().fetch().await.unwrap_err();
            logs::check(&format!("{error} {error:?}"));
            assert_eq!(error.kind(), ErrorKind::TokenEndpoint, "{status}: {error}");
            assert_eq!(error.status(), status[..3].parse::<u16>().ok(), "{status}: {error}");
        }
        assert_eq!(endpoint.seen().len(), 2, "{status}");
    }
    assert!(elsewhere.seen().is_empty(), "it was sent {:?}", elsewhere.seen());
}
