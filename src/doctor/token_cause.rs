//! Why a credential gives no token.

use super::cause::Cause;
use crate::{
    credential::{Credential, hints},
    error::{Error, ErrorKind, FILE_MISSING, Stage},
};

impl Cause {
    /// Why this credential gave no token.
    pub(super) fn of_token(credential: &Credential, error: &Error) -> Self {
        let has_token_file = credential.facts().has_token_file;
        if let Some(cause) = error.aadsts().and_then(|code| Self::of_aadsts(code, has_token_file)) {
            return cause;
        }
        let hint = error.hint().unwrap_or_default();
        let is = |known: &str| hint == known;
        match error.kind() {
            ErrorKind::Configuration => Self::CredentialIncomplete,
            _ if is(hints::IDENTITY_NOT_ASSIGNED) => Self::IdentityNotAssigned,
            _ if is(hints::NOT_IMDS) => Self::ImdsAnsweredByOther,
            _ if is(hints::NOT_ON_AZURE) => Self::ImdsUnreachable,
            _ if is(hints::NO_CREDENTIAL) => Self::NoCredential,
            _ if is(hints::UNTRUSTED) => Self::IdentityTlsIntercepted,
            _ if is(hints::NOT_A_PROVIDER) => Self::IdentityAnsweredByOther,
            _ if is(FILE_MISSING) && has_token_file => Self::TokenFileMissing,
            _ if is(FILE_MISSING) => Self::CertificateFileMissing,
            ErrorKind::CredentialUnavailable if has_token_file => Self::TokenFileMissing,
            ErrorKind::CredentialUnavailable if error.message().contains("is not signed in") => Self::ToolNotSignedIn,
            ErrorKind::CredentialUnavailable if error.message().contains("is not installed") => Self::ToolNotInstalled,
            ErrorKind::CredentialUnavailable => Self::NoCredential,
            ErrorKind::CredentialRejected => Self::CredentialRefused,
            ErrorKind::MalformedToken => Self::TokenUnusable,
            ErrorKind::TokenEndpoint if error.status() == Some(429) => Self::TooManyRequests,
            ErrorKind::TokenEndpoint if error.status().is_some() => Self::IdentityOutOfOrder,
            ErrorKind::Timeout(Stage::Token) | ErrorKind::TokenEndpoint => Self::IdentityUnreachable,
            _ => Self::NoToken,
        }
    }

    fn of_aadsts(code: u32, has_token_file: bool) -> Option<Self> {
        Some(match code {
            7_000_215 => Self::SecretWrong,
            7_000_222 => Self::SecretExpired,
            700_016 => Self::AppUnknown,
            7_000_229 => Self::AppNotInTenant,
            70_001 | 7_000_112 => Self::AppDisabled,
            90_002 | 900_023 => Self::TenantUnknown,
            50_001 | 500_011 | 650_052 => Self::RedisPrincipalMissing,
            650_057 | 65_001 => Self::RedisPermissionMissing,
            50_020 | 90_072 | 51_004 | 50_034 => Self::GuestInOtherTenant,
            700_024 if has_token_file => Self::TokenFileOld,
            700_024 => Self::ClockOff,
            700_027 => Self::CertificateNotRegistered,
            70_021 | 70_023 | 70_025 | 700_211..=700_213 => Self::FederationMismatch,
            53_000..=53_003 => Self::ConditionalAccess,
            70_043 | 50_173 | 50_076 | 50_078 | 50_079 | 700_082 => Self::ToolNotSignedIn,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests;
