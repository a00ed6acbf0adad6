//! Where the cache is, as a URL or the environment says.

use crate::{error::Error, ids::UserName};
use percent_encoding::percent_decode_str;
use redis::ProtocolVersion;
use reqwest::Url;
use std::fmt;

/// The port of Azure Managed Redis.
const PORT: u16 = 10_000;

/// The port of Azure Cache for Redis with TLS, and its names in the clouds that have it.
pub(crate) const CLASSIC_PORT: u16 = 6380;
pub(crate) const CLASSIC_DOMAINS: [&str; 3] =
    [".redis.cache.windows.net", ".redis.cache.usgovcloudapi.net", ".redis.cache.chinacloudapi.cn"];

const URL: &str = "REDIS_URL";
const HOST: &str = "REDIS_HOST";
const PORT_VARIABLE: &str = "REDIS_PORT";
/// What Azure's Service Connector sets,
/// <https://learn.microsoft.com/azure/service-connector/how-to-integrate-redis-cache>.
const CONNECTOR_HOST: &str = "AZURE_REDIS_HOST";

const WITH_PASSWORD: &str = "holds a password, which is not used: Microsoft Entra ID authenticates with tokens, of the \
                             credential; remove it from the URL (a user name may stay)";

/// Names a PEM file with the certificate authorities to trust; the emulator exports its own by this name.
const CA_FILE: &str = "REDIS_CA_CERT";

/// Where `EntraRedis::open` connects to.
#[derive(Clone, Debug)]
pub(crate) enum Destination {
    Unsaid,
    Said(Target),
    /// Where the variables say when it is opened.
    OfEnvironment,
}

/// A host and a port, and what a URL says besides.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) username: Option<UserName>,
    pub(crate) protocol: Option<ProtocolVersion>,
}

impl Target {
    pub(crate) fn new(host: String, port: u16) -> Self {
        Self { host, port, username: None, protocol: None }
    }

    /// Reads `rediss://[user@]host[:port][/0][?protocol=resp3]`. `name` is what errors call it; they quote nothing of
    /// it, as it may hold a secret.
    pub(crate) fn of_url(name: &str, url: &str) -> Result<Self, Error> {
        let wrong = |problem: &str| Err(Error::config(name, problem));
        let Ok(url) = Url::parse(url.trim()) else {
            return wrong("is no URL; it should look like `rediss://<host>:10000`");
        };
        match url.scheme() {
            "rediss" | "valkeys" => {}
            "redis" | "valkey" => {
                return wrong(
                    "says `redis://`, which is without TLS, and would send tokens in the clear: say `rediss://` (for a \
                     local server without TLS, give `Tls::dangerously_unencrypted` and a host and port to `connect`)",
                );
            }
            _ => return wrong("must begin with `rediss://`"),
        }
        if url.password().is_some() {
            return wrong(WITH_PASSWORD);
        }
        if !matches!(url.path(), "" | "/" | "/0") {
            return wrong("names a database: Azure Managed Redis has the database 0 and no others");
        }
        if url.fragment().is_some() {
            return wrong("has a fragment (`#…`): certificates are always verified; `Config::tls` has the settings");
        }
        let host = match url.host_str() {
            Some(host) if !host.is_empty() => host.trim_matches(['[', ']']).to_owned(),
            _ => return wrong("has no host"),
        };
        let port = url.port().unwrap_or_else(|| usual_port(&host));
        let username = match url.username() {
            "" => None,
            user => match percent_decode_str(user).decode_utf8() {
                Ok(user) => Some(UserName::new(user.into_owned())),
                Err(_) => return wrong("has a user name that is not UTF-8"),
            },
        };
        let mut target = Self { username, ..Self::new(host, port) };
        for (key, value) in url.query_pairs() {
            target.protocol = match (&*key, &*value) {
                ("protocol", "2" | "resp2") => Some(ProtocolVersion::RESP2),
                ("protocol", "3" | "resp3") => Some(ProtocolVersion::RESP3),
                _ => return wrong("has a parameter other than `protocol=resp2` or `protocol=resp3`"),
            };
        }
        Ok(target)
    }

