//! The kinds of credentials that `--credential` names, each from the variables that it needs.

use crate::settings::variable;
use clap::ValueEnum;
use entra_redis::{ClientCertificate, Credential, Error, ErrorKind, ManagedIdentity};

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Kind {
    /// `AZURE_CLIENT_ID`, `AZURE_TENANT_ID`, `AZURE_CLIENT_SECRET`
    Secret,
    /// `AZURE_CLIENT_ID`, `AZURE_TENANT_ID`, `AZURE_CLIENT_CERTIFICATE_PATH`
    Certificate,
    /// System-assigned, or user-assigned by `AZURE_CLIENT_ID`
    ManagedIdentity,
    /// `AZURE_CLIENT_ID`, `AZURE_TENANT_ID`, `AZURE_FEDERATED_TOKEN_FILE`
    Workload,
    /// The Azure CLI, for the tenant `AZURE_TENANT_ID` if that is set
    Az,
    /// The Azure Developer CLI, for the tenant `AZURE_TENANT_ID` if that is set
    Azd,
    /// The default chain, narrowed by `AZURE_TOKEN_CREDENTIALS`
    Default,
}

/// The credential of this kind, from the variables that it needs.
pub(crate) fn of_kind(kind: Kind) -> Result<Credential, Error> {
    let credential = match kind {
        Kind::Secret => Credential::service_principal(
            needed("AZURE_CLIENT_ID")?,
            needed("AZURE_CLIENT_SECRET")?,
            needed("AZURE_TENANT_ID")?,
        ),
        Kind::Certificate => {
            let path = needed("AZURE_CLIENT_CERTIFICATE_PATH")?;
            let password = variable("AZURE_CLIENT_CERTIFICATE_PASSWORD").unwrap_or_default();
            let certificate = ClientCertificate::file(path, password);
            let send_chain = variable("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN");
            let send_chain = send_chain.is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true"));
            Credential::client_certificate(
                needed("AZURE_CLIENT_ID")?,
                certificate.send_chain(send_chain),
                needed("AZURE_TENANT_ID")?,
            )
        }
        Kind::ManagedIdentity => Credential::managed_identity(
            variable("AZURE_CLIENT_ID").map_or(ManagedIdentity::SystemAssigned, ManagedIdentity::UserAssignedClientId),
        ),
        Kind::Workload => Credential::workload_identity(),
        Kind::Az => of_tenant(Credential::azure_cli()),
        Kind::Azd => of_tenant(Credential::azure_developer_cli()),
        Kind::Default => Credential::default_chain(),
    };
    Ok(match variable("AZURE_AUTHORITY_HOST") {
        Some(host) => credential.authority_host(host),
        None => credential,
    })
}

fn of_tenant(credential: Credential) -> Credential {
    match variable("AZURE_TENANT_ID") {
        Some(tenant_id) => credential.tenant_id(tenant_id),
        None => credential,
    }
}

fn needed(name: &str) -> Result<String, Error> {
    variable(name).ok_or_else(|| Error::new(ErrorKind::Configuration, format!("`{name}` is not set")))
}
