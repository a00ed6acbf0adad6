//! Where it connects to, and what the environment says besides.

use super::Config;
use crate::{
    client::target::{Destination, Target},
    credential::Credential,
    error::Error,
    transport::tls::Tls,
};

impl Config {
    /// The defaults, with [`Credential::from_env`] and [`endpoint_from_env`](Self::endpoint_from_env).
    ///
    /// ```no_run
    /// use entra_redis::{Config, EntraRedis};
    /// use std::time::Duration;
    ///
    /// # async fn run() -> Result<(), entra_redis::Error> {
    /// let redis = EntraRedis::open(Config::from_env()?.command_timeout(Duration::from_secs(2))).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`Credential::from_env`].
    pub fn from_env() -> Result<Self, Error> {
        Ok(Self::new(Credential::from_env()?).endpoint_from_env())
    }

    /// The defaults with [`Credential::from_env`], and a URL that says where
    /// [`EntraRedis::open`](crate::EntraRedis::open) connects to: `rediss://[user@]host[:port][/0][?protocol=resp2]`.
    /// Without a port, it is 10000, that of Azure Managed Redis; with a name of Azure Cache for Redis, 6380.
    /// [`credential`](Self::credential) sets another credential.
    ///
    /// ```
    /// use entra_redis::{Config, Credential};
    ///
    /// # fn run() -> Result<Config, entra_redis::Error> {
    /// let config = Config::from_url("rediss://cache.westeurope.redis.azure.net:10000")?
    ///     .credential(Credential::azure_cli());
    /// # Ok(config)
    /// # }
    /// # run().unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ErrorKind::Configuration) if it is no such URL; if it holds a password, which is not
    /// used: Microsoft Entra ID authenticates with tokens; if it begins with `redis://`, which is without TLS; if it
    /// names a database other than 0. No error quotes the URL. Those of [`Credential::from_env`] come from `open`.
    pub fn from_url(url: &str) -> Result<Self, Error> {
        let target = Target::of_url("url", url)?;
        Ok(Self::new(Credential::from_env_later()).at(target))
    }

    /// Where [`EntraRedis::open`](crate::EntraRedis::open) connects to, in place of what [`from_url`](Self::from_url)
    /// or [`endpoint_from_env`](Self::endpoint_from_env) says.
    pub fn endpoint(mut self, host: impl Into<String>, port: u16) -> Self {
        self.destination = Destination::Said(Target::new(host.into(), port));
        self
    }

    /// Where [`EntraRedis::open`](crate::EntraRedis::open) connects to, read when it does, from the variables that
    /// [`EntraRedis::from_env`](crate::EntraRedis::from_env) lists; and `REDIS_CA_CERT`, a PEM file with the
    /// certificate authorities to trust where the operating system's are not the right ones, as [`Tls::ca_file`]. What
    /// the program sets wins: the protocol and the user name over those of `REDIS_URL`, [`tls`](Self::tls) as a whole
    /// over `REDIS_CA_CERT`.
    pub fn endpoint_from_env(mut self) -> Self {
        (self.destination, self.trusts_environment) = (Destination::OfEnvironment, true);
        self
    }

    /// How connections are encrypted and verified, with what the variables say that `get` reads.
    pub(in crate::client) fn transport_security(&self, get: impl Fn(&str) -> Option<String>) -> Tls {
        match &self.tls {
            Some(tls) => tls.clone(),
            None => match Target::ca_file(get).filter(|_| self.trusts_environment) {
                Some(file) => Tls::new().ca_file(file),
                None => Tls::default(),
            },
        }
    }

    /// Where `EntraRedis::open` connects to, and the settings with what is said there besides; `get` reads variables.
    pub(in crate::client) fn located(self, get: impl Fn(&str) -> Option<String>) -> Result<(Target, Self), Error> {
        match &self.destination {
            Destination::Said(target) => Ok((target.clone(), self)),
            Destination::OfEnvironment => {
                let target = Target::of_variables(get)?;
                // What the program sets wins.
                let username = self.username.clone().or_else(|| target.username.clone());
                let protocol = self.protocol.or(target.protocol);
                Ok((target, Self { username, protocol, ..self }))
            }
            Destination::Unsaid => {
                let problem = "is not set: use `Config::from_url`, `Config::from_env`, `Config::endpoint`, or \
                               `EntraRedis::connect`";
                Err(Error::config("endpoint", problem))
            }
        }
    }

    pub(in crate::client) fn at(mut self, target: Target) -> Self {
        self.username = target.username.clone().or(self.username);
        self.protocol = target.protocol.or(self.protocol);
        self.destination = Destination::Said(target);
        self
    }
}
