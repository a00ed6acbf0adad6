//! What can be set on a credential of any kind, and what is shown of it.

use super::{App, Credential, Kind, authority};
use crate::{
    credential::Cloud,
    ids::{shown, shown_tenant},
};
use std::fmt;

impl Credential {
    /// What the token is for: one resource followed by `/.default`; default `https://redis.azure.com/.default`.
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = scope.into();
        self
    }

    /// The Microsoft Entra endpoint; default that of the [`cloud`](Self::cloud).
    ///
    /// It must be `https`, which a bare host name means; `http` is accepted for a loopback address only, for the
    /// emulator. Scheme, host and port count; a path does not. Tokens are requested from this host and no other:
    /// redirects are not followed. Managed identities and developer tools have their own.
    pub fn authority_host(mut self, url: impl Into<String>) -> Self {
        self.authority_host = Some(url.into());
        self
    }

    /// The cloud, and with it the authority host and the audience of federated credentials; default the one that the
    /// [`authority_host`](Self::authority_host) belongs to, else the public cloud.
    ///
    /// An authority host that was set before, by the environment for example, no longer counts; one that is set after
    /// it does.
    pub fn cloud(mut self, cloud: Cloud) -> Self {
        self.cloud = Some(cloud);
        self.authority_host = None;
        self
    }

    /// The address of the Instance Metadata Service, which a managed identity then is asked for wherever this runs;
    /// default `http://169.254.169.254`. A bare host name means `http`. Scheme, host and port count; a path does not.
    pub fn imds_host(mut self, url: impl Into<String>) -> Self {
        self.imds_host = Some(url.into());
        self
    }

    /// The tenant that `az` and `azd` are asked for a token of; default the one that they are signed in to. The other
    /// kinds have theirs already.
    pub fn tenant_id(mut self, tenant_id: impl Into<String>) -> Self {
        self.tenant_id = Some(tenant_id.into());
        self
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_app = |what: &str, app: &App| {
            format!("{what} {} in tenant {}", shown(&app.client_id), shown_tenant(&app.tenant_id))
        };
        let kind = match &self.kind {
            Kind::Secret { app, .. } => of_app("service principal", app),
            Kind::Certificate { app, certificate } => {
                format!("{} with {certificate:?}", of_app("service principal", app))
            }
            Kind::Assertion { app, .. } => of_app("client assertion of", app),
            Kind::WorkloadIdentity { app, token_file } => {
                format!("{} from {}", of_app("workload identity", app), token_file.display())
            }
            Kind::WorkloadIdentityOfEnvironment => "workload identity".to_owned(),
            Kind::OfEnvironment => "what the environment describes".to_owned(),
            Kind::FederatedIdentity { app, identity } => {
                format!("{} by managed identity {identity:?}", of_app("federated credential of", app))
            }
            Kind::ManagedIdentity(identity) => format!("managed identity {identity:?}"),
            Kind::AzureCli => "the Azure CLI".to_owned(),
            Kind::AzureDeveloperCli => "the Azure Developer CLI".to_owned(),
            Kind::DefaultChain => "default chain".to_owned(),
            #[cfg(feature = "azure-core")]
            Kind::AzureCore(_) => "azure_core credential".to_owned(),
            Kind::Custom(_) => "custom token source".to_owned(),
        };
        f.debug_struct("Credential")
            .field("kind", &kind)
            .field("scope", &self.scope)
            .field("authority_host", &self.authority_host.as_deref().map(authority::shown))
            .field("cloud", &self.cloud)
            .field("imds_host", &self.imds_host.as_deref().map(authority::shown))
            .finish_non_exhaustive()
    }
}
