//! Tokens for fred.

use super::EntraCredentials;
use crate::token::Current;
use fred::{
    error::{Error, ErrorKind},
    types::config::{CredentialProvider, Server},
};
use std::{pin::Pin, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

/// User name and password, as fred takes them.
type Fetched = Result<(Option<String>, Option<String>), Error>;

/// What fred sleeps between the end of one refresh and the next call of `fetch`, which then waits for news itself.
const PACE: Duration = Duration::from_millis(100);

/// The longest that clients take, all together, to authenticate with a new token.
const SPREAD: Duration = Duration::from_secs(1);

/// How long a refresh waits for a token where there is none, before fred logs why.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection that is opened gets the token in use at once, or the first one once it is there.
///
/// fred asks for the next token at fixed intervals: every 100 ms here. The answer waits until there is a new token, so
/// that each client authenticates its connections again when the token rotates, within a second of it; within a tenth
/// of the time between the rotation and the expiry of the old token if that is less. And it is given again in the
/// meantime, four times in the time that is left between a rotation and that expiry, so that an `AUTH` that failed is
/// repeated: fred does not say whether one did.
///
/// On a cluster that is so **over RESP2 only**, which is fred's default: the `HELLO` that fred 10.1 sends to all nodes
/// over RESP3 has no `AUTH` in it, whatever the provider returned. There, connections end when their token expires, and
/// are dialled again with the token in use.
///
/// ```no_run
/// use entra_redis::{Credential, EntraCredentials, ManagedIdentity, TokenManagerConfig};
/// use fred::{interfaces::ClientLike, types::{Builder, config::{Config, ServerConfig}}};
/// use std::sync::Arc;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let credential = Credential::managed_identity(ManagedIdentity::SystemAssigned);
/// let credentials = EntraCredentials::start(credential, TokenManagerConfig::new())?;
///
/// let config = Config {
///     server: ServerConfig::new_centralized("cache.westeurope.redis.azure.net", 10_000),
///     credential_provider: Some(Arc::new(credentials)),
///     // And `tls`, with one of fred's features for it.
///     ..Config::default()
/// };
/// let client = Builder::from_config(config).build()?;
/// client.init().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// If there is no valid token the handshake fails, with an error of the kind `Auth` and this crate's text. fred tries
/// again by its reconnection policy.
#[cfg_attr(docsrs, doc(cfg(feature = "fred")))]
impl CredentialProvider for EntraCredentials {
    // What `async_trait` makes of `async fn`; fred does not pass that macro on.
    fn fetch<'provider, 'server, 'fetch>(
        &'provider self,
        server: Option<&'server Server>,
    ) -> Pin<Box<dyn Future<Output = Fetched> + Send + 'fetch>>
    where
        'provider: 'fetch,
        'server: 'fetch,
        Self: 'fetch,
    {
        // The name of a server is given where a connection is opened; without one, all live ones are refreshed.
        let opens = server.is_some();
        Box::pin(async move {
            let current = if opens { self.current().await } else { self.renewed().await };
            current.map(|current| answer(&current)).map_err(|error| Error::new(ErrorKind::Auth, error.to_string()))
        })
    }

    fn refresh_interval(&self) -> Option<Duration> {
        Some(PACE)
    }
}

impl EntraCredentials {
    /// The next token; or the one in use once more, when it is time to repeat it.
    async fn renewed(&self) -> Result<Arc<Current>, crate::error::Error> {
        let mut tokens = self.0.clone();
        let before = tokens.newest().map(|current| current.generation);
        let margin = self.margin();
        let until = Instant::now() + margin.map_or(PATIENCE, |margin| margin / 4);
        let is_news = |current: &Arc<Current>| Some(current.generation) != before;
        while !tokens.live().is_some_and(|current| is_news(&current)) {
            match timeout_at(until, tokens.changed()).await {
                Ok(true) => {}
                // Nobody fetches tokens any more: the runtime that did has ended.
                Ok(false) => {
                    sleep_until(until).await;
                    return self.current().await;
                }
                Err(_) => return self.current().await,
            }
        }
        // The clients of a pool have all been waiting for it. Where there was no token, this one has to last.
        let most = margin.or_else(|| self.margin()).map_or(SPREAD, |margin| SPREAD.min(margin / 10));
        sleep(most.mul_f64(fastrand::f64())).await;
        self.current().await
    }

    /// What is left of a token's life when the next one is asked for: within it all connections have to change over.
    /// None without a valid token.
    fn margin(&self) -> Option<Duration> {
        let token = &self.0.live()?.token;
        let expiry = Instant::now() + token.remaining();
        // Less is left while requests fail; nothing has to be repeated more often for that.
        Some(expiry.saturating_duration_since(self.0.next_request()).max(token.lifetime() / 20))
    }
}

fn answer(current: &Current) -> (Option<String>, Option<String>) {
    (Some(current.username.expose().to_owned()), Some(current.token.secret().expose().to_owned()))
}

#[cfg(test)]
mod tests;
