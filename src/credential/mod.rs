//! The kinds of credentials, each a small pure fetcher of tokens.

mod aadsts;
#[cfg(feature = "emulator")]
mod arc_of_emulator;
mod authority;
#[cfg(feature = "azure-core")]
mod azure;
mod certificate;
mod chain;
mod client_assertion;
mod client_certificate;
mod client_secret;
mod developer;
mod expiry;
#[cfg(feature = "cli")]
mod facts;
mod federated_identity;
mod from_env;
pub(crate) mod hints;
mod http;
mod managed_identity;
#[cfg(feature = "bench-api")]
pub(crate) mod parsers;
mod process_env;
mod resolve;
mod selection;
mod settings;
#[cfg(test)]
mod test_server;
mod token_endpoint;
mod token_response;
mod tools;
mod workload_identity;

use crate::{error::Error, secret::Secret, token::TokenSource};
use client_assertion::AssertionMaker;
use process_env::ProcessEnv;
use std::{path::PathBuf, sync::Arc};

pub use authority::Cloud;
pub use certificate::ClientCertificate;
pub use managed_identity::ManagedIdentity;

/// The scope of Azure Managed Redis and Azure Cache for Redis.
const REDIS_SCOPE: &str = "https://redis.azure.com/.default";

/// Who connects: a service principal, a managed identity, a developer, or a token source of your own.
///
/// Settings are checked when `connect` is called. A credential fetches and does nothing else: it neither caches nor
/// retries: the token actor does.
#[derive(Clone)]
#[must_use]
pub struct Credential {
    kind: Kind,
    scope: String,
    authority_host: Option<String>,
    cloud: Option<Cloud>,
    imds_host: Option<String>,
    tenant_id: Option<String>,
}

#[derive(Clone)]
enum Kind {
    Secret {
        app: App,
        secret: Secret,
    },
    Certificate {
        app: App,
        certificate: ClientCertificate,
    },
    Assertion {
        app: App,
        maker: AssertionMaker,
    },
    WorkloadIdentity {
        app: App,
        token_file: PathBuf,
    },
    WorkloadIdentityOfEnvironment,
    /// What `from_env` finds, when `connect` is called.
    OfEnvironment,
    FederatedIdentity {
        app: App,
        identity: ManagedIdentity,
    },
    ManagedIdentity(ManagedIdentity),
    AzureCli,
    AzureDeveloperCli,
    DefaultChain,
    #[cfg(feature = "azure-core")]
    AzureCore(Arc<dyn azure_core::credentials::TokenCredential>),
    Custom(Arc<dyn TokenSource>),
}

/// An app registration, in the tenant that it signs in to.
#[derive(Clone)]
struct App {
    client_id: String,
    tenant_id: String,
}

impl App {
    fn new(client_id: impl Into<String>, tenant_id: impl Into<String>) -> Self {
        Self { client_id: client_id.into(), tenant_id: tenant_id.into() }
    }
}

impl Credential {
    fn of(kind: Kind) -> Self {
        Self {
            kind,
            scope: REDIS_SCOPE.to_owned(),
            authority_host: None,
            cloud: None,
            imds_host: None,
            tenant_id: None,
        }
    }

    /// An app registration with a client secret.
    pub fn service_principal(
        client_id: impl Into<String>,
        client_secret: impl Into<Secret>,
        tenant_id: impl Into<String>,
    ) -> Self {
        Self::of(Kind::Secret { app: App::new(client_id, tenant_id), secret: client_secret.into() })
    }

    /// An app registration with a certificate: each token request is signed with its key (PS256).
    pub fn client_certificate(
        client_id: impl Into<String>,
        certificate: ClientCertificate,
        tenant_id: impl Into<String>,
    ) -> Self {
        Self::of(Kind::Certificate { app: App::new(client_id, tenant_id), certificate })
    }

