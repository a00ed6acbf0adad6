//! `/msi/token`: the endpoints that Azure's hosting services name to their programs in the environment.

use super::{Grant, managed, request::TokenRequest};
use crate::emulator::{
    answers::{Form, Refusal},
    tokens::{IDENTITY_HEADER, USER_ASSIGNED_CLIENT_ID, USER_ASSIGNED_OBJECT_ID, USER_ASSIGNED_RESOURCE_ID},
};
use hyper::Method;

/// `object_id` is another name for `principal_id`, which MSAL uses.
const APP_SERVICE: [(&str, &str); 4] = [
    ("client_id", USER_ASSIGNED_CLIENT_ID),
    ("principal_id", USER_ASSIGNED_OBJECT_ID),
    ("object_id", USER_ASSIGNED_OBJECT_ID),
    ("mi_res_id", USER_ASSIGNED_RESOURCE_ID),
];

const AZURE_ML: [(&str, &str); 1] = [("clientid", USER_ASSIGNED_CLIENT_ID)];

/// The service is told by the method, and by its own version of the protocol.
pub(super) fn grant(request: &TokenRequest) -> Result<Grant, Refusal> {
    if request.method == Method::POST {
        return cloud_shell(request);
    }
    match request.parameter("api-version") {
        "2019-08-01" => app_service(request, "X-IDENTITY-HEADER", &APP_SERVICE),
        "2017-09-01" => app_service(request, "Secret", &AZURE_ML),
        "2019-07-01-preview" => service_fabric(request),
        version => Err(Refusal::app_service(400, &format!("The api-version '{version}' is not supported."))),
    }
}

/// App Service, Functions and Container Apps; Azure ML has kept an earlier version of it.
fn app_service(request: &TokenRequest, header: &str, selectors: &[(&str, &str)]) -> Result<Grant, Refusal> {
    const NOT_FOUND: &str =
        "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.";
    if request.header(header) != IDENTITY_HEADER {
        return Err(Refusal::app_service(401, &format!("The header '{header}' is missing or wrong.")));
    }
    let resource = managed::resource(request).map_err(|problem| Refusal::app_service(400, &problem))?;
    let claims = managed::identity(request, selectors).ok_or_else(|| Refusal::app_service(400, NOT_FOUND))?;
    Ok(Grant { form: Form::AppService, claims: claims.audience(resource) })
}

/// Codes of <https://learn.microsoft.com/azure/service-fabric/how-to-managed-identity-service-fabric-app-code>.
fn service_fabric(request: &TokenRequest) -> Result<Grant, Refusal> {
    if !request.https {
        return Err(Refusal::service_fabric(403, "HttpsRequired", "Service Fabric's endpoint speaks https only."));
    }
    if request.header("Secret") != IDENTITY_HEADER {
        let text = "Secret is not found in the request headers.";
        return Err(Refusal::service_fabric(401, "SecretHeaderNotFound", text));
    }
    let resource =
        managed::resource(request).map_err(|problem| Refusal::service_fabric(400, "ArgumentNullOrEmpty", &problem))?;
    let claims = managed::identity(request, &[]).ok_or_else(|| {
        let text = "Managed identity not found for the specified application host.";
        Refusal::service_fabric(404, "ManagedIdentityNotFound", text)
    })?;
    Ok(Grant { form: Form::ServiceFabric, claims: claims.audience(resource) })
}

fn cloud_shell(request: &TokenRequest) -> Result<Grant, Refusal> {
    if !request.header("Metadata").eq_ignore_ascii_case("true") {
        return Err(Refusal::cloud_shell("BadRequest", "Required metadata header not specified"));
    }
    let resource =
        managed::resource(request).map_err(|problem| Refusal::cloud_shell("AudienceNotSupported", &problem))?;
    let claims = managed::identity(request, &[])
        .ok_or_else(|| Refusal::cloud_shell("BadRequest", "There is no identity but the signed-in user's."))?;
    Ok(Grant { form: Form::Imds, claims: claims.audience(resource) })
}

#[cfg(test)]
mod tests;
