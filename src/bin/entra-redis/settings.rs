//! Settings from environment variables.

use crate::failure::Failure;
use std::env;

/// An empty variable counts as unset, as those of the credential do.
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether the environment says where the cache is, which the library reads; who begins has not said it yet.
pub(crate) fn check_cache() -> Result<(), Failure> {
    if ["REDIS_HOST", "REDIS_URL", "AZURE_REDIS_HOST"].into_iter().any(|name| variable(name).is_some()) {
        return Ok(());
    }
    let known = "to the host name of your cache, or to what `entra-redis emulator` prints";
    Err(format!("REDIS_HOST is not set: set it {known}").into())
}