    /// An app registration with assertions of your own: `assertion` is asked for one at every token request.
    ///
    /// ```
    /// use entra_redis::{Credential, Error, Secret};
    ///
    /// # async fn signed_by_my_hsm() -> Result<String, Error> { Ok(String::new()) }
    /// let assertion = || async { Ok(Secret::new(signed_by_my_hsm().await?)) };
    /// let credential = Credential::client_assertion("<CLIENT_ID>", assertion, "<TENANT_ID>");
    /// ```
    pub fn client_assertion<F, R>(client_id: impl Into<String>, assertion: F, tenant_id: impl Into<String>) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<Secret, Error>> + Send + 'static,
    {
        Self::of(Kind::Assertion { app: App::new(client_id, tenant_id), maker: AssertionMaker::new(assertion) })
    }

    /// The identity that Azure gives to a machine or a service, never asked for through a proxy.
    ///
    /// The environment says which endpoint to ask, as documented for the Azure SDKs: that of App Service, Functions and
    /// Container Apps, of Service Fabric, Azure Arc, Azure Machine Learning or Azure Cloud Shell, else the Instance
    /// Metadata Service (IMDS). If somebody else answers in the place of IMDS, a proxy for example, the error says so.
    pub fn managed_identity(identity: ManagedIdentity) -> Self {
        Self::of(Kind::ManagedIdentity(identity))
    }

    /// The workload identity of a pod, as Azure Kubernetes Service describes it in `AZURE_CLIENT_ID`, `AZURE_TENANT_ID`
    /// and `AZURE_FEDERATED_TOKEN_FILE`, with `AZURE_AUTHORITY_HOST`.
    pub fn workload_identity() -> Self {
        Self::of(Kind::WorkloadIdentityOfEnvironment)
    }

    /// An app registration that trusts the tokens in a file, which is read at every token request.
    pub fn workload_identity_with(
        client_id: impl Into<String>,
        tenant_id: impl Into<String>,
        token_file: impl Into<PathBuf>,
    ) -> Self {
        Self::of(Kind::WorkloadIdentity { app: App::new(client_id, tenant_id), token_file: token_file.into() })
    }

    /// An app registration, of any tenant, that trusts a user-assigned managed identity.
    pub fn federated_managed_identity(
        client_id: impl Into<String>,
        identity: ManagedIdentity,
        tenant_id: impl Into<String>,
    ) -> Self {
        Self::of(Kind::FederatedIdentity { app: App::new(client_id, tenant_id), identity })
    }

    /// Whoever is signed in with the Azure CLI, `az`. It may take as long as a token request may:
    /// [`token_request_execution_timeout`](crate::TokenManagerConfig::token_request_execution_timeout), 10 s by
    /// default.
    pub fn azure_cli() -> Self {
        Self::of(Kind::AzureCli)
    }

    /// Whoever is signed in with the Azure Developer CLI, `azd`. It may take as long as `az`.
    pub fn azure_developer_cli() -> Self {
        Self::of(Kind::AzureDeveloperCli)
    }

    /// The first of these that gives a token: the service principal that the environment describes, its workload
    /// identity, the managed identity, `az`, `azd`. It is the only one that is asked from then on.
    ///
    /// One that is not available here is passed over, one whose variables are there in part included; so is a tool that
    /// fails. A service principal or a workload identity whose variables are all there, and a managed identity that is
    /// there, end the search if they are refused or cannot be used: neither an outage nor a missing file must make a
    /// service somebody else. If there is no token, the error says what each one said, in order.
    ///
    /// IMDS is looked for during one second before it is asked, and recognized by its own answers: the header
    /// `Server: IMDS/…`, a header `x-ms-…`, or JSON in one of the forms of its errors. Whatever else answers at its
    /// address, a proxy, Docker Desktop or another cloud, is passed over, and so is a later refusal that has no form of
    /// IMDS's. Some answers after the search may be anybody's: a status of 500 or more, 408, 429, and 410, or 404 with
    /// a JSON object, as IMDS answers while it is being updated. They are taken for IMDS's and end the search, and it
    /// is asked again: it was found a moment ago, and an update or an outage must not make a service somebody else.
    ///
    /// `AZURE_TOKEN_CREDENTIALS` narrows the choice: `prod` (what runs on Azure), `dev` (the tools), or one of
    /// `EnvironmentCredential`, `WorkloadIdentityCredential`, `ManagedIdentityCredential`, `AzureCliCredential`,
    /// `AzureDeveloperCliCredential`, in any case.
    ///
    /// All of it has to happen within one
    /// [`token_request_execution_timeout`](crate::TokenManagerConfig::token_request_execution_timeout), 10 s by
    /// default; raise it where `az` is slow. `az` may use all that is left of it. If it has not answered when half of
    /// that is over, `azd` is started too: its token is used if `az` has failed, or has none just before the end.
    pub fn default_chain() -> Self {
        Self::of(Kind::DefaultChain)
    }

