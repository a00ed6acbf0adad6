//! What to do next about Microsoft Entra ID's refusals, by their numbers.
//!
//! What they mean: <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>; one by one:
//! `https://login.microsoftonline.com/error?code=<number>`. The application id of Redis is that of
//! <https://learn.microsoft.com/azure/redis/entra-for-authentication>.

#[cfg(test)]
mod tests;

const CONSENT: &str = "check the app registration: Redis must be among its API permissions, with consent: \
     `az ad app permission grant --id <CLIENT_ID> --api acca5fbb-b7e4-4009-81f1-37e38fd66d78 --scope user_impersonation`";

const NO_REDIS_IN_TENANT: &str = "Redis has no service principal in this tenant: check the tenant id, or add it with \
     `az ad sp create --id acca5fbb-b7e4-4009-81f1-37e38fd66d78`";

const SIGN_IN_AGAIN: &str = "the sign-in is not valid any more: sign in again with `az login` (or `azd auth login`)";

const SIGN_IN_WITH_MORE: &str = "the tenant asks for more than a password: sign in interactively, with \
     `az login --tenant <TENANT_ID> --scope https://redis.azure.com/.default`";

const NOT_IN_TENANT: &str = "this account is not in the tenant: sign in to the cache's tenant with \
     `az login --tenant <TENANT_ID>`; a guest must have accepted the invitation";

const SECRET_OR_ASSERTION: &str =
    "the request had neither a secret nor a certificate: check the credential's settings; a public client has none";

/// Numbers, and what to do next.
const HINTS: &[(&[u32], &str)] = &[
    (&[7_000_215], "the client secret is wrong: use the secret's value, not its id"),
    (
        &[7_000_222],
        "the client secret has expired: add a new one with `az ad app credential reset --id <CLIENT_ID> --append`",
    ),
    (&[7_000_216, 7_000_218, 70_002], SECRET_OR_ASSERTION),
    (&[700_016], "no such application in this tenant: check client id and tenant id"),
    (&[90_002, 900_023, 50_059, 50_128], "no such tenant: check the tenant id and the cloud of the authority host"),
    (
        &[50_001, 500_011],
        "check the scope: https://redis.azure.com/.default; if it is right, Redis has no service principal in this \
         tenant: check the tenant id, or add it with `az ad sp create --id acca5fbb-b7e4-4009-81f1-37e38fd66d78`",
    ),
    (&[650_052], NO_REDIS_IN_TENANT),
    (&[65_001, 90_094, 650_057], CONSENT),
    (&[70_011, 1_002_012], super::hints::SCOPE),
    (&[700_027], "the certificate is not one of the app registration's: upload it there, or use the one that is"),
    (&[700_030], "the certificate's subject is not one that the application trusts: check `subject` in its settings"),
    (&[1_000_502], "the certificate has expired: upload a new one to the app registration"),
    (&[700_024], "the assertion was outside its time of validity: check this machine's clock and the token file"),
    (
        &[50_012, 50_013, 50_027],
        "the assertion or the certificate is not valid: check this machine's clock, and which certificate or token file \
         is used",
    ),
    (
        &[70_021, 70_023, 70_025, 700_211, 700_212, 700_213],
        "no federated credential of the app registration fits: check its issuer, subject and audience",
    ),
    (
        &[700_021, 700_023],
        "the assertion is for somebody else: its issuer must be the client id, its audience this tenant's token endpoint",
    ),
    (&[700_025], "check the app registration: kind of client and permissions"),
    (
        &[700_222, 700_236, 700_238],
        "a managed identity can be a federated credential only of an application in the same tenant and cloud",
    ),
    (&[900_382], "the application is of another cloud: check the authority host and the cloud"),
    (&[50_196], "requests for this application come in a loop: is a process restarted again and again?"),
    (&[7_000_229], "the application has no service principal in this tenant: add it there, or check the tenant id"),
    (&[700_229], "the token is not one that may be used as an assertion: app tokens of managed identities only"),
    (&[70_001, 7_000_112], "the application is disabled in this tenant"),
    (
        &[50_105],
        "the account or application is not assigned to the application that it asks for: assign it, or a group",
    ),
    (&[50_020, 50_034, 90_072], NOT_IN_TENANT),
    (&[50_057], "the account is disabled in this tenant"),
    (&[50_126], "user name or password is wrong: sign in again"),
    (&[50_132, 50_133, 50_173, 70_043, 700_082], SIGN_IN_AGAIN),
    (&[50_076, 50_078, 50_079, 50_158], SIGN_IN_WITH_MORE),
    (&[53_000, 53_001, 53_003, 530_003], "a Conditional Access policy blocks this sign-in"),
    (&[900_144], "a value is empty that the request needs: check client id, tenant id and secret"),
];

/// All numbers that there are hints for.
#[cfg(test)]
pub(super) fn known() -> impl Iterator<Item = u32> {
    HINTS.iter().flat_map(|(codes, _)| codes.iter().copied())
}

/// What to do next about this number, if that is known.
pub(super) fn hint(code: u32) -> Option<&'static str> {
    HINTS.iter().find(|(codes, _)| codes.contains(&code)).map(|(_, hint)| *hint)
}
