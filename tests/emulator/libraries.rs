//! What Microsoft's identity libraries put on the wire, recorded from them: the emulator takes it, as Microsoft Entra
//! ID does.
//!
//! `make test-clients` runs the libraries themselves, as far as they are for Python and for Node.

use crate::{Raw, auth, start};
use aws_lc_rs::{
    digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest},
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD},
};
use common::Azure;
use entra_redis::emulator::Emulator;
use reqwest::Client;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, pem::PemObject},
};
use serde_json::{Value, json};
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const SCOPE: &str = "https://redis.azure.com/.default";
/// Claims that a library asks for when it can handle continuous access evaluation.
const CAPABILITIES: &str = r#"{"access_token": {"xms_cc": {"values": ["CP1"]}}}"#;
const NODE_CLAIMS: &str = r#"{"id_token":{"signin_state":{"essential":false},"login_hint":{"essential":false}},"access_token":{"xms_cc":{"values":["cp1"]}}}"#;

/// As a library that insists on https, and trusts the emulator's CA.
fn client(emulator: &Azure) -> Client {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(emulator.ca_pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let tls = tls.with_root_certificates(roots).with_no_client_auth();
    Client::builder().no_proxy().tls_backend_preconfigured(tls).build().unwrap()
}

async fn json_of(request: reqwest::RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap())
}

/// The application's certificate, as a library has it.
struct Certificate {
    key: RsaKeyPair,
    der: CertificateDer<'static>,
}