    /// A token source of your own; a closure will do, see [`TokenSource`].
    pub fn custom(source: impl TokenSource) -> Self {
        Self::of(Kind::Custom(Arc::new(source)))
    }

    /// A credential of the Azure SDK for Rust, of `azure_identity` for example.
    ///
    /// It is asked for the [`scope`](Self::scope) as often as a token is to be renewed, and may cache tokens itself.
    #[cfg(feature = "azure-core")]
    pub fn azure_core(credential: Arc<dyn azure_core::credentials::TokenCredential>) -> Self {
        Self::of(Kind::AzureCore(credential))
    }

    /// The credential that the environment variables describe, by the names that the Azure SDKs use. The first that
    /// fits:
    ///
    /// | variables | credential |
    /// |---|---|
    /// | `AZURE_TOKEN_CREDENTIALS` | the [default chain](Self::default_chain), or what it names |
    /// | `AZURE_REDIS_CLIENTID`, `AZURE_REDIS_TENANTID`, `AZURE_REDIS_CLIENTSECRET` | service principal with a secret, as [Azure's Service Connector](https://learn.microsoft.com/azure/service-connector/how-to-integrate-redis-cache) sets it |
    /// | `AZURE_REDIS_CLIENTID` | user-assigned managed identity, as the Service Connector sets it; with `AZURE_FEDERATED_TOKEN_FILE` and a tenant id, workload identity |
    /// | `AZURE_CLIENT_ID`, `AZURE_TENANT_ID`, `AZURE_CLIENT_SECRET` | service principal with a secret |
    /// | `AZURE_CLIENT_ID`, `AZURE_TENANT_ID`, `AZURE_CLIENT_CERTIFICATE_PATH` | service principal with a certificate: a PEM file or, with the feature `pkcs12`, a PKCS#12 file, with `AZURE_CLIENT_CERTIFICATE_PASSWORD`; its chain is sent if `AZURE_CLIENT_SEND_CERTIFICATE_CHAIN` is `1` or `true` |
    /// | `AZURE_CLIENT_ID`, `AZURE_TENANT_ID`, `AZURE_FEDERATED_TOKEN_FILE` | workload identity |
    /// | `AZURE_CLIENT_ID` | user-assigned managed identity with this client id |
    /// | none of them | system-assigned managed identity |
    ///
    /// `AZURE_AUTHORITY_HOST` sets the [authority host](Self::authority_host) of service principals and workload
    /// identities, and `AZURE_POD_IDENTITY_AUTHORITY_HOST` the address of IMDS. An empty variable counts as unset. A
    /// secret, a certificate or a token file is no reason to look further down the table if the ids that belong to it
    /// are missing: that is an error, or somebody else than was meant would connect.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if a secret, a certificate or a token file is
    /// there without the ids that belong to it, with the names of those that are missing, or if
    /// `AZURE_TOKEN_CREDENTIALS` names nothing known.
    pub fn from_env() -> Result<Self, Error> {
        Self::from_process_env(&ProcessEnv::of_process())
    }

    /// As [`from_env`](Self::from_env), whose errors `connect` gives.
    pub(crate) fn from_env_later() -> Self {
        Self::of(Kind::OfEnvironment)
    }

    fn from_process_env(env: &ProcessEnv) -> Result<Self, Error> {
        let mut credential = Self::of(from_env::any(env)?);
        credential.authority_host = env.get("AZURE_AUTHORITY_HOST");
        Ok(credential)
    }
}

#[cfg(test)]
mod tests;
