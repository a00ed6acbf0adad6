//! What a client needs to log in: settings that work, and everything that the identity provider knows, by Azure's names
//! for it.

use super::{Emulator, tokens};
use crate::{
    client::Config,
    credential::{Credential, ManagedIdentity},
    error::Error,
    transport::tls::Tls,
};
use std::{io, path::PathBuf, time::Duration};

impl Emulator {
    /// A [`Config`] with which `open` and `connect` work: the service principal, the CA of the front's certificate, and
    /// where it is.
    pub fn config(&self) -> Config {
        Config::new(self.credential()).tls(self.tls()).endpoint(self.host(), self.port())
    }

    /// As [`config`](Self::config), with the system-assigned managed identity.
    pub fn managed_identity_config(&self) -> Config {
        let credential = Credential::managed_identity(ManagedIdentity::SystemAssigned).imds_host(self.imds_host());
        Config::new(credential).tls(self.tls()).endpoint(self.host(), self.port())
    }

    /// The service principal that the token endpoint knows.
    pub fn credential(&self) -> Credential {
        Credential::service_principal(self.client_id(), self.client_secret(), self.tenant_id())
            .authority_host(self.authority_host())
    }

    /// TLS settings that trust the front's certificate.
    pub fn tls(&self) -> Tls {
        Tls::new().ca_pem(self.ca_pem())
    }

    /// The URL of the token endpoint's host. The same port speaks https, too, for clients that insist on it; the
    /// certificate is for `localhost` and signed by [`ca_pem`](Self::ca_pem).
    #[must_use]
    pub fn authority_host(&self) -> String {
        format!("http://{}", self.identity_address)
    }

    /// The URL of the same host over https, under the name of its certificate.
    ///
    /// Service Fabric's endpoint, `/msi/token`, is served under this one only.
    #[must_use]
    pub fn https_identity_host(&self) -> String {
        format!("https://localhost:{}", self.identity_address.port())
    }

    /// The SHA-1 thumbprint, in hex, of the certificate of that host: `IDENTITY_SERVER_THUMBPRINT` in Service Fabric.
    #[must_use]
    pub fn identity_thumbprint(&self) -> String {
        self.certificates.server.thumbprint()
    }

    /// The URL of the Instance Metadata Service.
    #[must_use]
    pub fn imds_host(&self) -> String {
        self.authority_host()
    }

    /// The tenant that the token endpoint knows.
    #[must_use]
    pub fn tenant_id(&self) -> &'static str {
        tokens::TENANT_ID
    }

    /// The application (client) id of the service principal.
    #[must_use]
    pub fn client_id(&self) -> &'static str {
        tokens::CLIENT_ID
    }

    /// The secret of the service principal.
    #[must_use]
    pub fn client_secret(&self) -> &'static str {
        tokens::CLIENT_SECRET
    }

    /// The object id of the principal: the Redis user name.
    #[must_use]
    pub fn object_id(&self) -> &'static str {
        tokens::OBJECT_ID
    }

    /// A certificate of the application's and its RSA key, in one PEM, registered with the token endpoint.
    ///
    /// It is made when it is asked for first, which takes a moment, and is the same from then on.
    #[must_use]
    pub fn client_certificate_pem(&self) -> String {
        self.identity.client_certificate_pem()
    }

    /// Registers a certificate of your own with the application: the first one in this PEM. A key is not needed.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if there is none, or its key is not an RSA key.
    pub fn register_certificate(&self, pem: &str) -> io::Result<()> {
        self.identity.register_certificate(pem)
    }

    /// A token of an hour as AKS writes into a pod's `AZURE_FEDERATED_TOKEN_FILE`: an assertion that the token endpoint
    /// takes for the application's.
    #[must_use]
    pub fn federated_token(&self) -> String {
        self.federated_token_with_lifetime(Duration::from_secs(3600))
    }

    /// As [`federated_token`](Self::federated_token), with this life, in whole seconds, rounded down: one of
    /// [`Duration::ZERO`] has expired already.
    #[must_use]
    pub fn federated_token_with_lifetime(&self, lifetime: Duration) -> String {
        self.identity.federated_token(lifetime)
    }

    /// What `/msi/token` wants to see in a header: the `IDENTITY_HEADER` of App Service and Service Fabric, and the
    /// `MSI_SECRET` of Azure ML.
    #[must_use]
    pub fn identity_header(&self) -> &'static str {
        tokens::IDENTITY_HEADER
    }

    /// The client id of the user-assigned managed identity.
    #[must_use]
    pub fn user_assigned_client_id(&self) -> &'static str {
        tokens::USER_ASSIGNED_CLIENT_ID
    }

    /// The object id of the user-assigned managed identity: the Redis user name that goes with its tokens.
    #[must_use]
    pub fn user_assigned_object_id(&self) -> &'static str {
        tokens::USER_ASSIGNED_OBJECT_ID
    }

    /// The Azure resource id of the user-assigned managed identity.
    #[must_use]
    pub fn user_assigned_resource_id(&self) -> &'static str {
        tokens::USER_ASSIGNED_RESOURCE_ID
    }

    /// Where the key files of Azure Arc's challenges are written from now on; it has to exist.
    ///
    /// Without it, Arc's endpoint, which is that of the Instance Metadata Service with `api-version=2020-06-01`,
    /// answers with an error. A file is removed when its content comes back.
    pub fn arc_key_dir(&self, directory: impl Into<PathBuf>) {
        self.identity.arc_key_dir(directory.into());
    }

    /// The managed identity of a server that Azure Arc manages, with its challenge files in this directory, which has
    /// to exist.
    ///
    /// Outside of tests there is but one directory for them, the platform's, which only root may write to; in all else
    /// it is what [`Credential::managed_identity`] is on such a server.
    ///
    /// # Errors
    ///
    /// If HTTP cannot be set up.
    pub fn arc_credential(&self, directory: impl Into<PathBuf>) -> Result<Credential, Error> {
        let directory = directory.into();
        self.arc_key_dir(directory.clone());
        Credential::on_arc(&format!("{}/metadata/identity/oauth2/token", self.imds_host()), directory)
    }
}
