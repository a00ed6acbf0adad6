//! Where service principals get their tokens.

use crate::Error;
use reqwest::Url;

const PUBLIC_CLOUD: &str = "https://login.microsoftonline.com";

/// The token endpoint of one tenant.
pub(super) struct Authority(Url);

impl Authority {
    pub(super) fn new(host: Option<&str>, tenant_id: &str) -> Result<Self, Error> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
        if tenant_id.is_empty() || !tenant_id.chars().all(plain) {
            let problem = "must be a tenant's id or domain name: letters, digits, `.` and `-`";
            return Err(Error::config("tenant_id", problem));
        }
        let mut url = base_url("authority_host", host.unwrap_or(PUBLIC_CLOUD))?;
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

    /// Plain HTTP on a loopback address, which the constructor allows nothing else to be.
    pub(super) fn is_local(&self) -> bool {
        self.0.scheme() == "http"
    }
}

/// An http(s) URL of a host, without credentials; a bare host name means https.
pub(super) fn base_url(setting: &str, text: &str) -> Result<Url, Error> {
    let text = text.trim();
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let url = Url::parse(&with_scheme).map_err(|source| Error::config(setting, "is not a URL").with_source(source))?;
    let known_scheme = matches!(url.scheme(), "http" | "https");
    if !known_scheme || !url.has_host() || !url.username().is_empty() || url.password().is_some() {
        return Err(Error::config(setting, "must be an http(s) URL of a host"));
    }
    Ok(url)
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
