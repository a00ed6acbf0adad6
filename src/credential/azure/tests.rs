use super::*;
use crate::credential::{Credential, test_server::jwt};
use azure_core::{
    credentials::{AccessToken as AzureToken, TokenRequestOptions},
    time::OffsetDateTime,
};
use std::pin::Pin;

/// Gives out this, or fails with that.
#[derive(Debug)]
struct Sdk(Result<String, &'static str>);

impl TokenCredential for Sdk {
    // What `async_trait` makes of an async function.
    fn get_token<'life0, 'life1, 'life2, 'life3, 'async_trait>(
        &'life0 self,
        scopes: &'life1 [&'life2 str],
        _: Option<TokenRequestOptions<'life3>>,
    ) -> Pin<Box<dyn Future<Output = azure_core::Result<AzureToken>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        'life2: 'async_trait,
        'life3: 'async_trait,
        Self: 'async_trait,
    {
        assert_eq!(scopes, ["https://redis.azure.com/.default"]);
        let in_a_minute = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 60;
        let expires_on = OffsetDateTime::from_unix_timestamp(i64::try_from(in_a_minute).unwrap()).unwrap();
        let answer = match &self.0 {
            Ok(token) => Ok(AzureToken::new(token.clone(), expires_on)),
            Err(why) => Err(azure_core::Error::new(AzureErrorKind::Credential, *why)),
        };
        Box::pin(async move { answer })
    }
}

async fn fetch(sdk: Sdk) -> Result<AccessToken, Error> {
    Credential::azure_core(Arc::new(sdk)).token_source().unwrap().fetch().await
}

#[tokio::test]
async fn tokens_come_with_their_user_and_expiry() {
    let token = fetch(Sdk(Ok(jwt()))).await.unwrap();
    assert_eq!(token.username(), Some("me"));
    assert!((55..=60).contains(&token.lifetime().as_secs()), "{:?}", token.lifetime());
    let opaque = fetch(Sdk(Ok("not-a-jwt".to_owned()))).await.unwrap();
    assert_eq!((opaque.username(), opaque.secret().expose()), (None, "not-a-jwt"));
    assert!((55..=60).contains(&opaque.lifetime().as_secs()), "{:?}", opaque.lifetime());
}

#[tokio::test]
async fn errors_keep_their_words() {
    let error = fetch(Sdk(Err("nobody is signed in"))).await.unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::CredentialRejected, true));
    assert!(error.to_string().contains("nobody is signed in"), "{error}");

    let quoting = "az said: {\"accessToken\": \"s3cr3t\"} and Bearer Zm9vYmFyMTIz, eyJhbGciOiJSUzI1NiJ9.eyJvaWQiOiJ";
    let error = fetch(Sdk(Err(quoting))).await.unwrap_err();
    let shown = format!("{error} {error:?}");
    let pieces = ["s3cr3t", "Zm9vYm", "eyJ", "hbGciO", "JvaWQi"];
    assert!(shown.contains("az said") && pieces.iter().all(|piece| !shown.contains(piece)), "{shown}");

    let error = fetch(Sdk(Err("400: AADSTS7000215: Invalid client secret provided."))).await.unwrap_err();
    assert_eq!((error.aadsts(), error.is_transient()), (Some(7_000_215), false));
    assert!(error.hint().is_some_and(|hint| hint.contains("secret")), "{error}");
}
