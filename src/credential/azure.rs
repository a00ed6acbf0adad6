//! Credentials of the Azure SDK for Rust.

use super::{aadsts, token_response::aadsts_in};
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
#[expect(clippy::needless_pass_by_value, reason = "as `map_err` gives it")]
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
    let hint = aadsts.and_then(aadsts::hint);
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
mod tests;
