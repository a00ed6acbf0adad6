//! This crate, as it comes: deadlines, checks and rotations are on.

use super::Shared;
use crate::target::{Outcome, Target, text};
use entra_redis::{AccessToken, Config, Credential, EntraRedis, Tls};
use std::time::{Duration, Instant};

/// For all links to come up.
const PATIENCE: Duration = Duration::from_secs(20);

const HOUR: Duration = Duration::from_secs(3600);

/// With all links of all nodes up, of which a command needs one only.
pub async fn connect_whole(target: &Target) -> Outcome<EntraRedis> {
    let redis = connect(target, None).await?.0;
    let deadline = Instant::now() + PATIENCE;
    let is_whole = || {
        let nodes = redis.manager().stats().nodes;
        nodes.len() == target.nodes && nodes.iter().all(|node| node.open_links > 1)
    };
    while !is_whole() {
        if Instant::now() > deadline {
            return Err("not all links are up".to_owned());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(redis)
}

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
