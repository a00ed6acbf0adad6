//! The Instance Metadata Service of virtual machines, scale sets and everything that runs on them.

use super::{Request, endpoint::Endpoint};
use crate::{
    AccessToken, Error, ErrorKind, TokenFuture, TokenSource,
    credential::{answer::Issuer, hints, http},
};
use serde_json::Value;
use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};
use tokio::time::timeout;

/// The address that every Azure virtual machine answers on.
const HOST: &str = "http://169.254.169.254";

/// Where there is no IMDS, its address may swallow packets for minutes; where there is, it is next door.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) struct ImdsSource {
    endpoint: Endpoint,
    /// Whether it has been found to be there; none if it is not to be looked for.
    found: Option<AtomicBool>,
}

impl ImdsSource {
    pub(super) fn new(request: &Request<'_>, host: Option<&str>) -> Result<Self, Error> {
        let endpoint = Endpoint::new("imds_host", host.unwrap_or(HOST), "imds")?
            .path("metadata/identity/oauth2/token")
            .issuer(Issuer::Imds)
            .parameter("api-version", "2018-02-01")
            .parameter("resource", request.resource)
            .select(request.identity, ["client_id", "object_id", "msi_res_id"])
            .header("metadata", "true");
        Ok(Self { endpoint, found: request.probe.then(AtomicBool::default) })
    }

    async fn token(&self) -> Result<AccessToken, Error> {
        if let Some(found) = &self.found
            && !found.load(Relaxed)
        {
            self.probe().await?;
            found.store(true, Relaxed);
        }
        self.endpoint.token().await.map_err(|error| match error.status() {
            None if error.kind() == ErrorKind::TokenEndpoint => error.with_hint(hints::NOT_ON_AZURE),
            _ => error,
        })
    }

    /// Looks whether IMDS is there at all. Without the header that it demands, its answer is an error, which will do.
    async fn probe(&self) -> Result<(), Error> {
        let url = self.endpoint.url();
        let absent = |why: &str| {
            let message = format!("no Instance Metadata Service here: {url} {why}");
            Error::new(ErrorKind::CredentialUnavailable, message).with_hint(hints::NOT_ON_AZURE)
        };
        let request = self.endpoint.bare().query(&[("api-version", "2018-02-01")]);
        let answer = timeout(PROBE_TIMEOUT, http::send(request, url))
            .await
            .map_err(|_| absent("did not answer within a second"))?
            .map_err(|error| absent("did not answer").with_source(error))?;
        // Docker Desktop answers in the place of an IMDS that cannot be reached, and so do some proxies.
        let text = String::from_utf8_lossy(&answer.body).to_ascii_lowercase();
        if answer.status == 403 && text.contains("unreachable") {
            return Err(absent("cannot be reached from here"));
        }
        if answer.is_success() && serde_json::from_slice::<Value>(&answer.body).is_err() {
            return Err(absent("answered with something that is not JSON"));
        }
        Ok(())
    }
}

impl TokenSource for ImdsSource {
    fn fetch(&self) -> TokenFuture<'_> {
        Box::pin(self.token())
    }
}
