//! A [`Config`] read from a file of settings: what an application keeps in TOML, YAML or JSON beside its own.

mod credential;
mod reference;
mod rest;
mod shapes;
#[cfg(test)]
mod tests;

use super::{
    config::Config,
    target::{Target, usual_port},
};
use crate::{
    admission::Overload,
    cluster::discovery::{Startup, Topology},
    credential::{Cloud, Credential},
    error::Error,
    ids::UserName,
};
use credential::Who;
use redis::ProtocolVersion;
use rest::{Rest, Unknown};
use serde::{Deserialize, Deserializer, de::Error as _};
use shapes::{CloudName, OverloadName, Protocol, StartupName, Time, Tokens, TopologyName, Trust};

/// With the feature `serde`. Fields have the names of the setters; those that are missing have their defaults, and
/// those that are not known are refused. What takes code (`resolver`, `node_address`, `Tls::from_rustls`) is set by the
/// program alone, and so is `Tls::dangerously_unencrypted`. Durations are texts with a unit: `"5s"`, `"250ms"`,
/// `"3min"`, `"1h 30min"`. Secrets are references, `{ env = "NAME" }` or `{ file = "path" }`, and are read when the
/// settings are.
///
/// Readers of settings show the line that an error is about. What is wrong with a credential, a secret or the URL, and
/// an unknown field that holds a text (one that is a duration, such as `"5s"`, counts as no secret), is therefore told
/// by `connect`, without what stands there. What is wrong with another setting is told while reading: in an inline
/// table, the line that a reader shows then is that of all its fields.
///
/// ```
/// use entra_redis::Config;
///
/// let settings = r#"{
///     "url": "rediss://cache.westeurope.redis.azure.net:10000",
///     "credential": { "managed_identity": { "client_id": "<CLIENT_ID>" } },
///     "pool_size": 2,
///     "command_timeout": "2s",
///     "token_manager": { "expiration_refresh_ratio": 0.9 },
///     "tls": { "ca_file": "/etc/ssl/redis.pem" }
/// }"#;
/// let config: Config = serde_json::from_str(settings)?;
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// A credential is one of `"from_env"` (the default), `"default_chain"`, `"azure_cli"`, `"azure_developer_cli"`,
/// `"workload_identity"`, `{ "managed_identity": … }` with `"system_assigned"`, `{ "client_id": … }`,
/// `{ "object_id": … }` or `{ "resource_id": … }`, and
/// `{ "service_principal": { "client_id": …, "tenant_id": …, "client_secret": … } }` with a secret or with
/// `certificate_file` and, if it is encrypted, `certificate_password`; with `"send_chain": true` its chain is sent.
/// Beside it stand its `scope`, `cloud` or `authority_host` (which counts if both are there), `imds_host` and
/// `tenant_id`. Of `tls`, `ca_pem` and `client_cert_pem` are texts, and `client_key_pem` is a secret.
impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Settings::deserialize(deserializer)?.into_config().map_err(D::Error::custom)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Settings {
    url: Option<String>,
    host: Option<String>,
    port: Option<u16>,
    credential: Who,
    scope: Option<String>,
    authority_host: Option<String>,
    cloud: Option<CloudName>,
    imds_host: Option<String>,
    tenant_id: Option<String>,
    username: Option<String>,
    client_name: Option<String>,
    protocol: Option<Protocol>,
    topology: Option<TopologyName>,
    topology_refresh_interval: Option<Time>,
    startup: Option<StartupName>,
    pool_size: Option<usize>,
    startup_timeout: Option<Time>,
    connect_timeout: Option<Time>,
    auth_timeout: Option<Time>,
    command_timeout: Option<Time>,
    shutdown_timeout: Option<Time>,
    ping_interval: Option<Time>,
    max_in_flight: Option<usize>,
    max_leased: Option<usize>,
    overload: Option<OverloadName>,
    pubsub_buffer: Option<usize>,
    retry_reads: Option<bool>,
    token_manager: Tokens,
    tls: Option<Trust>,
    #[serde(flatten)]
    rest: Rest,
}

/// What is wrong with settings.
enum Problem {
    /// It is told while they are read.
    Shown(String),
    /// It has to do with a secret: `connect` tells it.
    Secret(Error),
}

impl From<Unknown> for Problem {
    fn from(unknown: Unknown) -> Self {
        if unknown.may_be_secret {
            Self::Secret(Error::config("settings", format_args!("cannot be used: {}", unknown.told)))
        } else {
            Self::Shown(unknown.told)
        }
    }
}

