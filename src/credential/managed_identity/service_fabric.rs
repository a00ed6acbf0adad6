//! Service Fabric, whose endpoint proves itself by its certificate's thumbprint.

use super::{Request, endpoint::Endpoint, thumbprint as by_thumbprint};
use crate::{
    credential::{
        authority::base_url,
        http::{self, Proxy},
    },
    error::Error,
};

pub(super) fn source(request: &Request<'_>, endpoint: &str, header: &str, thumbprint: &str) -> Result<Endpoint, Error> {
    let why = "Service Fabric takes the identity from the application's manifest";
    request.identity.must_be_system_assigned(why)?;
    let url = base_url("IDENTITY_ENDPOINT", endpoint, "https")?;
    if url.scheme() != "https" {
        return Err(Error::config("IDENTITY_ENDPOINT", "must be https where `IDENTITY_SERVER_THUMBPRINT` is set"));
    }
    let client = http::client_over(by_thumbprint::tls("IDENTITY_SERVER_THUMBPRINT", thumbprint)?, Proxy::Never)?;
    Endpoint::over(client, url, "service-fabric")
        .parameter("api-version", "2019-07-01-preview")
        .parameter("resource", request.resource)
        .secret_header("IDENTITY_HEADER", "secret", header)
}
