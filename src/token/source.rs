//! The seam between this crate and whatever hands out tokens.

use crate::{error::Error, token::AccessToken};
use std::{future::Future, pin::Pin};

/// The future of one token request.
pub type TokenFuture<'a> = Pin<Box<dyn Future<Output = Result<AccessToken, Error>> + Send + 'a>>;

/// Hands out access tokens.
///
/// `fetch` makes one request and returns its result. It neither caches nor retries: when to ask, how long to wait and
/// when to ask again is the token actor's business, which runs one `fetch` at a time and drops it when it exceeds
/// `token_request_execution_timeout`.
///
/// Any `Fn() -> impl Future<Output = Result<AccessToken, Error>>` is a `TokenSource`:
///
/// ```
/// use entra_redis::{AccessToken, Credential, Error};
///
/// # async fn ask_my_broker() -> String { String::new() }
/// let credential = Credential::custom(|| async {
///     let jwt = ask_my_broker().await;
///     AccessToken::from_jwt(jwt)
/// });
/// ```
pub trait TokenSource: Send + Sync + 'static {
    /// Requests one token.
    fn fetch(&self) -> TokenFuture<'_>;
}

impl<F, R> TokenSource for F
where
    F: Fn() -> R + Send + Sync + 'static,
    R: Future<Output = Result<AccessToken, Error>> + Send + 'static,
{
    fn fetch(&self) -> TokenFuture<'_> {
        Box::pin(self())
    }
}
