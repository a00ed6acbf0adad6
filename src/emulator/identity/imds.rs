//! The Instance Metadata Service of Azure's virtual machines.

use super::{Grant, managed, request::TokenRequest};
use crate::emulator::{
    answers::{Form, Refusal},
    tokens::{USER_ASSIGNED_CLIENT_ID, USER_ASSIGNED_OBJECT_ID, USER_ASSIGNED_RESOURCE_ID},
};

const SELECTORS: [(&str, &str); 3] = [
    ("client_id", USER_ASSIGNED_CLIENT_ID),
    ("object_id", USER_ASSIGNED_OBJECT_ID),
    ("msi_res_id", USER_ASSIGNED_RESOURCE_ID),
];

pub(super) fn grant(request: &TokenRequest) -> Result<Grant, Refusal> {
    grant_to(request, &SELECTORS)
}

/// As [`grant`], for an endpoint that knows its user-assigned identities by these names.
pub(super) fn grant_to(request: &TokenRequest, selectors: &[(&str, &str)]) -> Result<Grant, Refusal> {
    let refused = |description: &str| Refusal::imds(400, "invalid_request", description);
    if !request.header("Metadata").eq_ignore_ascii_case("true") {
        return Err(refused("Required metadata header not specified"));
    }
    if request.parameter("api-version").is_empty() {
        return Err(refused("Required query variable 'api-version' is missing"));
    }
    let resource = managed::resource(request).map_err(|problem| Refusal::imds(400, "invalid_resource", &problem))?;
    let claims = managed::identity(request, selectors).ok_or_else(|| refused("Identity not found"))?;
    Ok(Grant { form: Form::Imds, claims: claims.audience(resource) })
}

#[cfg(test)]
mod tests;
