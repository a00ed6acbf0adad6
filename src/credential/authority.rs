//! Where app registrations get their tokens.

use crate::error::Error;
use reqwest::Url;

/// One of Azure's clouds, each with a Microsoft Entra ID of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cloud {
    /// The global one: `login.microsoftonline.com`.
    #[default]
    Public,
    /// Azure Government: `login.microsoftonline.us`.
    UsGovernment,
    /// Azure operated by 21Vianet: `login.partner.microsoftonline.cn`.
    China,
}

impl Cloud {
    pub(super) fn authority_host(self) -> &'static str {
        match self {
            Self::Public => "https://login.microsoftonline.com",
            Self::UsGovernment => "https://login.microsoftonline.us",
            Self::China => "https://login.partner.microsoftonline.cn",
        }
    }

    /// What a managed identity's token must be for, to be an app registration's assertion.
    pub(super) fn exchange_audience(self) -> &'static str {
        match self {
            Self::Public => "api://AzureADTokenExchange",
            Self::UsGovernment => "api://AzureADTokenExchangeUSGov",
            Self::China => "api://AzureADTokenExchangeChina",
        }
    }

    /// The cloud that an authority host belongs to; the public one if nothing says otherwise.
    pub(super) fn of_authority(host: &str) -> Self {
        // As `Authority` reads it: a path and a port say nothing of the cloud.
        let Ok(url) = base_url("authority_host", host, "https") else {
            return Self::Public;
        };
        let host = url.host_str().unwrap_or_default().trim_end_matches('.');
        let is_in = |domain: &str| host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        if is_in("microsoftonline.us") || host == "login-us.microsoftonline.com" {
            Self::UsGovernment
        } else if is_in("partner.microsoftonline.cn") || is_in("chinacloudapi.cn") {
            Self::China
        } else {
            Self::Public
        }
    }
}

/// The token endpoint of one tenant.
pub(super) struct Authority(Url);

impl Authority {
    pub(super) fn new(host: &str, tenant_id: &str) -> Result<Self, Error> {
        check_tenant(tenant_id)?;
        let mut url = base_url("authority_host", host, "https")?;
        if url.scheme() != "https" && !is_loopback(&url) {
            let problem = "must be https; http is accepted for a loopback address only";
            return Err(Error::config("authority_host", problem));
        }
        url.set_path(&format!("{tenant_id}/oauth2/v2.0/token"));
        Ok(Self(url))
    }

    pub(super) fn token_endpoint(&self) -> &Url {
        &self.0
    }

    /// Whether it is plain HTTP, which the constructor allows on a loopback address only.
    pub(super) fn is_local(&self) -> bool {
        self.0.scheme() == "http"
    }
}

/// A tenant goes into a URL and into a tool's arguments: nothing in it may mean anything there.
pub(super) fn check_tenant(tenant_id: &str) -> Result<(), Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    // Of dots alone it would be a step up the path.
    let something = tenant_id.chars().any(|c| c.is_ascii_alphanumeric());
    if !something || tenant_id.starts_with('-') || !tenant_id.chars().all(plain) {
        let problem = "must be a tenant's id or domain name: letters, digits, `.` and `-`";
        return Err(Error::config("tenant_id", problem));
    }
    Ok(())
}

/// An http(s) URL of a host, without credentials; a bare host name means this scheme.
pub(super) fn base_url(setting: &str, text: &str, scheme: &str) -> Result<Url, Error> {
    let text = text.trim();
    let url = Url::parse(&with_scheme(text, scheme))
        .map_err(|source| Error::config(setting, "is not a URL").with_source(source))?;
    let known_scheme = matches!(url.scheme(), "http" | "https");
    if !known_scheme || !url.has_host() || !url.username().is_empty() || url.password().is_some() {
        return Err(Error::config(setting, "must be an http(s) URL of a host"));
    }
    Ok(url)
}

fn with_scheme(text: &str, scheme: &str) -> String {
    if text.contains("://") { text.to_owned() } else { format!("{scheme}://{text}") }
}

/// A host setting as it may be shown, before it is checked: its URL may hold a password.
pub(super) fn shown(text: &str) -> String {
    let Ok(url) = Url::parse(&with_scheme(text, "https")) else {
        return "(not a URL)".to_owned();
    };
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    if text.contains("://") { format!("{}://{host}{port}", url.scheme()) } else { format!("{host}{port}") }
}

/// As it may be shown: a query may hold a secret.
pub(super) fn without_query(url: &Url) -> &str {
    url.as_str().split(['?', '#']).next().unwrap_or_default()
}

fn is_loopback(url: &Url) -> bool {
    use std::net::{Ipv4Addr, Ipv6Addr};
    let Some(host) = url.host_str() else {
        return false;
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || bare.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
        || bare.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests;
