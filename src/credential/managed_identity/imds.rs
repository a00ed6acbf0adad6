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
    /// Whether it is looked for before it is asked, as long as it has not been found.
    look_first: bool,
    /// Whether it has ever answered.
    found: AtomicBool,
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
        Ok(Self { endpoint, look_first: request.probe, found: AtomicBool::default() })
    }

    async fn token(&self) -> Result<AccessToken, Error> {
        if self.look_first && !self.found.load(Relaxed) {
            self.probe().await?;
            self.found.store(true, Relaxed);
        }
        let answer = http::send(self.endpoint.request(), self.endpoint.url()).await;
        let answer = answer.map_err(|error| self.unanswered(error))?;
        self.found.store(true, Relaxed);
        self.endpoint.read(answer)
    }

    /// What it means that there was no answer. Where there has been one before, an outage.
    fn unanswered(&self, error: Error) -> Error {
        if self.found.load(Relaxed) || error.status().is_some() {
            return error;
        }
        if http::is_unconnected(&error) {
            // Asked again all the same: a machine may start before its network does.
            return self.absent("cannot be connected to").with_transient(true).with_source(error);
        }
        error.with_hint(hints::NOT_ON_AZURE)
    }

    fn absent(&self, why: &str) -> Error {
        let message = format!("no Instance Metadata Service here: {} {why}", self.endpoint.url());
        Error::new(ErrorKind::CredentialUnavailable, message).with_hint(hints::NOT_ON_AZURE)
    }

    /// Looks whether IMDS is there at all. Without the header that it demands, its answer is an error, which will do.
    async fn probe(&self) -> Result<(), Error> {
        let request = self.endpoint.bare().query(&[("api-version", "2018-02-01")]);
        let answer = timeout(PROBE_TIMEOUT, http::send(request, self.endpoint.url()))
            .await
            .map_err(|_| self.absent("did not answer within a second"))?
            .map_err(|error| self.absent("did not answer").with_source(error))?;
        // Docker Desktop answers in the place of an IMDS that cannot be reached, and so do some proxies.
        let text = String::from_utf8_lossy(&answer.body).to_ascii_lowercase();
        if answer.status == 403 && text.contains("unreachable") {
            return Err(self.absent("cannot be reached from here"));
        }
        if answer.is_success() && serde_json::from_slice::<Value>(&answer.body).is_err() {
            return Err(self.absent("answered with something that is not JSON"));
        }
        Ok(())
    }
}

impl TokenSource for ImdsSource {
    fn fetch(&self) -> TokenFuture<'_> {
        Box::pin(self.token())
    }
}
