//! Settings from environment variables.

use crate::failure::Failure;
use entra_redis::Tls;
use std::env;

/// Where Azure Managed Redis listens.
const PORT: u16 = 10_000;

/// An empty variable counts as unset, as those of the credential do.
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The cache, by `REDIS_HOST` and `REDIS_PORT`.
pub(crate) fn endpoint() -> Result<(String, u16), Failure> {
    let host = variable("REDIS_HOST").ok_or_else(|| {
        let known = "to the host name of your cache, or to what `entra-redis emulator` prints";
        Failure::from(format!("REDIS_HOST is not set: set it {known}"))
    })?;
    let port = match variable("REDIS_PORT") {
        Some(text) => text.parse().map_err(|_| {
            Failure::from(format!("REDIS_PORT is no port: unset it for {PORT}, where Azure Managed Redis listens"))
        })?,
        None => PORT,
    };
    Ok((host, port))
}

/// The operating system's trust roots, or those of `REDIS_CA_CERT`, a PEM file.
pub(crate) fn tls() -> Tls {
    variable("REDIS_CA_CERT").map_or_else(Tls::new, |file| Tls::new().ca_file(file))
}
