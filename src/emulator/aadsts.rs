//! Microsoft Entra ID's refusals, by their numbers.
//!
//! Texts after <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>, and as the service words
//! them.

use super::answers::{CORRELATION_ID, Refusal};
use jiff::Timestamp;
use serde_json::json;

const TRACE_ID: &str = "7e57e57e-0000-4000-8000-00000000aaaa";

/// In a text, `{}` stands for what the client has sent that is wrong.
struct Documented {
    codes: &'static [u32],
    status: u16,
    error: &'static str,
    text: &'static str,
}

const DOCUMENTED: &[Documented] = &[
    Documented {
        codes: &[50_001, 500_011],
        status: 400,
        error: "invalid_resource",
        text: "The resource principal named {} was not found in the tenant. This can happen if the application \
               has not been installed by the administrator of the tenant or consented to by any user in the \
               tenant. You might have sent your authentication request to the wrong tenant.",
    },
    Documented { codes: &[50_013], status: 401, error: "invalid_client", text: "Assertion is invalid: {}." },
    Documented { codes: &[50_027], status: 400, error: "invalid_request", text: "JWT token is invalid or malformed." },
    Documented {
        codes: &[50_196],
        status: 400,
        error: "invalid_grant",
        text: "The server terminated an operation because it encountered a client request loop. Please contact \
               your app vendor.",
    },
    Documented {
        codes: &[53_003],
        status: 400,
        error: "invalid_grant",
        text: "Access has been blocked by Conditional Access policies. The access policy does not allow token \
               issuance.",
    },
    Documented {
        codes: &[700_016],
        status: 400,
        error: "unauthorized_client",
        text: "Application with identifier '{}' was not found in the directory. This can happen if the \
               application has not been installed by the administrator of the tenant or consented to by any \
               user in the tenant. You may have sent your authentication request to the wrong tenant.",
    },
    Documented {
        codes: &[70_001, 7_000_112],
        status: 400,
        error: "unauthorized_client",
        text: "Application is disabled.",
    },
    Documented {
        codes: &[70_003],
        status: 400,
        error: "unsupported_grant_type",
        text: "The app requested an unsupported grant type '{}'.",
    },
    Documented {
        codes: &[70_011],
        status: 400,
        error: "invalid_scope",
        text: "The provided value for the input parameter 'scope' is not valid. The scope {} is not valid.",
    },
    Documented {
        codes: &[90_002],
        status: 400,
        error: "invalid_request",
        text: "Tenant '{}' not found. Check to make sure you have the correct tenant ID and are signing into \
               the correct cloud.",
    },
    Documented {
        codes: &[50_020],
        status: 400,
        error: "invalid_grant",
        text: "User account '{}' from identity provider 'https://sts.windows.net/' does not exist in tenant and cannot \
               access the application. The account needs to be added as an external user in the tenant first.",
    },
    Documented {
        codes: &[650_052],
        status: 400,
        error: "invalid_client",
        text: "The app is trying to access a service that your organization lacks a service principal for. Contact \
               your IT Admin to review the configuration of your service subscriptions or consent to the application \
               in order to create the required service principal.",
    },
    Documented {
        codes: &[650_057],
        status: 400,
        error: "invalid_resource",
        text: "Invalid resource. The client has requested access to a resource which is not listed in the \
               requested permissions in the client's application registration.",
    },
    Documented {
        codes: &[700_021],
        status: 401,
        error: "invalid_client",
        text: "Client assertion application identifier doesn't match 'client_id' parameter.",
    },
    Documented {
        codes: &[700_023],
        status: 401,
        error: "invalid_client",
        text: "Client assertion audience claim does not match Realm issuer.",
    },
    Documented {
        codes: &[700_024],
        status: 401,
        error: "invalid_client",
        text: "Client assertion is not within its valid time range.",
    },
    Documented {
        codes: &[700_025],
        status: 401,
        error: "invalid_client",
        text: "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.",
    },
    Documented {
        codes: &[700_027],
        status: 401,
        error: "invalid_client",
        text: "Client assertion failed signature validation. [Reason - {}]",
    },
    Documented {
        codes: &[700_211],
        status: 401,
        error: "invalid_client",
        text: "No matching federated identity record found for presented assertion issuer '{}'.",
    },
    Documented {
        codes: &[700_212],
        status: 401,
        error: "invalid_client",
        text: "No matching federated identity record found for presented assertion audience '{}'.",
    },
    Documented {
        codes: &[700_213],
        status: 401,
        error: "invalid_client",
        text: "No matching federated identity record found for presented assertion subject '{}'.",
    },
    Documented {
        codes: &[700_229],
        status: 401,
        error: "invalid_client",
        text: "Only app-only tokens can be used as Federated Identity Credentials for AAD issuer.",
    },
    Documented {
        codes: &[900_144],
        status: 400,
        error: "invalid_request",
        text: "The request body must contain the following parameter: '{}'.",
    },
    Documented {
        codes: &[7_000_215],
        status: 401,
        error: "invalid_client",
        text: "Invalid client secret provided. Ensure the secret being sent in the request is the client secret \
               value, not the client secret ID, for a secret added to the app.",
    },
    Documented {
        codes: &[7_000_216],
        status: 401,
        error: "invalid_client",
        text: "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant \
               type.",
    },
    Documented {
        codes: &[7_000_222],
        status: 401,
        error: "invalid_client",
        text: "The provided client secret keys for app are expired. Visit the Azure portal to create new keys \
               for your app.",
    },
    Documented {
        codes: &[50_033, 90_006, 90_012, 90_024, 90_033, 90_055, 90_090],
        status: 503,
        error: "temporarily_unavailable",
        text: "A transient error has occurred. Please try again.",
    },
];

const UNKNOWN: Documented =
    Documented { codes: &[], status: 400, error: "invalid_request", text: "The request is refused." };

fn documented(code: u32) -> &'static Documented {
    DOCUMENTED.iter().find(|known| known.codes.contains(&code)).unwrap_or(&UNKNOWN)
}

/// The documented error body; `given` is what the client said that is wrong.
pub(super) fn refusal(code: u32, given: &str) -> Refusal {
    let Documented { status, error, .. } = documented(code);
    let timestamp = Timestamp::now().strftime("%Y-%m-%d %H:%M:%SZ").to_string();
    let description = format!(
        "{}\r\nTrace ID: {TRACE_ID}\r\nCorrelation ID: {CORRELATION_ID}\r\nTimestamp: {timestamp}",
        quoted(code, given)
    );
    let body = json!({
        "error": error, "error_description": description, "error_codes": [code], "timestamp": timestamp,
        "trace_id": TRACE_ID, "correlation_id": CORRELATION_ID,
        "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
    });
    Refusal::new(*status, body)
}

/// The refusal's first line alone, as other services quote it.
pub(super) fn quoted(code: u32, given: &str) -> String {
    format!("AADSTS{code}: {}", documented(code).text.replace("{}", given))
}

#[cfg(test)]
mod tests;
