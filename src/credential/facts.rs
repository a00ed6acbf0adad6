//! What the doctor asks of a credential: what it is, in words, and why it gives no token.

use super::{App, Credential, Kind, ManagedIdentity, hints};
use crate::{
    error::{Error, ErrorKind, FILE_MISSING, Stage},
    secret::Secret,
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

/// Whether it has the form of the ids of Microsoft Entra ID.
fn is_id(text: &str) -> bool {
    let is_fit = |(at, c): (usize, char)| if matches!(at, 8 | 13 | 18 | 23) { c == '-' } else { c.is_ascii_hexdigit() };
    text.len() == 36 && text.char_indices().all(is_fit)
}

/// An id, or the name of a domain; what may be something else is not shown.
fn shown(id: &str) -> &str {
    let is_domain = id.contains('.') && id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
    if is_id(id) || is_domain { id } else { "(no id)" }
}

impl Facts {
    fn of_app(what: &str, app: &App) -> Self {
        let known = |id: &str| (shown(id) == id).then(|| id.to_owned());
        Self {
            what: format!("{what} {} of tenant {}", shown(&app.client_id), shown(&app.tenant_id)),
            client_id: known(&app.client_id),
            tenant_id: known(&app.tenant_id),
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
            ManagedIdentity::UserAssignedResourceId(id) => format!("the user-assigned managed identity {id}"),
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
        Secret::new(odd).scrub(&error.to_string())
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

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "7e57e57e-0000-4000-8000-000000000002";

    #[test]
    fn ids_are_shown_and_what_may_be_a_secret_is_not() {
        let of = |client: &str, tenant: &str| Credential::service_principal(client, "secret", tenant).facts();
        let facts = of(ID, "contoso.onmicrosoft.com");
        assert_eq!(facts.what, format!("a client secret of the application {ID} of tenant contoso.onmicrosoft.com"));
        assert_eq!((facts.client_id.as_deref(), facts.has_odd_client_id), (Some(ID), false));
        let facts = of("Kq8~abc", "Kq8~def");
        assert!(!facts.what.contains("Kq8") && facts.has_odd_client_id, "{}", facts.what);
        assert_eq!((facts.client_id, facts.tenant_id), (None, None));
        let identity = ManagedIdentity::UserAssignedClientId("Kq8~abc".to_owned());
        assert!(!Credential::managed_identity(identity).facts().what.contains("Kq8"));
    }

    #[test]
    fn a_client_id_that_may_be_a_secret_is_blanked_in_errors() {
        let swapped = Credential::service_principal("Kq8~abcdefgh", "secret", ID);
        let error = Error::new(ErrorKind::CredentialRejected, "Application 'Kq8~abcdefgh' was not found");
        assert!(!swapped.told(&error).contains("abcdefgh"), "{}", swapped.told(&error));
        let right = Credential::service_principal(ID, "secret", ID);
        assert_eq!(right.told(&error), error.to_string());
    }

    #[test]
    fn causes_are_told_from_the_number_first_and_then_from_the_kind() {
        let app = Credential::service_principal(ID, "secret", ID);
        let pod = Credential::workload_identity_with(ID, ID, "/token");
        let numbered = |code| Error::new(ErrorKind::CredentialRejected, "x").with_aadsts(Some(code));
        for (credential, error, cause) in [
            (&app, numbered(7_000_215), "secret_wrong"),
            (&app, numbered(700_024), "clock_off"),
            (&pod, numbered(700_024), "token_file_old"),
            (&app, numbered(1), "credential_refused"),
            (&pod, Error::new(ErrorKind::CredentialUnavailable, "x").with_hint(FILE_MISSING), "token_file_missing"),
            (
                &app,
                Error::new(ErrorKind::CredentialUnavailable, "x").with_hint(FILE_MISSING),
                "certificate_file_missing",
            ),
            (&app, Error::new(ErrorKind::TokenEndpoint, "x").with_status(429), "too_many_requests"),
            (&app, Error::new(ErrorKind::TokenEndpoint, "x").with_status(503), "identity_out_of_order"),
            (&app, Error::new(ErrorKind::TokenEndpoint, "x"), "identity_unreachable"),
            (&app, Error::new(ErrorKind::MalformedToken, "x"), "token_unusable"),
        ] {
            assert_eq!(credential.cause_of(&error), cause);
        }
    }
}
