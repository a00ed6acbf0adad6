//! The identity that Azure gives to a machine or a service. Each kind of place hands out its tokens in its own way.

mod app_service;
pub(super) mod arc;
mod azure_ml;
mod cloud_shell;
mod endpoint;
mod imds;
pub(super) mod recognition;
mod service_fabric;
mod thumbprint;

use super::process_env::ProcessEnv;
use crate::{
    error::Error,
    ids::{shown, shown_resource},
    token::TokenSource,
};
use arc::ArcSource;
use imds::ImdsSource;
use std::{fmt, sync::Arc};

/// Which of the identities of a machine or a service to use.
///
/// What is user-assigned is selected by one of its three ids, as its page in the Azure portal shows them. Some places
/// have a system-assigned identity only, or take none but the client id: `connect` says so.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ManagedIdentity {
    /// The one that belongs to the machine or the service, and is deleted with it.
    SystemAssigned,
    /// A user-assigned one, by its client id.
    UserAssignedClientId(String),
    /// A user-assigned one, by the object id of its principal.
    UserAssignedObjectId(String),
    /// A user-assigned one, by its Azure resource id (`/subscriptions/…/userAssignedIdentities/…`).
    UserAssignedResourceId(String),
}

impl fmt::Debug for ManagedIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, id) = match self {
            Self::SystemAssigned => return f.write_str("SystemAssigned"),
            Self::UserAssignedClientId(id) => ("UserAssignedClientId", shown(id)),
            Self::UserAssignedObjectId(id) => ("UserAssignedObjectId", shown(id)),
            Self::UserAssignedResourceId(id) => ("UserAssignedResourceId", shown_resource(id)),
        };
        f.debug_tuple(kind).field(&id).finish()
    }
}

impl ManagedIdentity {
    fn check(&self) -> Result<(), Error> {
        match self {
            Self::UserAssignedClientId(id) | Self::UserAssignedObjectId(id) | Self::UserAssignedResourceId(id)
                if id.trim().is_empty() =>
            {
                Err(Error::config("managed_identity", "has an empty id"))
            }
            _ => Ok(()),
        }
    }

    /// The parameter that selects this identity; `names` are those of client id, object id and resource id.
    fn selector(&self, names: [&'static str; 3]) -> Option<(&'static str, &str)> {
        let [client_id, object_id, resource_id] = names;
        match self {
            Self::SystemAssigned => None,
            Self::UserAssignedClientId(id) => Some((client_id, id)),
            Self::UserAssignedObjectId(id) => Some((object_id, id)),
            Self::UserAssignedResourceId(id) => Some((resource_id, id)),
        }
    }

    /// For places where nothing can be selected.
    fn must_be_system_assigned(&self, why: &str) -> Result<(), Error> {
        match self {
            Self::SystemAssigned => Ok(()),
            _ => Err(Error::config("managed_identity", format_args!("must be `SystemAssigned` here: {why}"))),
        }
    }
}

/// What a managed identity's token is asked for.
pub(super) struct Request<'a> {
    pub(super) identity: &'a ManagedIdentity,
    /// The scope without `/.default`.
    pub(super) resource: &'a str,
    /// An address of the Instance Metadata Service, which then is asked wherever this runs.
    pub(super) imds_host: Option<&'a str>,
    /// Whether IMDS is to be looked for before it is asked: elsewhere its address may swallow requests without an
    /// answer.
    pub(super) probe: bool,
}

impl Request<'_> {
    /// Finds out which endpoint to ask, by the documented variables and files, in the documented order.
    pub(super) fn source(&self, env: &ProcessEnv) -> Result<Arc<dyn TokenSource>, Error> {
        self.identity.check()?;
        if self.imds_host.is_some() {
            return Ok(Arc::new(ImdsSource::new(self, self.imds_host)?));
        }
        if let Some(endpoint) = env.get("IDENTITY_ENDPOINT") {
            if let Some(header) = env.get("IDENTITY_HEADER") {
                return Ok(match env.get("IDENTITY_SERVER_THUMBPRINT") {
                    Some(thumbprint) => Arc::new(service_fabric::source(self, &endpoint, &header, &thumbprint)?),
                    None => Arc::new(app_service::source(self, &endpoint, &header)?),
                });
            }
            if env.get("IMDS_ENDPOINT").is_some() {
                return Ok(Arc::new(ArcSource::new(self, &endpoint, env)?));
            }
        }
        if let Some(endpoint) = env.get("MSI_ENDPOINT") {
            return Ok(match env.get("MSI_SECRET") {
                Some(secret) => Arc::new(azure_ml::source(self, &endpoint, &secret, env)?),
                None => Arc::new(cloud_shell::source(self, &endpoint)?),
            });
        }
        if env.himds.exists() {
            return Ok(Arc::new(ArcSource::new(self, arc::ENDPOINT, env)?));
        }
        let host = env.get("AZURE_POD_IDENTITY_AUTHORITY_HOST");
        Ok(Arc::new(ImdsSource::new(self, host.as_deref())?))
    }
}

#[cfg(test)]
mod tests;