    /// What the variables say that `get` reads; an empty one counts as unset.
    pub(crate) fn of_variables(get: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let get = |name: &str| get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let host = [HOST, CONNECTOR_HOST].into_iter().find_map(|name| Some((name, get(name)?)));
        let port = match get(PORT_VARIABLE) {
            Some(port) => match port.parse() {
                Ok(port) => Some(port),
                Err(_) => return Err(Error::config(PORT_VARIABLE, "must be a number from 1 to 65535")),
            },
            None => None,
        };
        let url = get(URL).map(|url| Self::of_url(URL, &url)).transpose()?;
        let of_host = host.map(|(name, host)| Self::of_host(name, &host, port)).transpose()?;
        match (url, of_host) {
            (Some(url), Some(other)) if (&url.host, url.port) != (&other.host, other.port) => {
                Err(Error::config(URL, "names another host or port than `REDIS_HOST`, `REDIS_PORT` do: unset one"))
            }
            (Some(url), None) if port.is_some_and(|port| port != url.port) => {
                Err(Error::config(URL, "names another port than `REDIS_PORT` does: unset one"))
            }
            (Some(target), _) | (None, Some(target)) => Ok(target),
            (None, None) => Err(Error::config(
                HOST,
                "is not set, nor is `REDIS_URL`, nor `AZURE_REDIS_HOST`: it is the cache's host name, such as \
                 `<name>.<region>.redis.azure.net`",
            )),
        }
    }

    /// The file with certificate authorities that the variables name, which `get` reads; an empty one counts as unset.
    pub(crate) fn ca_file(get: impl Fn(&str) -> Option<String>) -> Option<String> {
        get(CA_FILE).filter(|file| !file.is_empty())
    }

    /// A host, or a host and a port.
    fn of_host(name: &str, value: &str, port: Option<u16>) -> Result<Self, Error> {
        let is_address = value.parse::<std::net::Ipv6Addr>().is_ok();
        let url = if is_address { format!("rediss://[{value}]") } else { format!("rediss://{value}") };
        let is_plain = is_address || value.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:[]".contains(c));
        let Some(mut target) = Self::of_url(name, &url).ok().filter(|_| is_plain) else {
            return Err(Error::config(name, "must be a host name, without scheme or path"));
        };
        if let Some(port) = port {
            let has_port = !is_address && value.rsplit_once(':').is_some_and(|(_, end)| !end.ends_with(']'));
            if has_port && target.port != port {
                return Err(Error::config(
                    name,
                    "names another port than `REDIS_PORT` does: unset that, or leave it out here",
                ));
            }
            target.port = port;
        }
        Ok(target)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is no host may be a connection string with a key.
        let host = checked_host(&self.host).unwrap_or("(no host, and not shown)");
        f.debug_struct("Target")
            .field("host", &host)
            .field("port", &self.port)
            .field("username", &self.username)
            .field("protocol", &self.protocol)
            .finish()
    }
}

/// A variable of this process.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The port of a cache of this name, if nothing says another one.
pub(crate) fn usual_port(host: &str) -> u16 {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let is_classic = CLASSIC_DOMAINS.iter().any(|domain| {
        // With a region, as in `NAME.REGION.redis.cache.windows.net`, it is a name of Azure Managed Redis.
        host.strip_suffix(domain).is_some_and(|rest| !rest.trim_end_matches(".privatelink").contains('.'))
    });
    if is_classic { CLASSIC_PORT } else { PORT }
}

/// The host name as it is resolved: without the brackets of an IPv6 address.
pub(crate) fn checked_host(host: &str) -> Result<&str, Error> {
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').unwrap_or(""),
        None => host,
    };
    if bare.parse::<std::net::IpAddr>().is_ok() {
        return Ok(bare);
    }
    if bare.is_empty() {
        return Err(Error::config("host", "is empty"));
    }
    let label = |label: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        (1..=63).contains(&label.len()) && label.chars().all(known)
    };
    let name = bare.strip_suffix('.').unwrap_or(bare);
    if name.len() > 253 || !name.split('.').all(label) {
        let problem = "must be a DNS name or an IP address alone, without scheme, port or path";
        return Err(Error::config("host", problem));
    }
    Ok(bare)
}

pub(crate) fn checked_port(port: u16) -> Result<u16, Error> {
    if port == 0 {
        return Err(Error::config("port", "must not be 0 (Azure Managed Redis listens on 10000)"));
    }
    Ok(port)
}

#[cfg(test)]
mod tests;
