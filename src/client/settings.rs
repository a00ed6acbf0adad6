//! A [`Config`] read from a file of settings: what an application keeps in TOML, YAML or JSON beside its own.

mod reference;
mod shapes;
#[cfg(test)]
mod tests;

use super::config::Config;
use crate::{
    admission::Overload,
    cluster::discovery::{Startup, Topology},
    credential::{Cloud, Credential, ManagedIdentity},
    error::Error,
    ids::UserName,
};
use redis::ProtocolVersion;
use serde::{Deserialize, Deserializer, de::Error as _};
use shapes::{CloudName, Identity, OverloadName, Protocol, StartupName, Time, TlsFiles, Tokens, TopologyName, Who};

/// With the feature `serde`. Fields have the names of the setters; those that are missing have their defaults, and
/// those that are not known are refused. Durations are texts with a unit: `"5s"`, `"250ms"`, `"3min"`, `"1h 30min"`.
/// Secrets are references, `{ env = "NAME" }` or `{ file = "path" }`, and are read when the settings are. What is wrong
/// with them, or with the URL, is told by `connect`, because readers of settings show the line that an error is about.
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
/// `certificate_file` and, if it is encrypted, `certificate_password`.
impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Settings::deserialize(deserializer)?.into_config().map_err(D::Error::custom)
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    url: Option<String>,
    host: Option<String>,
    port: Option<u16>,
    credential: Who,
    scope: Option<String>,
    authority_host: Option<String>,
    cloud: Option<CloudName>,
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
    tls: Option<TlsFiles>,
}

impl Settings {
    fn credential(&mut self) -> Result<Credential, String> {
        let mut credential = match std::mem::take(&mut self.credential) {
            Who::FromEnv => Credential::from_env_later(),
            Who::DefaultChain => Credential::default_chain(),
            Who::AzureCli => Credential::azure_cli(),
            Who::AzureDeveloperCli => Credential::azure_developer_cli(),
            Who::WorkloadIdentity => Credential::workload_identity(),
            Who::ManagedIdentity(identity) => Credential::managed_identity(match identity {
                Identity::SystemAssigned => ManagedIdentity::SystemAssigned,
                Identity::ClientId(id) => ManagedIdentity::UserAssignedClientId(id),
                Identity::ObjectId(id) => ManagedIdentity::UserAssignedObjectId(id),
                Identity::ResourceId(id) => ManagedIdentity::UserAssignedResourceId(id),
            }),
            Who::ServicePrincipal(principal) => principal.into_credential()?,
        };
        if let Some(scope) = self.scope.take() {
            credential = credential.scope(scope);
        }
        if let Some(host) = self.authority_host.take() {
            credential = credential.authority_host(host);
        }
        Ok(match self.cloud.take() {
            Some(CloudName::Public) => credential.cloud(Cloud::Public),
            Some(CloudName::UsGovernment) => credential.cloud(Cloud::UsGovernment),
            Some(CloudName::China) => credential.cloud(Cloud::China),
            None => credential,
        })
    }

    fn into_config(mut self) -> Result<Config, String> {
        // What may have to do with a secret is told by `connect`: readers of TOML show the line of an error that is
        // told while they read.
        let mut problem = None;
        let credential = self.credential().unwrap_or_else(|told| {
            problem = Some(Error::config("credential", format_args!("cannot be used: {told}")));
            Credential::from_env_later()
        });
        let mut config = match (self.url, self.host) {
            (Some(_), Some(_)) => return Err("`url` and `host` are both there: keep one".to_owned()),
            (Some(url), None) => match Config::from_url(&url) {
                Ok(config) => config.credential(credential),
                Err(error) => {
                    problem.get_or_insert(error);
                    Config::new(credential)
                }
            },
            (None, Some(host)) => Config::new(credential).endpoint(host, self.port.take().unwrap_or(10_000)),
            (None, None) => Config::new(credential),
        };
        if self.port.is_some() {
            return Err("`port` is there without `host`: in a `url` it is part of that".to_owned());
        }
        config.problem = problem;
        config.username = self.username.map(UserName::new).or(config.username);
        config.client_name = self.client_name;
        config.pool_size = self.pool_size;
        config = match self.protocol {
            Some(Protocol::Resp2) => config.protocol(ProtocolVersion::RESP2),
            Some(Protocol::Resp3) => config.protocol(ProtocolVersion::RESP3),
            None => config,
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
        Ok(match self.tls {
            Some(files) => config.tls(files.into_tls()),
            None => config,
        })
    }
}
