//! This crate, as it comes: deadlines, checks and rotations are on.

use super::Shared;
use crate::target::{Outcome, Target, text};
use entra_redis::{AccessToken, Config, Credential, EntraRedis, Tls};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// Without `links`, the pool has its default size.
pub async fn connect(target: &Target, links: Option<usize>) -> Outcome<Shared<EntraRedis>> {
    let credential = Credential::custom(|| async { AccessToken::opaque("any", HOUR, "tester") });
    let mut config = Config::new(credential).tls(Tls::new().ca_pem(&target.ca_pem));
    if let Some(links) = links {
        config = config.pool_size(links);
    }
    let redis = EntraRedis::connect(&target.host, target.port, config).await.map_err(text)?;
    Ok(Shared(redis))
}
