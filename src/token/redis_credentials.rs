//! This crate's tokens for the `redis` crate's own connections.

use crate::{
    credential::Credential,
    error::{Error, ErrorKind},
    ids::UserName,
    observe::journal::Journal,
    token::{Current, TokenActor, TokenManagerConfig, Tokens},
};
use futures_util::{Stream, stream};
use redis::{BasicAuth, RedisResult, StreamingCredentialsProvider};
use std::{fmt, pin::Pin};
use tokio::runtime::Handle;

/// A [`StreamingCredentialsProvider`] that never stops: the token actor of this crate behind connections of the `redis`
/// crate, for what is only to be had there, such as subscriptions.
///
/// Every subscriber gets the token in use at once (or the first one, once it is there) and each new one after it. An
/// error comes through when there is no valid token, not before: failed renewals are nobody's business while the old
/// token is good. The tokens go on as long as this value or one of its streams exists.
///
/// ```no_run
/// use entra_redis::{Credential, EntraCredentials, ManagedIdentity, TokenManagerConfig};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let credential = Credential::managed_identity(ManagedIdentity::SystemAssigned);
/// let credentials = EntraCredentials::start(credential, TokenManagerConfig::new())?;
///
/// let config = redis::AsyncConnectionConfig::new().set_credentials_provider(credentials);
/// let client = redis::Client::open("rediss://cache.westeurope.redis.azure.net:10000/?protocol=resp3")?;
/// let mut con = client.get_multiplexed_async_connection_with_config(&config).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct EntraCredentials(Tokens);

impl EntraCredentials {
    /// Starts fetching tokens, in a task of the current `tokio` runtime.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if a setting is wrong or there is no runtime. What is wrong with the tokens themselves
    /// comes through the streams.
    // By value, as `Config::new` takes it.
    #[allow(clippy::needless_pass_by_value)]
    pub fn start(credential: Credential, config: TokenManagerConfig) -> Result<Self, Error> {
        Self::run(&credential, config, None)
    }

    /// As [`start`](Self::start), with this Redis user name instead of the one that the tokens' `oid` claim gives.
    ///
    /// # Errors
    ///
    /// Those, and [`ErrorKind::Configuration`] if the name is empty.
    #[allow(clippy::needless_pass_by_value)]
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
}

impl StreamingCredentialsProvider for EntraCredentials {
    fn subscribe(&self) -> Pin<Box<dyn Stream<Item = RedisResult<BasicAuth>> + Send + 'static>> {
        let subscriber = Subscriber { tokens: self.0.clone(), told: Told::Nothing };
        Box::pin(stream::unfold(subscriber, |mut subscriber| async move {
            let item = subscriber.next().await?;
            Some((item, subscriber))
        }))
    }
}

impl fmt::Debug for EntraCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let generation = self.0.live().map(|current| current.generation);
        f.debug_struct("EntraCredentials").field("generation", &generation).finish_non_exhaustive()
    }
}

/// One stream: what it looks at, and what it was told last.
struct Subscriber {
    tokens: Tokens,
    told: Told,
}

#[derive(PartialEq, Eq)]
enum Told {
    Nothing,
    /// The token of this generation.
    Token(u64),
    /// That there is none.
    Dead,
}

impl Subscriber {
    /// The next thing to tell; none once there is nobody left who fetches tokens.
    async fn next(&mut self) -> Option<RedisResult<BasicAuth>> {
        loop {
            if let Some(current) = self.tokens.live() {
                let news = Told::Token(current.generation);
                if self.told != news {
                    self.told = news;
                    return Some(Ok(auth(&current)));
                }
            } else if let Some(error) = self.tokens.dead()
                && self.told != Told::Dead
            {
                self.told = Told::Dead;
                return Some(Err(error.for_want_of_a_token().into()));
            }
            if !self.tokens.changed().await {
                return None;
            }
        }
    }
}

fn auth(current: &Current) -> BasicAuth {
    BasicAuth::new(current.username.expose().to_owned(), current.token.secret().expose().to_owned())
}

#[cfg(test)]
mod tests;
