//! App Service, Functions and Container Apps.

use super::{Request, endpoint::Endpoint};
use crate::error::Error;

pub(super) fn source(request: &Request<'_>, endpoint: &str, header: &str) -> Result<Endpoint, Error> {
    Endpoint::new("IDENTITY_ENDPOINT", endpoint, "app-service")?
        .parameter("api-version", "2019-08-01")
        .parameter("resource", request.resource)
        .select(request.identity, ["client_id", "principal_id", "mi_res_id"])
        .secret_header("IDENTITY_HEADER", "x-identity-header", header)
}
