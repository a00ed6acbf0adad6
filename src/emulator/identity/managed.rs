//! What all endpoints for managed identities share: which identity is asked for, and for which resource.

use super::request::TokenRequest;
use crate::emulator::{
    aadsts,
    tokens::{CLIENT_ID, RESOURCE, RESOURCE_ID, TOKEN_EXCHANGE, TokenClaims},
};

/// Every name under which one of Azure's endpoints knows an identity's id; no endpoint knows them all.
const SELECTORS: [&str; 6] = ["client_id", "clientid", "object_id", "principal_id", "msi_res_id", "mi_res_id"];

/// The endpoints' names for a client id.
const BY_CLIENT_ID: [&str; 2] = ["client_id", "clientid"];

/// The identity that is asked for: the system-assigned one, or the user-assigned one if it is asked for by one of the
/// endpoint's own names and the right id; none if it is asked for in any other way.
///
/// The client id that the emulator's environment variables name is another user-assigned one, with the rights of that
/// app.
pub(super) fn identity(request: &TokenRequest, known: &[(&str, &str)]) -> Option<TokenClaims> {
    let mut given = SELECTORS.into_iter().filter(|name| request.parameters.contains_key(*name));
    match (given.next(), given.next()) {
        (None, _) => Some(TokenClaims::new()),
        (Some(name), None) => {
            let id = request.parameter(name);
            let mut ours = known.iter().filter(|(known, _)| *known == name).map(|(_, ours)| ours).peekable();
            if ours.peek().is_some() && BY_CLIENT_ID.contains(&name) && id.eq_ignore_ascii_case(CLIENT_ID) {
                return Some(TokenClaims::new());
            }
            ours.any(|ours| ours.eq_ignore_ascii_case(id)).then(TokenClaims::user_assigned)
        }
        (Some(_), Some(_)) => None,
    }
}

/// The resource that is asked for, by the name that its tokens carry; otherwise what the endpoint says.
pub(super) fn resource(request: &TokenRequest) -> Result<&'static str, String> {
    let given = request.parameter("resource");
    let resource = given.trim_end_matches('/');
    if resource.is_empty() {
        Err("The parameter 'resource' is missing".to_owned())
    } else if [RESOURCE, RESOURCE_ID].contains(&resource) {
        Ok(RESOURCE)
    } else {
        let exchange = TOKEN_EXCHANGE.into_iter().find(|audience| *audience == resource);
        exchange.ok_or_else(|| aadsts::quoted(500_011, given))
    }
}

#[cfg(test)]
mod tests;
