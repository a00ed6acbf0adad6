//! Where the cache is, by the options and the environment.

use super::{cause::Cause, environment::is_host, report::Finding};
use crate::{
    client::target::{Target, usual_port},
    error::Error,
    ids::UserName,
};
use redis::ProtocolVersion;

/// A host and a port, and what is wrong with how they were given.
#[derive(Debug, Default)]
pub struct Place {
    /// The host, or what stands in its place.
    pub host: Option<String>,
    /// The port.
    pub port: u16,
    /// The Redis user name that a URL has.
    pub(super) username: Option<UserName>,
    /// Whether a URL asks for RESP2.
    pub resp2: bool,
    pub(super) problem: Option<Finding>,
}

/// A URL, taken apart.
struct Parts<'a> {
    scheme: &'a str,
    user: &'a str,
    has_password: bool,
    host: &'a str,
    port: Option<u16>,
}

impl<'a> Parts<'a> {
    fn of(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.trim().split_once("://")?;
        let (authority, _) = rest.split_once(['/', '?', '#']).unwrap_or((rest, ""));
        let (login, place) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, has_password) = login.split_once(':').map_or((login, false), |(user, _)| (user, true));
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !place.ends_with(']') => (host, Some(port.parse().ok()?)),
            _ => (place, None),
        };
        Some(Self { scheme, user, has_password, host: host.trim_matches(['[', ']']), port })
    }
}

impl Place {
    /// By the options `host` and `port`, or else by the variables that `get` reads, as
    /// [`EntraRedis::from_env`](crate::EntraRedis::from_env) does.
    pub fn find(host: Option<&str>, port: Option<u16>, get: impl Fn(&str) -> Option<String>) -> Self {
        let get = |name: &str| get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let mut place = match host.map(str::trim).filter(|host| !host.is_empty()) {
            Some(host) => Self { host: Some(host.to_owned()), port: usual_port(host), ..Self::default() },
            None => match Target::of_variables(get) {
                Ok(Target { host, port, username, protocol }) => {
                    let resp2 = protocol == Some(ProtocolVersion::RESP2);
                    Self { host: Some(host), port, username, resp2, problem: None }
                }
                Err(error) => Self::wrong(get, &error),
            },
        };
        place.port = port.unwrap_or(place.port);
        place
    }

    /// What the variables say that make no sense as a whole.
    fn wrong(get: impl Fn(&str) -> Option<String>, error: &Error) -> Self {
        let host = get("REDIS_HOST").or_else(|| get("AZURE_REDIS_HOST"));
        let of_url = get("REDIS_URL").map(|url| Self::of_url(&url)).unwrap_or_default();
        let port = usual_port(host.as_deref().unwrap_or_default());
        let place = Self { host: host.clone(), port, ..Self::default() };
        let is_port = get("REDIS_PORT").is_some_and(|text| text.parse::<u16>().is_err());
        if of_url.problem.is_some() {
            return Self { host: host.or(of_url.host), ..of_url };
        }
        let problem = if is_port {
            let detail = format!("REDIS_PORT is no port; {port} is the usual one");
            Finding::failed(Cause::PortMalformed, detail, format!("export REDIS_PORT={port}"))
        } else if of_url.host.is_some() {
            Finding::failed(Cause::SettingsContradict, error.to_string(), "unset REDIS_URL")
        } else {
            // That there is no host, or what is wrong with it, is told with it.
            return place;
        };
        Self { problem: Some(problem), host: place.host.or(of_url.host), ..place }
    }

    /// Nothing of the URL is quoted but its host: it may hold a secret anywhere else.
    fn of_url(url: &str) -> Self {
        let Some(parts) = Parts::of(url).filter(|parts| is_host(parts.host)) else {
            let detail = "REDIS_URL is no URL of a cache: it should look like rediss://HOST:10000";
            let problem = Finding::failed(Cause::UrlMalformed, detail, "export REDIS_URL=rediss://<HOST>:10000");
            return Self { problem: Some(problem), ..Self::default() };
        };
        let (host, port) = (parts.host.to_owned(), parts.port.unwrap_or_else(|| usual_port(parts.host)));
        let bracketed = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let next = format!("export REDIS_URL=rediss://{bracketed}:{port}");
        let problem = if parts.has_password {
            let detail = format!(
                "REDIS_URL holds a password for {host}, as access keys are given: with Microsoft Entra ID the password is \
                 the token, and caches have their access keys disabled by default"
            );
            Some(Finding::failed(Cause::AccessKeyGiven, detail, next))
        } else if !matches!(parts.scheme, "rediss" | "valkeys") {
            let detail = format!("REDIS_URL asks for {host} without TLS, where a token would travel in the clear");
            Some(Finding::failed(Cause::UrlWithoutTls, detail, next))
        } else {
            None
        };
        let username = (!parts.user.is_empty()).then(|| UserName::new(parts.user));
        Self { host: Some(host), port, username, resp2: false, problem }
    }
}

#[cfg(test)]
mod tests;
