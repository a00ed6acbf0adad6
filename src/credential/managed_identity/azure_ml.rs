//! Azure Machine Learning.

use super::{ManagedIdentity, Request, endpoint::Endpoint};
use crate::{credential::process_env::ProcessEnv, error::Error};

pub(super) fn source(request: &Request<'_>, endpoint: &str, secret: &str, env: &ProcessEnv) -> Result<Endpoint, Error> {
    let client_id = match request.identity {
        // The compute's own identity may be a user-assigned one, which has to be named.
        ManagedIdentity::SystemAssigned => env.get("DEFAULT_IDENTITY_CLIENT_ID"),
        ManagedIdentity::UserAssignedClientId(id) => Some(id.clone()),
        _ => {
            let problem = "must be selected by its client id here: Azure Machine Learning takes no other id";
            return Err(Error::config("managed_identity", problem));
        }
    };
    let endpoint = Endpoint::new("MSI_ENDPOINT", endpoint, "azure-ml")?
        .parameter("api-version", "2017-09-01")
        .parameter("resource", request.resource);
    let endpoint = match client_id {
        Some(id) => {
            let identity = ManagedIdentity::UserAssignedClientId(id);
            endpoint.select(&identity, ["clientid"; 3])
        }
        None => endpoint,
    };
    endpoint.secret_header("MSI_SECRET", "secret", secret)
}
