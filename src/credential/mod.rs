//! The kinds of credentials, each a small pure fetcher of tokens.

mod answer;
mod authority;
mod env;
mod http;
mod managed_identity;
mod service_principal;

use crate::{Error, Secret, TokenSource};
use authority::Authority;
use env::Environment;
use managed_identity::ImdsSource;
use service_principal::ServicePrincipalSource;
use std::{fmt, sync::Arc};

pub use managed_identity::ManagedIdentity;

/// The scope of Azure Managed Redis and Azure Cache for Redis.
const REDIS_SCOPE: &str = "https://redis.azure.com/.default";

/// Who connects: a service principal, a managed identity, or a token source of your own.
///
/// Settings are checked when `connect` is called.
#[derive(Clone)]
#[must_use]
pub struct Credential {
    kind: Kind,
    scope: String,
    authority_host: Option<String>,
    imds_host: Option<String>,
}

#[derive(Clone)]
enum Kind {
    ServicePrincipal { client_id: String, client_secret: Secret, tenant_id: String },
    ManagedIdentity(ManagedIdentity),
    Custom(Arc<dyn TokenSource>),
}

impl Credential {
    fn of(kind: Kind) -> Self {
        Self { kind, scope: REDIS_SCOPE.to_owned(), authority_host: None, imds_host: None }
    }

    /// An app registration with a client secret.
    pub fn service_principal(
        client_id: impl Into<String>,
        client_secret: impl Into<Secret>,
        tenant_id: impl Into<String>,
    ) -> Self {
        Self::of(Kind::ServicePrincipal {
            client_id: client_id.into(),
            client_secret: client_secret.into(),
            tenant_id: tenant_id.into(),
        })
    }

    /// The identity that Azure gives to the machine, asked for at the Instance Metadata Service (IMDS), never through a
    /// proxy.
    pub fn managed_identity(identity: ManagedIdentity) -> Self {
        Self::of(Kind::ManagedIdentity(identity))
    }

    /// A token source of your own; a closure will do, see [`TokenSource`].
    pub fn custom(source: impl TokenSource) -> Self {
        Self::of(Kind::Custom(Arc::new(source)))
    }

    /// The credential that the environment variables describe, by the names that the Azure SDKs use.
    ///
    /// | variables | credential |
    /// |---|---|
    /// | `AZURE_TENANT_ID`, `AZURE_CLIENT_ID`, `AZURE_CLIENT_SECRET` | service principal |
    /// | none of `AZURE_TENANT_ID`, `AZURE_CLIENT_SECRET` | system-assigned managed identity |
    ///
    /// `AZURE_AUTHORITY_HOST` sets the [authority host](Self::authority_host) and `AZURE_POD_IDENTITY_AUTHORITY_HOST`
    /// the [IMDS host](Self::imds_host). An empty variable counts as unset.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if the variables of a service principal are there in
    /// part only, with the names of those that are missing.
    pub fn from_env() -> Result<Self, Error> {
        Self::from_environment(&Environment::of_process())
    }

    fn from_environment(env: &Environment) -> Result<Self, Error> {
        let mut credential = match env.service_principal()? {
            Some((client_id, client_secret, tenant_id)) => Self::service_principal(client_id, client_secret, tenant_id),
            None => Self::managed_identity(ManagedIdentity::SystemAssigned),
        };
        credential.authority_host = env.get("AZURE_AUTHORITY_HOST");
        credential.imds_host = env.get("AZURE_POD_IDENTITY_AUTHORITY_HOST");
        Ok(credential)
    }

