//! What is wrong with the settings as a whole, told before anything is done with them.

use super::Config;
use crate::{config_check, error::Error, ids::UserName};
use std::time::Duration;

/// More links than this in one process are a mistake: Azure's largest caches take fewer connections per client.
const LARGEST_POOL: usize = 10_000;

/// Each client of a cluster asks at this interval, and all of them together load the servers.
const SHORTEST_REFRESH_INTERVAL: Duration = Duration::from_secs(1);

impl Config {
    pub(crate) fn validate(&self) -> Result<(), Error> {
        if let Some(problem) = &self.problem {
            return Err(problem.clone());
        }
        if self.pool_size.is_some_and(|links| links == 0 || links > LARGEST_POOL) {
            return Err(Error::config("pool_size", "must be between 1 and 10000"));
        }
        if self.username.as_ref().is_some_and(UserName::is_blank) {
            return Err(Error::config("username", "is empty"));
        }
        if self.client_name.as_ref().is_some_and(|name| name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic()))
        {
            return Err(Error::config("client_name", "must be of visible ASCII characters, without spaces"));
        }
        if self.max_leased == 0 {
            return Err(Error::config("max_leased", "must be at least 1"));
        }
        if self.pubsub_buffer == 0 {
            return Err(Error::config("pubsub_buffer", "must be at least 1"));
        }
        if self.max_in_flight == 0 {
            return Err(Error::config("max_in_flight", "must be at least 1"));
        }
        if self.topology_refresh_interval < SHORTEST_REFRESH_INTERVAL {
            return Err(Error::config("topology_refresh_interval", "must be at least 1 s"));
        }
        for (setting, value) in [
            ("topology_refresh_interval", self.topology_refresh_interval),
            ("startup_timeout", self.startup_timeout),
            ("connect_timeout", self.connect_timeout),
            ("auth_timeout", self.auth_timeout),
            ("command_timeout", self.command_timeout),
            ("shutdown_timeout", self.shutdown_timeout.unwrap_or(self.command_timeout)),
            ("ping_interval", self.ping_interval),
        ] {
            config_check::positive(setting, value)?;
        }
        self.token_manager.validate()
    }
}
