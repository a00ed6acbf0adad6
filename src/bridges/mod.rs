//! This crate's tokens for other clients: one token actor, and for each client the trait by which it asks for them.

#[cfg(feature = "fred")]
mod fred;
#[cfg(feature = "streaming-credentials")]
mod redis_crate;
#[cfg(feature = "rustis")]
mod rustis;

#[cfg(any(feature = "fred", feature = "rustis"))]
use crate::token::Current;
use crate::{
    credential::Credential,
    error::{Error, ErrorKind},
    ids::UserName,
    observe::journal::Journal,
    token::{TokenActor, TokenManagerConfig, Tokens},
};
use std::fmt;
#[cfg(any(feature = "fred", feature = "rustis"))]
use std::sync::Arc;
use tokio::runtime::Handle;

/// The token actor of this crate for connections of other clients: it fetches a token, renews it in time, and never
/// stops trying.
///
/// | feature | it is | a new token reaches live connections |
/// |---|---|---|
/// | `streaming-credentials` | a `StreamingCredentialsProvider` of the `redis` crate | yes |
/// | `fred` | a `CredentialProvider` of fred | yes; on a cluster over RESP2 only |
/// | `rustis` | a `CredentialsProvider` of rustis | no: they end when their token expires, and are dialled again |
///
/// One value serves any number of clients, of different kinds too: a clone is the same actor. Tokens are fetched as
/// long as this value, a clone, or a stream of the `redis` crate's exists, and so as long as a client has it.
///
/// # Errors
///
/// A client is told when there is no valid token, and why, by this crate's error. A renewal that fails is not told
/// while the old token is good.
// The implementations of the traits have the examples.
#[derive(Clone)]
pub struct EntraCredentials(Tokens);

impl EntraCredentials {
    /// Starts fetching tokens, in a task of the current `tokio` runtime.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if a setting is wrong or there is no runtime. What is wrong with the tokens
    /// themselves comes through the clients that ask for them.
    #[expect(clippy::needless_pass_by_value, reason = "as `Config::new` takes it")]
    pub fn start(credential: Credential, config: TokenManagerConfig) -> Result<Self, Error> {
        Self::run(&credential, config, None)
    }

    /// As [`start`](Self::start), with this Redis user name instead of the one that the tokens' `oid` claim gives.
    ///
    /// # Errors
    ///
    /// Those, and [`ErrorKind::Configuration`] if the name is empty.
    #[expect(clippy::needless_pass_by_value, reason = "as `Config::new` takes it")]
    pub fn start_with_username(
        credential: Credential,
        config: TokenManagerConfig,
        username: impl AsRef<str>,
    ) -> Result<Self, Error> {
        let username = UserName::new(username.as_ref());
        if username.is_blank() {
            return Err(Error::config("username", "is empty"));
        }
        Self::run(&credential, config, Some(username))
    }

    fn run(credential: &Credential, config: TokenManagerConfig, username: Option<UserName>) -> Result<Self, Error> {
        config.validate()?;
        let source = credential.token_source()?;
        let runtime = Handle::try_current().map_err(|source| {
            Error::new(ErrorKind::Configuration, "`EntraCredentials::start` needs a tokio runtime").with_source(source)
        })?;
        let (actor, tokens) = TokenActor::new(source, config, username, Journal::new("credentials"));
        // It ends by itself, with the last view of its tokens.
        runtime.spawn(actor.run());
        Ok(Self(tokens))
    }

    /// The token in use; waits for the first one, but not once it is certain that there is none.
    #[cfg(any(feature = "fred", feature = "rustis"))]
    async fn current(&self) -> Result<Arc<Current>, Error> {
        let mut tokens = self.0.clone();
        loop {
            if let Some(current) = tokens.live() {
                return Ok(current);
            }
            if let Some(error) = tokens.dead() {
                return Err(error.for_want_of_a_token());
            }
            if !tokens.changed().await {
                return Err(Error::closed());
            }
        }
    }
}

impl fmt::Debug for EntraCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let generation = self.0.live().map(|current| current.generation);
        f.debug_struct("EntraCredentials").field("generation", &generation).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
