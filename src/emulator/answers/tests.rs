use super::*;
use crate::emulator::tokens::since_epoch;
use http_body_util::BodyExt;
use std::time::SystemTime;

#[tokio::test]
async fn a_life_in_seconds_ends_no_earlier_than_the_token() {
    let before = since_epoch(SystemTime::now());
    let exp = before.as_secs() + 60;
    for form in [Form::TokenEndpoint, Form::Imds] {
        let answer = success(form, "token", &TokenClaims::new(), Some(exp), ExpiresOn::AsDocumented);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let seconds = &body["expires_in"];
        let seconds = seconds.as_u64().unwrap_or_else(|| seconds.as_str().unwrap().parse().unwrap());
        let end = before + Duration::from_secs(seconds);
        assert!(end >= Duration::from_secs(exp) && seconds <= 60, "{body}");
    }
}
