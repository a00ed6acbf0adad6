//! Tokens for rustis.

use super::EntraCredentials;
use rustis::client::{Credentials, CredentialsProvider};
use std::io;

/// Every handshake asks: it gets the token in use at once, or the first one once it is there.
///
/// rustis asks at no other time, so a live connection is not authenticated again: Redis closes it when the token that
/// it was opened with expires. rustis dials again at once, with the token in use by then; commands that were under way
/// fail as they do when a connection breaks, or are sent again where `retry_on_error` says so.
///
/// ```no_run
/// use entra_redis::{Credential, EntraCredentials, ManagedIdentity, TokenManagerConfig};
/// use rustis::client::{Client, Config, ServerConfig};
/// use std::sync::Arc;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let credential = Credential::managed_identity(ManagedIdentity::SystemAssigned);
/// let credentials = EntraCredentials::start(credential, TokenManagerConfig::new())?;
///
/// let mut config = Config::default();
/// config.server = ServerConfig::Standalone { host: "cache.westeurope.redis.azure.net".to_owned(), port: 10_000 };
/// config.credentials_provider = Some(Arc::new(credentials));
/// // And `config.tls_config`, with rustis's feature `tokio-rustls`.
/// let client = Client::connect(config).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// If there is no valid token the handshake fails, with an [`io::Error`] that holds this crate's
/// [`Error`](crate::Error). rustis tries again by its reconnection policy.
#[cfg_attr(docsrs, doc(cfg(feature = "rustis")))]
impl CredentialsProvider for EntraCredentials {
    fn credentials(&self) -> rustis::Future<'_, Credentials> {
        Box::pin(async move {
            let current =
                self.current().await.map_err(|error| io::Error::new(io::ErrorKind::PermissionDenied, error))?;
            let username = Some(current.username.expose().to_owned());
            Ok(Credentials { username, password: current.token.secret().expose().to_owned() })
        })
    }
}

#[cfg(test)]
mod tests;