impl Certificate {
    fn of(emulator: &Azure) -> Self {
        let pem = emulator.client_certificate_pem();
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).unwrap();
        let key = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap();
        Self { key, der: CertificateDer::from_pem_slice(pem.as_bytes()).unwrap() }
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let encoding: &'static dyn RsaEncoding =
            if header["alg"] == "RS256" { &RSA_PKCS1_SHA256 } else { &RSA_PSS_SHA256 };
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(encoding, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// A library, the fields that it adds to the usual ones, and the header and claims of the assertion that it signs.
type Recorded = (&'static str, Vec<(&'static str, &'static str)>, Value, Value);

fn with_certificates(certificate: &Certificate, now: Duration) -> Vec<Recorded> {
    let sha1 = digest(&SHA1_FOR_LEGACY_USE_ONLY, &certificate.der);
    let sha256 = URL_SAFE_NO_PAD.encode(digest(&SHA256, &certificate.der));
    let der = STANDARD.encode(&certificate.der);
    let (second, now) = (now.as_secs(), now.as_secs_f64());
    let texts = json!({"nbf": second.to_string(), "exp": (second + 600).to_string()});
    vec![
        (
            "azure-identity 1.27 for Python",
            vec![("client_info", "1"), ("claims", CAPABILITIES)],
            json!({"alg": "RS256", "typ": "JWT", "x5t": URL_SAFE.encode(sha1)}),
            json!({"iat": now, "exp": now + 600.0}),
        ),
        (
            "azure-identity 1.27 for Python, with the chain",
            vec![("client_info", "1")],
            json!({"alg": "RS256", "typ": "JWT", "x5t": URL_SAFE.encode(sha1), "x5c": [&der]}),
            json!({"iat": now, "exp": now + 600.0}),
        ),
        (
            "@azure/identity 4.13 for Node",
            vec![
                ("x-client-SKU", "msal.js.node"),
                ("x-ms-lib-capability", "retry-after, h429"),
                ("claims", NODE_CLAIMS),
            ],
            json!({"alg": "PS256", "typ": "JWT", "x5t#S256": &sha256, "x5c": [&der]}),
            json!({"iat": second, "nbf": second, "exp": second + 600}),
        ),
        (
            "MSAL.NET",
            vec![("client_info", "1")],
            json!({"alg": "PS256", "typ": "JWT", "x5t#S256": &sha256, "x5c": &der}),
            texts.clone(),
        ),
        (
            "MSAL for Go",
            vec![("client_info", "1"), ("scope", "https://redis.azure.com/.default openid offline_access profile")],
            json!({"alg": "RS256", "typ": "JWT", "x5t": STANDARD.encode(sha1)}),
            texts,
        ),
        // Its assertion says whose it is.
        (
            "MSAL for Go, with an assertion of the caller's",
            vec![("client_id", ""), ("scope", "https://redis.azure.com/.default openid offline_access profile")],
            json!({"alg": "RS256", "x5t": STANDARD.encode(sha1)}),
            json!({"exp": second + 300}),
        ),
        (
            "MSAL for Java",
            vec![("client_info", "1"), ("scope", "openid profile offline_access https://redis.azure.com/.default")],
            json!({"alg": "RS256", "x5t#S256": &sha256, "x5c": [&der]}),
            json!({"nbf": second, "exp": second + 600}),
        ),
    ]
}

async fn let_in(emulator: &Azure, token: &Value) {
    let mut raw = Raw::connect(emulator).await;
    raw.expect(&auth(emulator, token["access_token"].as_str().unwrap()), "+OK\r\n").await;
}

#[tokio::test]
async fn certificates_are_taken_as_every_library_shows_them() {
    let emulator = start(Emulator::builder()).await;
    let (client, certificate) = (client(&emulator), Certificate::of(&emulator));
    let url = format!("{}/{}/oauth2/v2.0/token", emulator.https_identity_host(), emulator.tenant_id());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    for (library, extra, header, mut claims) in with_certificates(&certificate, now) {
        for (name, value) in [("aud", url.as_str()), ("iss", emulator.client_id()), ("sub", emulator.client_id())] {
            claims[name] = json!(value);
        }
        claims["jti"] = json!(fastrand::u128(..).to_string());
        let assertion = certificate.sign(&header, &claims);
        let mut form = vec![
            ("client_id", emulator.client_id()),
            ("grant_type", "client_credentials"),
            ("scope", SCOPE),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion.as_str()),
        ];
        form.retain(|(name, _)| extra.iter().all(|(other, _)| other != name));
        form.extend(extra.iter().copied().filter(|(_, value)| !value.is_empty()));
        // MSAL shows the same assertion until it is about to expire.
        for _ in 0..2 {
            let request = client.post(&url).query(&[("client-request-id", "1")]).header("x-client-sku", "MSAL");
            let (status, token) = json_of(request.form(&form)).await;
            assert_eq!(status, 200, "{library}: {token}");
            let_in(&emulator, &token).await;
        }
        let forged = [("client_assertion", certificate.sign(&header, &json!({"exp": now.as_secs()})))];
        form.retain(|(name, _)| *name != "client_assertion");
        form.extend(forged.iter().map(|(name, value)| (*name, value.as_str())));
        assert_ne!(json_of(client.post(&url).form(&form)).await.0, 200, "{library}: anything would do");
    }
}

#[tokio::test]
async fn secrets_are_taken_in_the_form_and_in_a_header() {
    let emulator = start(Emulator::builder()).await;
    let client = client(&emulator);
    let url = format!("{}/{}/oauth2/v2.0/token", emulator.https_identity_host(), emulator.tenant_id());
    let usual =
        [("grant_type", "client_credentials"), ("scope", SCOPE), ("client_info", "1"), ("claims", CAPABILITIES)];
    let own = [("client_id", emulator.client_id()), ("client_secret", emulator.client_secret())];
    for (status, request) in [
        (200, client.post(&url).form(&[usual.as_slice(), &own].concat())),
        (200, client.post(&url).form(&usual).basic_auth(emulator.client_id(), Some(emulator.client_secret()))),
        (401, client.post(&url).form(&usual).basic_auth(emulator.client_id(), Some("guessed"))),
        (400, client.post(&url).form(&usual)),
    ] {
        let (got, body) = json_of(request).await;
        assert_eq!(got, status, "{body}");
        if got == 200 {
            let_in(&emulator, &body).await;
        }
    }
}

#[tokio::test]
async fn managed_identities_are_asked_for_as_the_libraries_do() {
    let emulator = start(Emulator::builder()).await;
    let client = client(&emulator);
    let app_service = format!("{}/msi/token", emulator.authority_host());
    let imds = format!("{}/metadata/identity/oauth2/token", emulator.imds_host());
    let resource = ("resource", "https://redis.azure.com");
    for (url, query) in [
        // MSAL's name for an object id, and more than App Service wants to know.
        (
            &app_service,
            vec![("api-version", "2019-08-01"), resource, ("object_id", emulator.user_assigned_object_id())],
        ),
        (&app_service, vec![("api-version", "2019-08-01"), resource, ("xms_cc", "CP1")]),
        (&imds, vec![("api-version", "2018-02-01"), resource, ("token_sha256_to_refresh", "00")]),
        (&imds, vec![("api-version", "2018-02-01"), resource, ("msi_res_id", emulator.user_assigned_resource_id())]),
    ] {
        let request = client.get(url).query(&query).header("Metadata", "True");
        let (status, token) = json_of(request.header("X-IDENTITY-HEADER", emulator.identity_header())).await;
        assert_eq!(status, 200, "{query:?}: {token}");
    }
}

#[tokio::test]
async fn libraries_that_look_at_their_authority_first_find_it() {
    let emulator = start(Emulator::builder()).await;
    let (client, host, tenant) = (client(&emulator), emulator.https_identity_host(), emulator.tenant_id());
    let configuration = |tenant: &str| client.get(format!("{host}/{tenant}/v2.0/.well-known/openid-configuration"));
    for name in [tenant.to_owned(), tenant.to_uppercase()] {
        let (status, found) = json_of(configuration(&name)).await;
        assert_eq!((status, &found["token_endpoint"]), (200, &json!(format!("{host}/{tenant}/oauth2/v2.0/token"))));
        assert_eq!(found["issuer"], format!("{host}/{tenant}/v2.0"));
    }
    let (status, refusal) = json_of(configuration("nowhere.example")).await;
    assert_eq!((status, &refusal["error_codes"]), (400, &json!([90_002])));

    let discovery = client.get(format!("{host}/common/discovery/instance"));
    let asked = [("api-version", "1.1"), ("authorization_endpoint", "https://localhost/common/oauth2/v2.0/authorize")];
    let (status, found) = json_of(discovery.query(&asked)).await;
    let own = host.strip_prefix("https://").unwrap();
    let clouds = found["metadata"].as_array().unwrap();
    assert!(status == 200 && clouds.iter().any(|cloud| cloud["aliases"] == json!([own])), "{found}");
    assert_eq!(found["tenant_discovery_endpoint"], format!("{host}/{tenant}/v2.0/.well-known/openid-configuration"));
}
