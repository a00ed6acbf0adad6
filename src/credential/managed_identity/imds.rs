//! The Instance Metadata Service of virtual machines, scale sets and everything that runs on them.

use super::{Request, endpoint::Endpoint, recognition};
use crate::{
    credential::{
        hints,
        http::{self, HttpAnswer},
        token_response::{self, Issuer},
    },
    error::{Error, ErrorKind},
    token::{AccessToken, TokenFuture, TokenSource},
};
use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};
use tokio::time::timeout;

/// The address that every Azure virtual machine answers on.
const HOST: &str = "http://169.254.169.254";

/// Where there is no IMDS, its address may swallow packets for minutes; where there is, it is on the same host.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) struct ImdsSource {
    endpoint: Endpoint,
    /// Whether it is looked for before it is asked, as long as it has not been found.
    look_first: bool,
    /// Whether it has answered, at least the search for it.
    found: AtomicBool,
    /// Whether it has answered a request for a token.
    served: AtomicBool,
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
        Ok(Self { endpoint, look_first: request.probe, found: AtomicBool::default(), served: AtomicBool::default() })
    }

    async fn token(&self) -> Result<AccessToken, Error> {
        if self.look_first && !self.found.load(Relaxed) {
            self.probe().await?;
            self.found.store(true, Relaxed);
        }
        let answer = http::send(self.endpoint.request(), self.endpoint.url()).await;
        let answer = self.endpoint.answered(answer.map_err(|error| self.unanswered(error))?);
        if recognition::is_imds(&answer) {
            self.found.store(true, Relaxed);
            self.served.store(true, Relaxed);
            return self.endpoint.read(answer);
        }
        if self.may_be_updating(&answer) {
            return self.endpoint.read(answer);
        }
        Err(self.strange(&answer))
    }

    /// Whether an answer that is not recognized may be that of an IMDS that is being updated, which answers 404 or 410.
    ///
    /// The body that it answers with then is not documented, so that a 404 with some JSON object may be its own or a
    /// stranger's. Where IMDS was recognized before, by its answer to the search at least, it is taken for IMDS's: the
    /// default chain ends there, and IMDS is asked again after a while, since an update must not make a service
    /// somebody else. Where it was not, a stranger is likelier, and nobody should wait out an update that is none.
    ///
    /// AKS's pod identity answers 404 in plain text until it has assigned the pod's identity, which takes a while, too.
    fn may_be_updating(&self, answer: &HttpAnswer) -> bool {
        let is_its_form = recognition::is_json(answer) || recognition::is_plain(answer);
        let updating = answer.status == 410 || (answer.status == 404 && is_its_form);
        updating && self.found.load(Relaxed)
    }

    /// The error of an answer that is not IMDS's own.
    fn strange(&self, answer: &HttpAnswer) -> Error {
        let what = format!("(HTTP status {}): {}", answer.status, token_response::told(answer));
        if self.served.load(Relaxed) {
            // There is an IMDS, and something stands before it for now.
            return self.stranger(answer, &what).with_transient(true);
        }
        // A proxy before it may fail together with it.
        let passes = matches!(answer.status, 408 | 429) || answer.status >= 500;
        if passes && (self.found.load(Relaxed) || !self.look_first) {
            return self.stranger(answer, &what).with_transient(true);
        }
        self.found.store(false, Relaxed);
        if self.look_first {
            // IMDS itself, when it is busy, may answer without anything by which it is known: it is asked again if
            // nobody else has a token meanwhile.
            let absent = self.absent(&format!("answered as somebody else {what}")).with_status(answer.status);
            return wait(absent.with_transient(passes), answer.retry_after.filter(|_| passes));
        }
        self.stranger(answer, &what).with_transient(false)
    }

    fn stranger(&self, answer: &HttpAnswer, what: &str) -> Error {
        let message = format!("{} did not answer as the Instance Metadata Service does {what}", self.endpoint.url());
        let error = Error::new(ErrorKind::TokenEndpoint, message).with_status(answer.status).with_hint(hints::NOT_IMDS);
        wait(error, answer.retry_after)
    }

    /// What it means that there was no answer. Where there has been one before, an outage.
    fn unanswered(&self, error: Error) -> Error {
        if self.found.load(Relaxed) {
            return error;
        }
        if error.status().is_some() {
            return error.with_hint(hints::NOT_IMDS);
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

    /// Looks whether IMDS is there at all. Without the header that it demands, its answer is an error, by which it is
    /// recognized. The one of AKS's pod identity demands no header: it answers with the token that is asked for.
    async fn probe(&self) -> Result<(), Error> {
        let answer = timeout(PROBE_TIMEOUT, http::send(self.endpoint.bare(), self.endpoint.url()))
            .await
            .map_err(|_| self.absent("did not answer within a second"))?
            .map_err(|error| self.absent("did not answer").with_source(error))?;
        let answer = self.endpoint.answered(answer);
        if recognition::is_imds(&answer) { Ok(()) } else { Err(self.strange(&answer)) }
    }
}

fn wait(error: Error, retry_after: Option<Duration>) -> Error {
    match retry_after {
        Some(delay) => error.with_retry_after(delay),
        None => error,
    }
}

impl TokenSource for ImdsSource {
    fn fetch(&self) -> TokenFuture<'_> {
        Box::pin(self.token())
    }
}
