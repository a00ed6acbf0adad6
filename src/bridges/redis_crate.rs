//! Tokens for the `redis` crate's own connections.

use super::EntraCredentials;
use crate::token::{Current, Tokens};
use futures_util::{Stream, stream};
use redis::{BasicAuth, RedisResult, StreamingCredentialsProvider};
use std::pin::Pin;

/// Every connection subscribes: it gets the token in use at once, or the first one once it is there, and each new one
/// after it, with which it authenticates again.
///
/// An error comes through when there is no valid token, not before. It ends nothing: the next token follows it.
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
#[cfg_attr(docsrs, doc(cfg(feature = "streaming-credentials")))]
impl StreamingCredentialsProvider for EntraCredentials {
    fn subscribe(&self) -> Pin<Box<dyn Stream<Item = RedisResult<BasicAuth>> + Send + 'static>> {
        let subscriber = Subscriber { tokens: self.0.clone(), told: Told::Nothing };
        Box::pin(stream::unfold(subscriber, |mut subscriber| async move {
            let item = subscriber.next().await?;
            Some((item, subscriber))
        }))
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