impl Settings {
    fn into_config(mut self) -> Result<Config, String> {
        let mut problems = Vec::new();
        for result in [self.rest.check(), self.token_manager.check(), self.tls.as_ref().map_or(Ok(()), Trust::check)] {
            problems.extend(result.err().map(Problem::from));
        }
        let credential = self.credential().unwrap_or_else(|told| {
            problems.push(Problem::Secret(Error::config("credential", format_args!("cannot be used: {told}"))));
            Credential::from_env_later()
        });
        let mut config = Config::new(credential);
        match self.target() {
            Ok(Some(target)) => config = config.at(target),
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
        match self.tls.take().map(Trust::into_tls) {
            Some(Ok(tls)) => config = config.tls(tls),
            Some(Err(told)) => {
                problems.push(Problem::Secret(Error::config("tls", format_args!("cannot be used: {told}"))));
            }
            None => {}
        }
        // While there is one that has to do with a secret, none is told here: all may stand in one line.
        let secret = problems.iter().find_map(|problem| match problem {
            Problem::Secret(error) => Some(error.clone()),
            Problem::Shown(_) => None,
        });
        match (secret, problems.pop()) {
            (None, Some(Problem::Shown(told))) => Err(told),
            (secret, _) => {
                config.problem = secret;
                Ok(self.apply_to(config))
            }
        }
    }

    fn credential(&mut self) -> Result<Credential, String> {
        let mut credential = std::mem::take(&mut self.credential).into_credential()?;
        if let Some(scope) = self.scope.take() {
            credential = credential.scope(scope);
        }
        // Before the authority host, which it takes the place of.
        credential = match self.cloud.take() {
            Some(CloudName::Public) => credential.cloud(Cloud::Public),
            Some(CloudName::UsGovernment) => credential.cloud(Cloud::UsGovernment),
            Some(CloudName::China) => credential.cloud(Cloud::China),
            None => credential,
        };
        if let Some(host) = self.authority_host.take() {
            credential = credential.authority_host(host);
        }
        if let Some(host) = self.imds_host.take() {
            credential = credential.imds_host(host);
        }
        Ok(match self.tenant_id.take() {
            Some(tenant) => credential.tenant_id(tenant),
            None => credential,
        })
    }

    /// Where the cache is, if that is there.
    fn target(&mut self) -> Result<Option<Target>, Problem> {
        let shown = |told: &str| Err(Problem::Shown(told.to_owned()));
        match (self.url.take(), self.host.take(), self.port.take()) {
            (Some(_), Some(_), _) => shown("`url` and `host` are both there: keep one"),
            (_, None, Some(_)) => shown("`port` is there without `host`: in a `url` it is part of that"),
            (Some(url), None, None) => Target::of_url("url", &url).map(Some).map_err(Problem::Secret),
            (None, Some(host), port) => {
                let port = port.unwrap_or_else(|| usual_port(&host));
                Ok(Some(Target::new(host, port)))
            }
            (None, None, None) => Ok(None),
        }
    }

    /// Everything else.
    fn apply_to(self, mut config: Config) -> Config {
        config.username = self.username.map(UserName::new).or(config.username);
        config.client_name = self.client_name;
        config.pool_size = self.pool_size;
        config.protocol = match self.protocol {
            Some(Protocol::Resp2) => Some(ProtocolVersion::RESP2),
            Some(Protocol::Resp3) => Some(ProtocolVersion::RESP3),
            None => config.protocol,
        };
        config.topology = self.topology.map_or(config.topology, |topology| match topology {
            TopologyName::Auto => Topology::Auto,
            TopologyName::SingleEndpoint => Topology::SingleEndpoint,
            TopologyName::OssCluster => Topology::OssCluster,
        });
        config.startup = self.startup.map_or(config.startup, |startup| match startup {
            StartupName::Wait => Startup::Wait,
            StartupName::Lazy => Startup::Lazy,
        });
        config.overload = self.overload.map_or(config.overload, |overload| match overload {
            OverloadName::Refuse => Overload::Refuse,
            OverloadName::Wait => Overload::Wait,
        });
        config.max_in_flight = self.max_in_flight.unwrap_or(config.max_in_flight);
        config.max_leased = self.max_leased.unwrap_or(config.max_leased);
        config.pubsub_buffer = self.pubsub_buffer.unwrap_or(config.pubsub_buffer);
        config.retry_reads = self.retry_reads.unwrap_or(config.retry_reads);
        config.shutdown_timeout = self.shutdown_timeout.map(|time| time.0);
        for (setting, time) in [
            (&mut config.topology_refresh_interval, self.topology_refresh_interval),
            (&mut config.startup_timeout, self.startup_timeout),
            (&mut config.connect_timeout, self.connect_timeout),
            (&mut config.auth_timeout, self.auth_timeout),
            (&mut config.command_timeout, self.command_timeout),
            (&mut config.ping_interval, self.ping_interval),
        ] {
            *setting = time.map_or(*setting, |time| time.0);
        }
        config.token_manager = self.token_manager.into_config();
        config
    }
}