    /// What the token is for: one resource followed by `/.default`; default `https://redis.azure.com/.default`.
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = scope.into();
        self
    }

    /// The Microsoft Entra endpoint; default `https://login.microsoftonline.com`.
    ///
    /// It must be `https`; `http` is accepted for a loopback address only, for the emulator. Tokens are requested from
    /// this host and no other: redirects are not followed.
    pub fn authority_host(mut self, url: impl Into<String>) -> Self {
        self.authority_host = Some(url.into());
        self
    }

    /// The Instance Metadata Service; default `http://169.254.169.254`.
    pub fn imds_host(mut self, url: impl Into<String>) -> Self {
        self.imds_host = Some(url.into());
        self
    }

    /// Checks the settings and makes the source of tokens that they describe.
    pub(crate) fn build(&self) -> Result<Arc<dyn TokenSource>, Error> {
        let resource = self
            .scope
            .strip_suffix("/.default")
            .filter(|resource| !resource.is_empty() && !resource.contains(char::is_whitespace))
            .ok_or_else(|| Error::config("scope", "must be one resource followed by `/.default`"))?;
        Ok(match &self.kind {
            Kind::ServicePrincipal { client_id, client_secret, tenant_id } => Arc::new(ServicePrincipalSource::new(
                &Authority::new(self.authority_host.as_deref(), tenant_id)?,
                client_id,
                client_secret,
                &self.scope,
            )?),
            Kind::ManagedIdentity(ManagedIdentity::SystemAssigned) => {
                Arc::new(ImdsSource::new(self.imds_host.as_deref(), resource)?)
            }
            Kind::Custom(source) => Arc::clone(source),
        })
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::ServicePrincipal { client_id, .. } => format!("service principal {client_id}"),
            Kind::ManagedIdentity(identity) => format!("managed identity {identity:?}"),
            Kind::Custom(_) => "custom token source".to_owned(),
        };
        f.debug_struct("Credential")
            .field("kind", &kind)
            .field("scope", &self.scope)
            .field("authority_host", &self.authority_host)
            .field("imds_host", &self.imds_host)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(credential: &Credential) -> String {
        let Err(error) = credential.build() else { panic!("accepted: {credential:?}") };
        assert_eq!(error.kind(), crate::ErrorKind::Configuration);
        error.to_string()
    }

    #[test]
    fn bad_settings_are_named() {
        let good = || Credential::service_principal("app", "secret", "contoso.com");
        assert!(good().build().is_ok());
        for (credential, setting) in [
            (Credential::service_principal("", "secret", "t"), "`client_id`"),
            (Credential::service_principal("app", "", "t"), "`client_secret`"),
            (Credential::service_principal("app", "secret", ""), "`tenant_id`"),
            (Credential::service_principal("app", "secret", "a/b"), "`tenant_id`"),
            (good().scope("https://redis.azure.com"), "`scope`"),
            (good().scope("/.default"), "`scope`"),
            (good().authority_host("http://login.example.com"), "`authority_host`"),
            (good().authority_host("ftp://127.0.0.1"), "`authority_host`"),
            (good().authority_host("https://"), "`authority_host`"),
            (good().authority_host("https://user:pw@host"), "`authority_host`"),
            (Credential::managed_identity(ManagedIdentity::SystemAssigned).imds_host("://"), "`imds_host`"),
        ] {
            let problem = problem(&credential);
            assert!(problem.starts_with(setting), "{problem}");
        }
        for host in ["http://127.0.0.1:8080", "http://localhost:1/", "http://[::1]:2", "login.microsoftonline.us"] {
            assert!(good().authority_host(host).build().is_ok(), "{host}");
        }
    }

    #[test]
    fn the_environment_decides_the_kind() {
        let from = |pairs: &[(&str, &str)]| Credential::from_environment(&Environment::of_pairs(pairs));
        let complete = [
            ("AZURE_TENANT_ID", "t"),
            ("AZURE_CLIENT_ID", "app"),
            ("AZURE_CLIENT_SECRET", "s3cr3t"),
            ("AZURE_AUTHORITY_HOST", "http://127.0.0.1:1"),
        ];
        let shown = format!("{:?}", from(&complete).unwrap());
        assert!(shown.contains("service principal app"), "{shown}");
        assert!(shown.contains("127.0.0.1:1"), "{shown}");
        assert!(!shown.contains("s3cr3t"), "{shown}");

        let shown = format!("{:?}", from(&[("AZURE_CLIENT_SECRET", "")]).unwrap());
        assert!(shown.contains("SystemAssigned"), "{shown}");

        let error = from(&complete[..1]).unwrap_err().to_string();
        assert!(error.contains("AZURE_CLIENT_ID") && error.contains("AZURE_CLIENT_SECRET"), "{error}");
        assert!(from(&[("AZURE_CLIENT_SECRET", "s")]).is_err());
    }
}
