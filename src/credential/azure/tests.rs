mod sdk;

use super::*;
use crate::credential::{Credential, test_server::jwt};
use sdk::Sdk;
use std::time::Duration;

/// Fetches a token from a credential of the SDK that gives out this, or fails with that.
async fn fetch(answer: Result<String, &'static str>) -> Result<AccessToken, Error> {
    let sdk = Sdk(move || match &answer {
        Ok(token) => Ok(sdk::token(token.clone(), Duration::from_secs(60))),
        Err(why) => Err(azure_core::Error::new(AzureErrorKind::Credential, *why)),
    });
    Credential::azure_core(Arc::new(sdk)).token_source().unwrap().fetch().await
}

#[tokio::test]
async fn tokens_come_with_their_user_and_expiry() {
    let token = fetch(Ok(jwt())).await.unwrap();
    assert_eq!(token.username(), Some("me"));
    assert!((55..=60).contains(&token.lifetime().as_secs()), "{:?}", token.lifetime());
    let opaque = fetch(Ok("not-a-jwt".to_owned())).await.unwrap();
    assert_eq!((opaque.username(), opaque.secret().expose()), (None, "not-a-jwt"));
    assert!((55..=60).contains(&opaque.lifetime().as_secs()), "{:?}", opaque.lifetime());
}

#[tokio::test]
async fn errors_keep_their_words() {
    let error = fetch(Err("nobody is signed in")).await.unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::CredentialRejected, true));
    assert!(error.to_string().contains("nobody is signed in"), "{error}");

    let quoting = "az said: {\"accessToken\": \"s3cr3t\"} and Bearer Zm9vYmFyMTIz, eyJhbGciOiJSUzI1NiJ9.eyJvaWQiOiJ";
    let error = fetch(Err(quoting)).await.unwrap_err();
    let shown = format!("{error} {error:?}");
    let pieces = ["s3cr3t", "Zm9vYm", "eyJ", "hbGciO", "JvaWQi"];
    assert!(shown.contains("az said") && pieces.iter().all(|piece| !shown.contains(piece)), "{shown}");

    let error = fetch(Err("400: AADSTS7000215: Invalid client secret provided.")).await.unwrap_err();
    assert_eq!((error.aadsts(), error.is_transient()), (Some(7_000_215), false));
    assert!(error.hint().is_some_and(|hint| hint.contains("secret")), "{error}");
}
