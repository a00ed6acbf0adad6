//! What most tests begin with: Azure on this machine, a handle on its Redis, and the handle's links.

use super::{
    emulator, links_up,
    logs::{self, Watch},
};
use entra_redis::{
    Config, EntraRedis, Error,
    emulator::{Emulator, EmulatorBuilder},
};
use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

/// What is wrong, as a rule, when an emulator does not start.
pub const NEEDED: &str = "redis-server is needed for this test: `make test` installs it";

/// The emulator. While it lives the logs are searched for secrets, its own among them.
#[derive(Debug)]
pub struct Azure {
    emulator: Emulator,
    _logs: Watch,
}

impl Azure {
    pub async fn start(builder: EmulatorBuilder) -> Self {
        let logs = logs::watch();
        let emulator = builder.start().await.expect(NEEDED);
        Self::watched(emulator, logs)
    }

    /// One that runs already.
    pub fn of(emulator: Emulator) -> Self {
        Self::watched(emulator, logs::watch())
    }

    fn watched(emulator: Emulator, logs: Watch) -> Self {
        logs::forbid(emulator.client_secret());
        logs::forbid(emulator.identity_header());
        Self { emulator, _logs: logs }
    }

    /// What `connect` gives for this configuration.
    pub async fn try_connect(&self, config: Config) -> Result<EntraRedis, Error> {
        EntraRedis::connect(self.host(), self.port(), config).await
    }

    /// A handle, which has one link at least.
    pub async fn connect(&self, config: Config) -> EntraRedis {
        self.try_connect(config).await.unwrap()
    }

    /// A handle, all of whose links are up.
    pub async fn up(&self, config: Config, links: usize) -> EntraRedis {
        let redis = self.connect(config.pool_size(links)).await;
        links_up(&redis, links).await;
        redis
    }
}

impl Deref for Azure {
    type Target = Emulator;

    fn deref(&self) -> &Emulator {
        &self.emulator
    }
}

impl DerefMut for Azure {
    fn deref_mut(&mut self) -> &mut Emulator {
        &mut self.emulator
    }
}

/// An emulator and a handle on it, with other settings where a test needs them.
#[must_use]
pub struct Fixture {
    emulator: EmulatorBuilder,
    config: Box<dyn FnOnce(Config) -> Config + Send>,
    links: usize,
}

impl Default for Fixture {
    fn default() -> Self {
        Self::of(Emulator::builder())
    }
}

impl Fixture {
    /// The emulator with a store of its own, and the default four links.
    pub fn new() -> Self {
        Self::default()
    }

    /// The emulator on a real redis-server, with tokens of this lifetime.
    pub fn on_redis(lifetime: Duration) -> Self {
        Self::of(emulator(lifetime))
    }

    pub fn of(emulator: EmulatorBuilder) -> Self {
        Self { emulator, config: Box::new(|config| config), links: 4 }
    }

    /// Tokens of this lifetime.
    pub fn tokens_of(self, lifetime: Duration) -> Self {
        Self { emulator: self.emulator.token_lifetime(lifetime), ..self }
    }

    /// The emulator's configuration with these changes.
    pub fn config(self, change: impl FnOnce(Config) -> Config + Send + 'static) -> Self {
        Self { config: Box::new(change), ..self }
    }

    /// As many links.
    pub fn links(self, links: usize) -> Self {
        Self { links, ..self }
    }

    /// The handle as `connect` gives it, with one link at least.
    pub async fn connect(self) -> (Azure, EntraRedis) {
        let azure = Azure::start(self.emulator).await;
        let redis = azure.connect((self.config)(azure.config()).pool_size(self.links)).await;
        (azure, redis)
    }

    /// The handle with all of its links.
    pub async fn up(self) -> (Azure, EntraRedis) {
        let links = self.links;
        let (azure, redis) = self.connect().await;
        links_up(&redis, links).await;
        (azure, redis)
    }
}
