//! Azure Cloud Shell, whose identity is the user at its keyboard.

use super::{Request, endpoint::Endpoint};
use crate::error::Error;

pub(super) fn source(request: &Request<'_>, endpoint: &str) -> Result<Endpoint, Error> {
    request.identity.must_be_system_assigned("Azure Cloud Shell has the identity of its user only")?;
    let endpoint = Endpoint::new("MSI_ENDPOINT", endpoint, "cloud-shell")?;
    Ok(endpoint.form().parameter("resource", request.resource).header("metadata", "true"))
}
