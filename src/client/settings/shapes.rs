//! The parts of a file of settings, as people write them.

use super::{
    reference::Reference,
    rest::{Rest, Unknown},
};
use crate::{retry::RetryPolicy, token::TokenManagerConfig, transport::tls::Tls};
use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;
use std::{path::PathBuf, time::Duration};

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Tokens {
    expiration_refresh_ratio: Option<f64>,
    lower_refresh_bound: Option<Time>,
    min_refresh_interval: Option<Time>,
    token_request_execution_timeout: Option<Time>,
    retry_policy: Retries,
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Retries {
    max_attempts: Option<u32>,
    delay: Option<Time>,
    max_delay: Option<Time>,
    multiplier: Option<f64>,
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Trust {
    ca_file: Option<PathBuf>,
    ca_pem: Option<String>,
    client_cert_file: Option<PathBuf>,
    client_cert_pem: Option<String>,
    client_key_file: Option<PathBuf>,
    /// A reference to it.
    client_key_pem: Option<Value>,
    server_name: Option<String>,
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CloudName {
    Public,
    UsGovernment,
    China,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Protocol {
    Resp2,
    Resp3,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TopologyName {
    Auto,
    SingleEndpoint,
    OssCluster,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StartupName {
    Wait,
    Lazy,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OverloadName {
    Refuse,
    Wait,
}

/// A duration as people write it.
#[derive(Clone, Copy)]
pub(super) struct Time(pub(super) Duration);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format!("`{text}` is no duration: write a number and a unit, such as \"5s\" or \"3min\""))
        })
    }
}

impl Time {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let time = text.trim().parse::<SignedDuration>().ok()?;
        Duration::try_from(time).ok().map(Self)
    }
}

impl Tokens {
    pub(super) fn check(&self) -> Result<(), Unknown> {
        self.rest.check()?;
        self.retry_policy.rest.check()
    }

    pub(super) fn into_config(self) -> TokenManagerConfig {
        let default = TokenManagerConfig::new();
        let time = |set: Option<Time>, default| set.map_or(default, |Time(time)| time);
        TokenManagerConfig {
            expiration_refresh_ratio: self.expiration_refresh_ratio.unwrap_or(default.expiration_refresh_ratio),
            lower_refresh_bound: time(self.lower_refresh_bound, default.lower_refresh_bound),
            min_refresh_interval: time(self.min_refresh_interval, default.min_refresh_interval),
            token_request_execution_timeout: time(
                self.token_request_execution_timeout,
                default.token_request_execution_timeout,
            ),
            retry_policy: RetryPolicy {
                max_attempts: self.retry_policy.max_attempts.unwrap_or(default.retry_policy.max_attempts),
                delay: time(self.retry_policy.delay, default.retry_policy.delay),
                max_delay: time(self.retry_policy.max_delay, default.retry_policy.max_delay),
                multiplier: self.retry_policy.multiplier.unwrap_or(default.retry_policy.multiplier),
            },
        }
    }
}

impl Trust {
    pub(super) fn check(&self) -> Result<(), Unknown> {
        self.rest.check()
    }

    pub(super) fn into_tls(self) -> Result<Tls, String> {
        let mut tls = Tls::new();
        for (names, is_twice) in [
            ("`ca_file` and `ca_pem`", self.ca_file.is_some() && self.ca_pem.is_some()),
            (
                "`client_cert_file` and `client_cert_pem`",
                self.client_cert_file.is_some() && self.client_cert_pem.is_some(),
            ),
            ("`client_key_file` and `client_key_pem`", self.client_key_file.is_some() && self.client_key_pem.is_some()),
        ] {
            if is_twice {
                return Err(format!("{names} are both there: keep one"));
            }
        }
        if let Some(file) = self.ca_file {
            tls = tls.ca_file(file);
        }
        if let Some(pem) = self.ca_pem {
            tls = tls.ca_pem(pem);
        }
        if let Some(file) = self.client_cert_file {
            tls = tls.client_cert_file(file);
        }
        if let Some(pem) = self.client_cert_pem {
            tls = tls.client_cert_pem(pem);
        }
        if let Some(file) = self.client_key_file {
            tls = tls.client_key_file(file);
        }
        if let Some(given) = self.client_key_pem {
            tls = tls.client_key_pem(Reference::of(&given).read()?.expose());
        }
        Ok(match self.server_name {
            Some(name) => tls.server_name(name),
            None => tls,
        })
    }
}
