//! What the doctor asks of a credential: what it is, in words.

use super::{App, Credential, Kind, ManagedIdentity};
use crate::{
    error::Error,
    ids::{self, is_id, shown, shown_resource, shown_tenant},
};

/// What a credential is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// In words.
    pub(crate) what: String,
    /// The application's id, or the user-assigned identity's.
    pub(crate) client_id: Option<String>,
    pub(crate) tenant_id: Option<String>,
    /// Whether it proves itself by a file of the cluster's.
    pub(crate) has_token_file: bool,
    /// Whether the client id is none, and so perhaps a secret that was put in its place.
    pub(crate) has_odd_client_id: bool,
}

impl Facts {
    fn of_app(what: &str, app: &App) -> Self {
        Self {
            what: format!("{what} {} of tenant {}", shown(&app.client_id), shown_tenant(&app.tenant_id)),
            client_id: is_id(&app.client_id).then(|| app.client_id.clone()),
            tenant_id: (shown_tenant(&app.tenant_id) == app.tenant_id).then(|| app.tenant_id.clone()),
            has_token_file: false,
            has_odd_client_id: !is_id(&app.client_id),
        }
    }

    fn named(what: &str) -> Self {
        Self { what: what.to_owned(), ..Self::default() }
    }

    fn of_identity(identity: &ManagedIdentity) -> Self {
        let what = match identity {
            ManagedIdentity::SystemAssigned => "the system-assigned managed identity".to_owned(),
            ManagedIdentity::UserAssignedClientId(id) => {
                let what = format!("the user-assigned managed identity with the client id {}", shown(id));
                let has_odd_client_id = !is_id(id);
                return Self { what, client_id: is_id(id).then(|| id.clone()), has_odd_client_id, ..Self::default() };
            }
            ManagedIdentity::UserAssignedObjectId(id) => {
                format!("the user-assigned managed identity with the object id {}", shown(id))
            }
            ManagedIdentity::UserAssignedResourceId(id) => {
                format!("the user-assigned managed identity {}", shown_resource(id))
            }
        };
        Self { what, ..Self::default() }
    }
}

impl Credential {
    /// What it is.
    pub(crate) fn facts(&self) -> Facts {
        match &self.kind {
            Kind::Secret { app, .. } => Facts::of_app("a client secret of the application", app),
            Kind::Certificate { app, .. } => Facts::of_app("a certificate of the application", app),
            Kind::Assertion { app, .. } => Facts::of_app("assertions of the application", app),
            Kind::WorkloadIdentity { app, token_file } => Facts {
                has_token_file: true,
                ..Facts::of_app(&format!("the token file {} for the application", token_file.display()), app)
            },
            Kind::WorkloadIdentityOfEnvironment => {
                Facts { has_token_file: true, ..Facts::named("the workload identity of this pod") }
            }
            Kind::FederatedIdentity { app, .. } => Facts::of_app("a managed identity for the application", app),
            Kind::ManagedIdentity(identity) => Facts::of_identity(identity),
            Kind::AzureCli => Facts { tenant_id: self.tenant_id.clone(), ..Facts::named("who is signed in with `az`") },
            Kind::AzureDeveloperCli => {
                Facts { tenant_id: self.tenant_id.clone(), ..Facts::named("who is signed in with `azd`") }
            }
            Kind::OfEnvironment => Facts::named("what the environment describes"),
            Kind::DefaultChain => Facts::named("the default chain, whose first member that gives a token is used"),
            #[cfg(feature = "azure-core")]
            Kind::AzureCore(_) => Facts::named("a credential of the Azure SDK"),
            Kind::Custom(_) => Facts::named("a token source of your own"),
        }
    }

    /// What an error says, without a client id that may be a secret: Microsoft Entra ID quotes it.
    pub(crate) fn told(&self, error: &Error) -> String {
        let odd = match &self.kind {
            Kind::Secret { app, .. } | Kind::Certificate { app, .. } if !is_id(&app.client_id) => &app.client_id,
            Kind::ManagedIdentity(ManagedIdentity::UserAssignedClientId(id)) if !is_id(id) => id,
            _ => return error.to_string(),
        };
        ids::scrub([], odd, &error.to_string())
    }
}

#[cfg(test)]
mod tests;
