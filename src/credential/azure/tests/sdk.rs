//! A credential of the Azure SDK, as `azure_identity` has them; for `tests/bridges.rs`, too.

use azure_core::{
    credentials::{AccessToken, TokenCredential, TokenRequestOptions},
    time::OffsetDateTime,
};
use std::{
    fmt,
    pin::Pin,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Gives out what the function returns.
pub(super) struct Sdk<F>(pub(super) F);

impl<F> fmt::Debug for Sdk<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sdk")
    }
}

impl<F: Fn() -> azure_core::Result<AccessToken> + Send + Sync> TokenCredential for Sdk<F> {
    // What `async_trait` makes of an async function.
    fn get_token<'life0, 'life1, 'life2, 'life3, 'async_trait>(
        &'life0 self,
        scopes: &'life1 [&'life2 str],
        _: Option<TokenRequestOptions<'life3>>,
    ) -> Pin<Box<dyn Future<Output = azure_core::Result<AccessToken>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        'life2: 'async_trait,
        'life3: 'async_trait,
        Self: 'async_trait,
    {
        assert_eq!(scopes, ["https://redis.azure.com/.default"]);
        Box::pin(async move { (self.0)() })
    }
}

/// A token that lives so long, to the second.
pub(super) fn token(secret: String, lifetime: Duration) -> AccessToken {
    let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + lifetime;
    let end = i64::try_from(end.as_secs()).unwrap();
    AccessToken::new(secret, OffsetDateTime::from_unix_timestamp(end).unwrap())
}
