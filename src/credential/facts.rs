//! What the doctor asks of a credential: what it is, in words, and why it gives no token.

use super::{App, Credential, Kind, ManagedIdentity, hints};
use crate::error::{Error, ErrorKind, FILE_MISSING, Stage};

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
}

impl Facts {
    fn of_app(what: &str, app: &App) -> Self {
        Self {
            what: format!("{what} {} of tenant {}", app.client_id, app.tenant_id),
            client_id: Some(app.client_id.clone()),
            tenant_id: Some(app.tenant_id.clone()),
            has_token_file: false,
        }
    }

    fn named(what: &str) -> Self {
        Self { what: what.to_owned(), ..Self::default() }
    }

    fn of_identity(identity: &ManagedIdentity) -> Self {
        let (what, client_id) = match identity {
            ManagedIdentity::SystemAssigned => ("the system-assigned managed identity".to_owned(), None),
            ManagedIdentity::UserAssignedClientId(id) => {
                (format!("the user-assigned managed identity with the client id {id}"), Some(id.clone()))
            }
            ManagedIdentity::UserAssignedObjectId(id) => {
                (format!("the user-assigned managed identity with the object id {id}"), None)
            }
            ManagedIdentity::UserAssignedResourceId(id) => (format!("the user-assigned managed identity {id}"), None),
        };
        Self { what, client_id, ..Self::default() }
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
            Kind::DefaultChain => Facts::named("the default chain, whose first member that gives a token is used"),
            #[cfg(feature = "azure-core")]
            Kind::AzureCore(_) => Facts::named("a credential of the Azure SDK"),
            Kind::Custom(_) => Facts::named("a token source of your own"),
        }
    }

    /// A stable name for why it gave no token.
    pub(crate) fn cause_of(&self, error: &Error) -> &'static str {
        if let Some(cause) = error.aadsts().and_then(|code| self.cause_of_aadsts(code)) {
            return cause;
        }
        let hint = error.hint().unwrap_or_default();
        let is = |known: &str| hint == known;
        match error.kind() {
            ErrorKind::Configuration => "credential_incomplete",
            _ if is(hints::IDENTITY_NOT_ASSIGNED) => "identity_not_assigned",
            _ if is(hints::NOT_IMDS) => "imds_answered_by_other",
            _ if is(hints::NOT_ON_AZURE) => "imds_unreachable",
            _ if is(hints::NO_CREDENTIAL) => "no_credential",
            _ if is(hints::UNTRUSTED) => "identity_tls_intercepted",
            _ if is(hints::NOT_A_PROVIDER) => "identity_answered_by_other",
            _ if is(FILE_MISSING) && self.facts().has_token_file => "token_file_missing",
            _ if is(FILE_MISSING) => "certificate_file_missing",
            ErrorKind::CredentialUnavailable if self.facts().has_token_file => "token_file_missing",
            ErrorKind::CredentialUnavailable if error.message().contains("is not signed in") => "tool_not_signed_in",
            ErrorKind::CredentialUnavailable if error.message().contains("is not installed") => "tool_not_installed",
            ErrorKind::CredentialUnavailable => "no_credential",
            ErrorKind::CredentialRejected => "credential_refused",
            ErrorKind::MalformedToken => "token_unusable",
            ErrorKind::TokenEndpoint if error.status() == Some(429) => "too_many_requests",
            ErrorKind::TokenEndpoint if error.status().is_some() => "identity_out_of_order",
            ErrorKind::Timeout(Stage::Token) | ErrorKind::TokenEndpoint => "identity_unreachable",
            _ => "no_token",
        }
    }

    fn cause_of_aadsts(&self, code: u32) -> Option<&'static str> {
        Some(match code {
            7_000_215 => "secret_wrong",
            7_000_222 => "secret_expired",
            700_016 => "app_unknown",
            7_000_229 => "app_not_in_tenant",
            70_001 | 7_000_112 => "app_disabled",
            90_002 | 900_023 => "tenant_unknown",
            50_001 | 500_011 | 650_052 => "redis_principal_missing",
            650_057 | 65_001 => "redis_permission_missing",
            50_020 | 90_072 | 51_004 | 50_034 => "guest_in_other_tenant",
            700_024 if self.facts().has_token_file => "token_file_old",
            700_024 => "clock_off",
            700_027 => "certificate_not_registered",
            70_021 | 70_023 | 70_025 | 700_211..=700_213 => "federation_mismatch",
            53_000..=53_003 => "conditional_access",
            70_043 | 50_173 | 50_076 | 50_078 | 50_079 | 700_082 => "tool_not_signed_in",
            _ => return None,
        })
    }
}
