//! What to look at next, for the mistakes that people make most.

pub(super) use crate::error::FILE_MISSING;

pub(super) const NOT_ON_AZURE: &str = "is this running on Azure, with a managed identity? elsewhere, use a service principal \
     (`AZURE_CLIENT_ID`, `AZURE_TENANT_ID`, `AZURE_CLIENT_SECRET`), or sign in with `az login` and set \
     `AZURE_TOKEN_CREDENTIALS` to `dev`";

pub(super) const NOT_IMDS: &str = "somebody else answers in the place of Azure's Instance Metadata Service: a proxy, \
     Docker Desktop, or another cloud's metadata service; on Azure, let requests to 169.254.169.254 bypass proxies; \
     elsewhere, use a service principal (`AZURE_CLIENT_ID`, `AZURE_TENANT_ID`, `AZURE_CLIENT_SECRET`), or sign in with \
     `az login` and set `AZURE_TOKEN_CREDENTIALS` to `dev`";

pub(super) const IDENTITY_NOT_ASSIGNED: &str = "assign the managed identity to this resource, and check the id that \
     selects it; without an id, the system-assigned identity must be switched on";

pub(super) const SCOPE: &str = "check the scope: https://redis.azure.com/.default";

pub(super) const KEY_GROUP: &str =
    "this process must be able to read the agent's challenge files: make its user a member of the group `himds`";

pub(super) const NOT_A_PROVIDER: &str =
    "a proxy or a captive portal may stand between this machine and the identity provider";

pub(super) const UNTRUSTED: &str = "the certificate that was shown is not one that this machine trusts: is there a \
     proxy that looks into TLS? its certificate authority must be among the operating system's";

pub(super) const PADDED_SECRET: &str =
    "the client secret has whitespace around it, such as the newline that ends a file: remove it";

pub(super) const QUOTED_SECRET: &str =
    "the client secret has quotation marks around it, as files of variables keep them in some places: remove them";

pub(super) const PADDED_CLIENT_ID: &str =
    "the client id has whitespace around it, such as the newline that ends a file: remove it";

pub(super) const NO_CREDENTIAL: &str = "set the AZURE_* variables of a service principal, run on Azure with a managed \
     identity, or sign in with `az login`";

/// What Microsoft Entra ID's error codes ask for, see
/// <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>.
pub(super) fn of_aadsts(code: u32) -> Option<&'static str> {
    Some(match code {
        7_000_215 => "the client secret is wrong: use the secret's value, not its id",
        7_000_222 => "the client secret has expired: add a new one to the app registration",
        700_016 => "no such application in this tenant: check client id and tenant id",
        90002 | 900_023 => "no such tenant: check the tenant id and the cloud of the authority host",
        50001 | 500_011 => {
            "check the scope: https://redis.azure.com/.default; if it is right, Redis has no service principal in this \
             tenant: check the tenant id, or add it with `az ad sp create --id acca5fbb-b7e4-4009-81f1-37e38fd66d78`"
        }
        650_052 => {
            "Redis has no service principal in this tenant: check the tenant id, or add it with \
             `az ad sp create --id acca5fbb-b7e4-4009-81f1-37e38fd66d78`"
        }
        70011 => SCOPE,
        700_027 => "the certificate is not one of the app registration's: upload it there, or use the one that is",
        700_024 => "the assertion was outside its time of validity: check this machine's clock and the token file",
        70_021 | 70_023 | 70_025 | 700_211 | 700_212 | 700_213 => {
            "no federated credential of the app registration fits: check its issuer, subject and audience"
        }
        700_021 | 700_023 => {
            "the assertion is for somebody else: its issuer must be the client id, its audience this tenant's token \
             endpoint"
        }
        700_025 => "check the app registration: kind of client and permissions",
        650_057 => {
            "check the app registration: Redis must be among its API permissions, with consent: \
             `az ad app permission grant --id <CLIENT_ID> --api acca5fbb-b7e4-4009-81f1-37e38fd66d78 \
             --scope user_impersonation`"
        }
        700_222 | 700_236 | 700_238 => {
            "a managed identity can be a federated credential only of an application in the same tenant and cloud"
        }
        50_196 => "requests for this application come in a loop: is a process restarted again and again?",
        7_000_229 => "the application has no service principal in this tenant: add it there, or check the tenant id",
        700_229 => "the token is not one that may be used as an assertion: app tokens of managed identities only",
        70001 | 7_000_112 => "the application is disabled in this tenant",
        53003 => "a Conditional Access policy blocks this sign-in",
        _ => return None,
    })
}
