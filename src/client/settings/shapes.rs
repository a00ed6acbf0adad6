//! The parts of a file of settings, as people write them.

use super::reference::Reference;
use crate::{
    credential::{ClientCertificate, Credential},
    secret::Secret,
    token::TokenManagerConfig,
    transport::tls::Tls,
};
use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, de::Error as _};
use std::{path::PathBuf, time::Duration};

#[derive(Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Who {
    #[default]
    FromEnv,
    DefaultChain,
    AzureCli,
    AzureDeveloperCli,
    WorkloadIdentity,
    ManagedIdentity(Identity),
    ServicePrincipal(Principal),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Identity {
    SystemAssigned,
    ClientId(String),
    ObjectId(String),
    ResourceId(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Principal {
    client_id: String,
    tenant_id: String,
    client_secret: Option<Reference>,
    certificate_file: Option<PathBuf>,
    certificate_password: Option<Reference>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Tokens {
    expiration_refresh_ratio: Option<f64>,
    lower_refresh_bound: Option<Time>,
    min_refresh_interval: Option<Time>,
    token_request_execution_timeout: Option<Time>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TlsFiles {
    ca_file: Option<PathBuf>,
    client_cert_file: Option<PathBuf>,
    client_key_file: Option<PathBuf>,
    server_name: Option<String>,
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
        let parsed = text.trim().parse::<SignedDuration>().ok().and_then(|time| Duration::try_from(time).ok());
        parsed.map(Self).ok_or_else(|| {
            D::Error::custom(format!("`{text}` is no duration: write a number and a unit, such as \"5s\" or \"3min\""))
        })
    }
}

impl Principal {
    pub(super) fn into_credential(self) -> Result<Credential, String> {
        let Self { client_id, tenant_id, client_secret, certificate_file, certificate_password } = self;
        match (client_secret, certificate_file) {
            (Some(secret), None) => Ok(Credential::service_principal(client_id, secret.read()?, tenant_id)),
            (None, Some(file)) => {
                let password = certificate_password.map(Reference::read).transpose()?;
                let certificate = ClientCertificate::file(file, password.unwrap_or_else(|| Secret::new(String::new())));
                Ok(Credential::client_certificate(client_id, certificate, tenant_id))
            }
            _ => Err("a service principal has either `client_secret` or `certificate_file`".to_owned()),
        }
    }
}

impl Tokens {
    pub(super) fn into_config(self) -> TokenManagerConfig {
        let mut config = TokenManagerConfig::new();
        if let Some(ratio) = self.expiration_refresh_ratio {
            config = config.expiration_refresh_ratio(ratio);
        }
        if let Some(Time(bound)) = self.lower_refresh_bound {
            config = config.lower_refresh_bound(bound);
        }
        if let Some(Time(interval)) = self.min_refresh_interval {
            config = config.min_refresh_interval(interval);
        }
        if let Some(Time(timeout)) = self.token_request_execution_timeout {
            config = config.token_request_execution_timeout(timeout);
        }
        config
    }
}

impl TlsFiles {
    pub(super) fn into_tls(self) -> Tls {
        let mut tls = Tls::new();
        if let Some(file) = self.ca_file {
            tls = tls.ca_file(file);
        }
        if let Some(file) = self.client_cert_file {
            tls = tls.client_cert_file(file);
        }
        if let Some(file) = self.client_key_file {
            tls = tls.client_key_file(file);
        }
        match self.server_name {
            Some(name) => tls.server_name(name),
            None => tls,
        }
    }
}
