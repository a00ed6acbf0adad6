//! From a credential's settings to its source of tokens.

use super::{
    App, Credential, Kind, ManagedIdentity,
    authority::{Authority, Cloud},
    chain::{ChainSource, Member},
    client_assertion::ClientAssertionSource,
    client_certificate::ClientCertificateSource,
    client_secret::ClientSecretSource,
    developer::{DeveloperSource, Tool, azd, azure_cli},
    federated_identity::FederatedIdentitySource,
    from_env, managed_identity,
    process_env::ProcessEnv,
    selection::{self, Candidate},
    token_endpoint::TokenEndpoint,
    workload_identity::WorkloadIdentitySource,
};
use crate::{error::Error, token::TokenSource};
use std::sync::Arc;

type Source = Result<Arc<dyn TokenSource>, Error>;

impl Credential {
    /// Checks the settings and makes the source of tokens that they describe, as `connect` does.
    ///
    /// The file of a certificate is read here, and whoever calls this waits for that.
    ///
    /// For one token by hand, or to wrap the source in one of your own. Outside of a connection manager, no setting
    /// limits the time of a request: it is given up after 120 s.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) for a setting that is wrong or missing, and
    /// [`ErrorKind::CredentialUnavailable`](crate::ErrorKind::CredentialUnavailable) if the environment has no such
    /// credential.
    pub fn token_source(&self) -> Result<Arc<dyn TokenSource>, Error> {
        self.resolve_in(&ProcessEnv::of_process())
    }

    pub(super) fn resolve_in(&self, env: &ProcessEnv) -> Source {
        self.build(&self.kind, env, false)
    }

    /// With the authority that the environment names, unless the settings name one.
    fn in_env(&self, env: &ProcessEnv) -> Self {
        let mut credential = self.clone();
        if credential.authority_host.is_none() && credential.cloud.is_none() {
            credential.authority_host = env.get("AZURE_AUTHORITY_HOST");
        }
        credential
    }

    fn chain(&self, env: &ProcessEnv) -> Source {
        let candidates = selection::candidates(env)?;
        // Alone, a credential is asked as if it had been named in the code.
        if let [candidate] = candidates.as_slice() {
            return self.build(&described(*candidate, env)?, env, false);
        }
        let member = |candidate: Candidate| {
            let kind = described(candidate, env);
            Member {
                name: candidate.name(),
                described: candidate.has_variables() && kind.is_ok(),
                source: kind.and_then(|kind| self.build(&kind, env, true)),
            }
        };
        let (tools, strict): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|candidate| candidate.is_tool());
        let members = |candidates: Vec<_>| candidates.into_iter().map(member).collect();
        Ok(Arc::new(ChainSource::new(members(strict), members(tools))))
    }

    /// `chained`: others may be asked in its place, so that IMDS is looked for before it is asked.
    fn build(&self, kind: &Kind, env: &ProcessEnv, chained: bool) -> Source {
        let resource = self.resource()?;
        Ok(match kind {
            Kind::DefaultChain => return self.in_env(env).chain(env),
            Kind::OfEnvironment => {
                let kind = from_env::any(env)?;
                return self.in_env(env).build(&kind, env, chained);
            }
            Kind::WorkloadIdentityOfEnvironment => {
                let kind = from_env::workload_identity(env)?;
                return self.in_env(env).build(&kind, env, chained);
            }
            Kind::Secret { app, secret } => {
                Arc::new(ClientSecretSource::new(self.endpoint(app, ClientSecretSource::NAME)?, secret)?)
            }
            Kind::Certificate { app, certificate } => {
                let endpoint = self.endpoint(app, ClientCertificateSource::NAME)?;
                Arc::new(ClientCertificateSource::new(endpoint, certificate.clone(), env)?)
            }
            Kind::Assertion { app, maker } => {
                Arc::new(ClientAssertionSource::new(self.endpoint(app, ClientAssertionSource::NAME)?, maker.clone()))
            }
            Kind::WorkloadIdentity { app, token_file } => {
                let endpoint = self.endpoint(app, WorkloadIdentitySource::NAME)?;
                Arc::new(WorkloadIdentitySource::new(endpoint, token_file.clone())?)
            }
            Kind::FederatedIdentity { app, identity } => {
                if *identity == ManagedIdentity::SystemAssigned {
                    let problem = "must be user-assigned to be a federated credential";
                    return Err(Error::config("managed_identity", problem));
                }
                let endpoint = self.endpoint(app, FederatedIdentitySource::NAME)?;
                let audience = self.cloud_in_use().exchange_audience();
                let identity = self.machine_identity(identity, audience, env, chained)?;
                Arc::new(FederatedIdentitySource::new(endpoint, identity))
            }
            Kind::ManagedIdentity(identity) => return self.machine_identity(identity, resource, env, chained),
            Kind::AzureCli => Arc::new(self.developer(&azure_cli::TOOL, env)?),
            Kind::AzureDeveloperCli => Arc::new(self.developer(&azd::TOOL, env)?),
            #[cfg(feature = "azure-core")]
            Kind::AzureCore(credential) => {
                Arc::new(super::azure::AzureCoreSource::new(Arc::clone(credential), &self.scope))
            }
            Kind::Custom(source) => Arc::clone(source),
        })
    }

    fn machine_identity(&self, identity: &ManagedIdentity, resource: &str, env: &ProcessEnv, chained: bool) -> Source {
        let imds_host = self.imds_host.as_deref();
        managed_identity::Request { identity, resource, imds_host, probe: chained }.source(env)
    }

    fn developer(&self, tool: &'static Tool, env: &ProcessEnv) -> Result<DeveloperSource, Error> {
        DeveloperSource::new(tool, &self.scope, self.tenant_id.as_deref(), env)
    }

    fn endpoint(&self, app: &App, source: &'static str) -> Result<TokenEndpoint, Error> {
        let host = self.authority_host.as_deref().unwrap_or(self.cloud_in_use().authority_host());
        TokenEndpoint::new(&Authority::new(host, &app.tenant_id)?, &app.client_id, &self.scope, source)
    }

    fn cloud_in_use(&self) -> Cloud {
        let of_host = || self.authority_host.as_deref().map(Cloud::of_authority);
        self.cloud.or_else(of_host).unwrap_or_default()
    }

    /// The scope without `/.default`.
    fn resource(&self) -> Result<&str, Error> {
        self.scope
            .strip_suffix("/.default")
            .filter(|resource| !resource.is_empty() && !resource.contains(char::is_whitespace))
            .ok_or_else(|| Error::config("scope", "must be one resource followed by `/.default`"))
    }
}

/// What the environment says of a member of the default chain.
fn described(candidate: Candidate, env: &ProcessEnv) -> Result<Kind, Error> {
    Ok(match candidate {
        Candidate::Environment => from_env::required_service_principal(env)?,
        Candidate::WorkloadIdentity => from_env::workload_identity(env)?,
        Candidate::ManagedIdentity => Kind::ManagedIdentity(from_env::managed_identity(env)),
        Candidate::AzureCli => Kind::AzureCli,
        Candidate::AzureDeveloperCli => Kind::AzureDeveloperCli,
    })
}
