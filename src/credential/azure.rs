//! Credentials of the Azure SDK for Rust.

use super::{hints, token_response::aadsts_in};
use crate::{
    error::{Error, ErrorKind},
    secret,
    secret::Secret,
    token::{AccessToken, Hints, TokenFuture, TokenSource},
};
use azure_core::{credentials::TokenCredential, error::ErrorKind as AzureErrorKind};
use std::{
    error::Error as _,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

pub(super) struct AzureCoreSource {
    credential: Arc<dyn TokenCredential>,
    scope: String,
}

impl AzureCoreSource {
    pub(super) fn new(credential: Arc<dyn TokenCredential>, scope: &str) -> Self {
        Self { credential, scope: scope.to_owned() }
    }

    async fn token(&self) -> Result<AccessToken, Error> {
        let token = self.credential.get_token(&[self.scope.as_str()], None).await.map_err(no_token)?;
        let secret = Secret::new(token.token.secret());
        let seconds = u64::try_from(token.expires_on.unix_timestamp()).unwrap_or(0);
        let expires_on = UNIX_EPOCH + Duration::from_secs(seconds);
        let hints = Hints { expires_on: Some(expires_on), ..Hints::default() };
        AccessToken::from_answer(secret.clone(), hints).or_else(|_| {
            // It need not be a JWT; the user name has to be set then.
            let left = expires_on.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO);
            AccessToken::opaque(secret, left, "")
        })
    }
}

/// Only its words, and those of what caused it: they may quote what was sent and what came back, as the error itself
/// would, if it were kept as the source.
// By value, as `map_err` gives it.
#[allow(clippy::needless_pass_by_value)]
fn no_token(error: azure_core::Error) -> Error {
    let kind = match error.kind() {
        AzureErrorKind::Credential => ErrorKind::CredentialRejected,
        _ => ErrorKind::TokenEndpoint,
    };
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    let text = secret::scrub_unknown(&text);
    let aadsts = aadsts_in(&text);
    let hint = aadsts.and_then(hints::of_aadsts);
    // Its kinds do not tell an outage from a refusal; a number that is known as a mistake does.
    let told = Error::new(kind, format!("the `azure_core` credential gave no token: {text}"))
        .with_transient(hint.is_none())
        .with_aadsts(aadsts);
    match hint {
        Some(hint) => told.with_hint(hint),
        None => told,
    }
}

impl TokenSource for AzureCoreSource {
    fn fetch(&self) -> TokenFuture<'_> {
        Box::pin(self.token())
    }
}

#[cfg(test)]
mod tests {
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

        let quoting =
            "az said: {\"accessToken\": \"s3cr3t\"} and Bearer Zm9vYmFyMTIz, eyJhbGciOiJSUzI1NiJ9.eyJvaWQiOiJ";
        let error = fetch(Sdk(Err(quoting))).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        let pieces = ["s3cr3t", "Zm9vYm", "eyJ", "hbGciO", "JvaWQi"];
        assert!(shown.contains("az said") && pieces.iter().all(|piece| !shown.contains(piece)), "{shown}");

        let error = fetch(Sdk(Err("400: AADSTS7000215: Invalid client secret provided."))).await.unwrap_err();
        assert_eq!((error.aadsts(), error.is_transient()), (Some(7_000_215), false));
        assert!(error.hint().is_some_and(|hint| hint.contains("secret")), "{error}");
    }
}
