//! The identity provider: the token endpoint, and IMDS.

use crate::{Raw, auth, start};
use common::{Azure, HOUR, SECOND};
use entra_redis::emulator::{Emulator, ExpiresOn, IdentityFault};
use reqwest::Client;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use std::sync::Arc;

/// Asks for a token as an application does.
async fn ask(emulator: &Azure, tenant: &str, changes: &[(&str, &str)]) -> (u16, Value) {
    let mut form = vec![
        ("client_id", emulator.client_id()),
        ("client_secret", emulator.client_secret()),
        ("scope", "https://redis.azure.com/.default"),
        ("grant_type", "client_credentials"),
    ];
    for (name, value) in changes {
        form.retain(|(field, _)| field != name);
        form.push((name, value));
    }
    let url = format!("{}/{tenant}/oauth2/v2.0/token", emulator.authority_host());
    answer(client().post(url).form(&form)).await
}

async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap())
}

fn client() -> Client {
    let roots = RootCertStore::empty();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let tls = tls.with_root_certificates(roots).with_no_client_auth();
    Client::builder().no_proxy().tls_backend_preconfigured(tls).build().unwrap()
}

/// Statuses and codes of <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>.
#[tokio::test]
async fn the_token_endpoint_answers_as_documented() {
    let emulator = start(Emulator::builder()).await;
    let tenant = emulator.tenant_id();
    let (status, token) = ask(&emulator, tenant, &[]).await;
    assert_eq!((status, &token["token_type"]), (200, &Value::from("Bearer")));
    assert!(token["expires_in"].is_u64() && token["ext_expires_in"].is_u64(), "{token}");
    let mut raw = Raw::connect(&emulator).await;
    raw.expect(&auth(&emulator, token["access_token"].as_str().unwrap()), "+OK\r\n").await;

    for (tenant, change, status, error, code) in [
        (tenant, ("client_secret", "wrong"), 401, "invalid_client", 7_000_215),
        (tenant, ("client_id", "unknown"), 400, "unauthorized_client", 700_016),
        ("unknown.example", ("client_id", ""), 400, "invalid_request", 90_002),
        (tenant, ("grant_type", "password"), 400, "unsupported_grant_type", 70_003),
        (tenant, ("scope", "https://redis.azure.com"), 400, "invalid_scope", 70_011),
    ] {
        let (got, body) = ask(&emulator, tenant, &[change]).await;
        assert_eq!((got, &body["error"]), (status, &Value::from(error)), "{body}");
        assert_eq!(body["error_codes"], Value::from(vec![code]));
        assert!(body["error_description"].as_str().unwrap().starts_with(&format!("AADSTS{code}: ")), "{body}");
        assert!(body["correlation_id"].is_string() && body["trace_id"].is_string() && body["timestamp"].is_string());
    }
    assert_eq!((emulator.identity().requests(), emulator.identity().tokens_issued()), (6, 1));
}

#[tokio::test]
async fn imds_answers_as_documented() {
    let emulator = start(Emulator::builder()).await;
    let url = format!("{}/metadata/identity/oauth2/token", emulator.imds_host());
    let query = [("api-version", "2018-02-01"), ("resource", "https://redis.azure.com")];
    let (status, token) = answer(client().get(&url).query(&query).header("Metadata", "true")).await;
    // Numbers are strings here.
    assert_eq!((status, token["expires_in"].is_string(), token["expires_on"].is_string()), (200, true, true));
    assert_eq!(token["resource"], "https://redis.azure.com");
    let (status, refusal) = answer(client().get(&url).query(&query)).await;
    assert_eq!((status, &refusal["error"]), (400, &Value::from("invalid_request")));
    let (status, _) = answer(client().get(&url).query(&query[..1]).header("Metadata", "true")).await;
    assert_eq!(status, 400);
}

/// A client reads each form in which it is told when a token ends, which is at the time that is set last.
#[tokio::test]
async fn the_end_of_a_token_is_told_in_every_form_and_is_what_is_set() {
    let emulator = start(Emulator::builder()).await;
    let url = format!("{}/metadata/identity/oauth2/token", emulator.imds_host());
    let query = [("api-version", "2018-02-01"), ("resource", "https://redis.azure.com")];
    for (hours, (format, shape)) in (2..).zip([
        (ExpiresOn::AsDocumented, "\"9999999999\""),
        (ExpiresOn::EpochString, "\"9999999999\""),
        (ExpiresOn::EpochNumber, "9999999999"),
        (ExpiresOn::Rfc3339, "\"9999-99-99T99:99:99Z\""),
        (ExpiresOn::DateTime, "\"9999-99-99 99:99:99\""),
        (ExpiresOn::UsDateTime, "\"99/99/9999 99:99:99\""),
        (ExpiresOn::UsDateTimeWithOffset, "\"99/99/9999 99:99:99 +99:99\""),
        (ExpiresOn::UsTwelveHour, "M +99:99\""),
    ]) {
        let life = hours * HOUR;
        emulator.identity().expires_on_format(format);
        emulator.identity().set_token_lifetime(life);
        let (_, token) = answer(client().get(&url).query(&query).header("Metadata", "true")).await;
        let digits = |c: char| if c.is_ascii_digit() { '9' } else { c };
        let told: String = token["expires_on"].to_string().chars().map(digits).collect();
        assert!(told == shape || (format == ExpiresOn::UsTwelveHour && told.ends_with(shape)), "{format:?}: {token}");
        assert_eq!(token["expires_in"] == "", format != ExpiresOn::AsDocumented, "{format:?}: {token}");
        let redis = emulator.connect(emulator.managed_identity_config()).await;
        let remaining = redis.manager().stats().token.unwrap().remaining;
        assert!(remaining <= life + SECOND && remaining + 60 * SECOND > life, "{format:?}: {remaining:?} of {life:?}");
    }
}

#[tokio::test]
async fn faults_are_scripted_one_request_each() {
    let emulator = start(Emulator::builder()).await;
    let tenant = emulator.tenant_id();
    let same = ask(&emulator, tenant, &[]).await.1["access_token"].clone();
    emulator.identity().script([IdentityFault::Status(503), IdentityFault::WrongSecret, IdentityFault::SameToken]);
    emulator.identity().fault_all(Some(IdentityFault::Status(500)));
    assert_eq!(ask(&emulator, tenant, &[]).await.0, 503);
    assert_eq!(ask(&emulator, tenant, &[]).await.0, 401);
    assert_eq!(ask(&emulator, tenant, &[]).await.1["access_token"], same);
    assert_eq!(ask(&emulator, tenant, &[]).await.0, 500);
    emulator.identity().fault_all(None);
    let (status, fresh) = ask(&emulator, tenant, &[]).await;
    assert!(status == 200 && fresh["access_token"] != same);
}
