//! HTTP for token requests: bounded, direct where it has to be, no redirects, nothing kept between requests.

use super::hints;
use crate::{
    error::{Error, ErrorKind},
    ids,
    secret::Secret,
    token::{self, RequestLimit},
    transport::tls::{self, explain},
};
use reqwest::{IntoUrl, RequestBuilder, Response, header, redirect};
use rustls::{ClientConfig, RootCertStore};
use std::{
    error::Error as StdError,
    io,
    time::{Duration, SystemTime},
};
use zeroize::Zeroizing;

/// A token answer is a few kilobytes.
const USUAL_BODY: usize = 16 << 10;

/// An answer that is longer is no token.
const LARGEST_BODY: usize = 1 << 20;

/// How long the endpoints on this machine, or next to it, may take to accept a connection. Away from Azure, the address
/// of the Instance Metadata Service mostly swallows packets, and that has to be told before `connect` gives up.
///
/// By default it is a fifth of `token_request_execution_timeout`; of a longer one it is a fifth, too.
const LOCAL_CONNECT: Duration = Duration::from_secs(2);

/// Makes requests.
pub(super) struct Client {
    usual: reqwest::Client,
    /// The TLS settings of a client that asks endpoints on this machine: with another time limit it is made again.
    local: Option<ClientConfig>,
}

impl Client {
    pub(super) fn get(&self, url: impl IntoUrl) -> RequestBuilder {
        self.for_now().get(url)
    }

    pub(super) fn post(&self, url: impl IntoUrl) -> RequestBuilder {
        self.for_now().post(url)
    }

    /// With the time limits of the token request under way.
    fn for_now(&self) -> reqwest::Client {
        let limit = local_connect_timeout();
        let patient = self.local.as_ref().filter(|_| limit > LOCAL_CONNECT);
        patient.and_then(|tls| made(tls.clone(), Some(limit)).ok()).unwrap_or_else(|| self.usual.clone())
    }
}

/// An answer, read whole.
#[cfg_attr(test, derive(Default))]
pub(super) struct HttpAnswer {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    /// The server's clock, from its `Date` header.
    pub(super) date: Option<SystemTime>,
    /// What it wants to see first, from its `WWW-Authenticate` header.
    pub(super) challenge: Option<String>,
    /// What calls itself the server, from its header of this name.
    pub(super) server: Option<String>,
    /// Whether it has one of the headers that Microsoft's services send: `x-ms-request-id`, for example.
    pub(super) is_microsofts: bool,
    /// Whether its body is said to be plain text.
    pub(super) is_plain_text: bool,
    /// A token, mostly.
    pub(super) body: Zeroizing<Vec<u8>>,
    /// What was sent to get it: an error must not show it, however the server gives it back.
    pub(super) secret: Option<Secret>,
    /// The client id that was sent, in whose place there may be a secret by mistake.
    pub(super) client_id: String,
}

impl HttpAnswer {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The same, to a request that carried `secret`.
    pub(super) fn to(mut self, secret: &Secret) -> Self {
        self.secret = Some(secret.clone());
        self
    }

    /// The same, to a request of this client.
    pub(super) fn of(mut self, client_id: &str) -> Self {
        client_id.clone_into(&mut self.client_id);
        self
    }

    /// A text that came with it, without what must not be shown of the request.
    pub(super) fn scrub(&self, text: &str) -> String {
        ids::scrub(&self.secret, &self.client_id, text)
    }
}

/// Whether requests may go through the proxy that the environment names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Proxy {
    FromEnvironment,
    Never,
}

pub(super) fn client(proxy: Proxy, https: bool) -> Result<Client, Error> {
    let builder = tls::client_builder()?;
    let tls = if https {
        tls::with_platform_roots(builder, "token requests")?.with_no_client_auth()
    } else {
        // Loopback and IMDS speak plain HTTP: a machine without trust roots is no obstacle then.
        builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
    };
    client_over(tls, proxy)
}

/// A client whose TLS is set up already.
pub(super) fn client_over(tls: ClientConfig, proxy: Proxy) -> Result<Client, Error> {
    let local = (proxy == Proxy::Never).then(|| tls.clone());
    Ok(Client { usual: made(tls, local.as_ref().map(|_| LOCAL_CONNECT))?, local })
}

/// How long an endpoint on this machine may take to accept a connection now.
fn local_connect_timeout() -> Duration {
    LOCAL_CONNECT.max(RequestLimit::current().configured() / 5)
}

/// For endpoints on this machine if the connection has a time limit of its own; no proxy stands in front of them then.
fn made(tls: ClientConfig, local: Option<Duration>) -> Result<reqwest::Client, Error> {
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        // A redirect would carry the secret or the token to a host nobody configured.
        .redirect(redirect::Policy::none())
        // Requests are most of an hour apart: a kept connection would be dead, and its failure would cost an attempt.
        .pool_max_idle_per_host(0)
        .user_agent(concat!("entra-redis/", env!("CARGO_PKG_VERSION")));
    let client = match local {
        None => client,
        Some(limit) => client.no_proxy().connect_timeout(limit),
    };
    client.build().map_err(|source| {
        Error::new(ErrorKind::Configuration, "cannot set up HTTP for token requests").with_source(source)
    })
}

/// Sends the request and reads its answer, whatever its status, in the time that the token request has.
pub(super) async fn send(request: RequestBuilder, endpoint: &str) -> Result<HttpAnswer, Error> {
    token::in_time(endpoint, exchange(request, endpoint)).await?
}

async fn exchange(request: RequestBuilder, endpoint: &str) -> Result<HttpAnswer, Error> {
    let failed = |source: reqwest::Error| {
        let source = source.without_url();
        // The only time limit that a client of ours has.
        let message = if source.is_connect() && source.is_timeout() {
            let limit = local_connect_timeout();
            format!(
                "{endpoint} accepted no connection within {limit:?} (2 s, or a fifth of `token_request_execution_timeout`)"
            )
        } else {
            let cause = causes(&source).last().map_or_else(String::new, ToString::to_string);
            format!("no answer from {endpoint}: {cause}")
        };
        let hint = certificate_hint(&source);
        let error = Error::new(ErrorKind::TokenEndpoint, message).with_transient(true).with_source(source);
        hint.into_iter().fold(error, Error::with_hint)
    };
    let mut response = request.send().await.map_err(failed)?;
    // With room for a whole token: a vector that grows leaves a copy of it behind in memory.
    let mut body = Zeroizing::new(Vec::with_capacity(USUAL_BODY));
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > LARGEST_BODY {
            return Err(Error::new(
                ErrorKind::TokenEndpoint,
                format!("{endpoint} answered with more than {LARGEST_BODY} bytes, which is no token"),
            )
            .with_transient(false)
            .with_status(response.status().as_u16()));
        }
        body.extend_from_slice(&chunk);
    }
    let date = header_text(&response, &header::DATE).and_then(|text| httpdate::parse_http_date(text).ok());
    Ok(HttpAnswer {
        status: response.status().as_u16(),
        retry_after: header_text(&response, &header::RETRY_AFTER)
            .and_then(|text| retry_after(text, date.unwrap_or_else(SystemTime::now))),
        date,
        challenge: header_text(&response, &header::WWW_AUTHENTICATE).map(str::to_owned),
        server: header_text(&response, &header::SERVER).map(str::to_owned),
        is_microsofts: response.headers().keys().any(|name| name.as_str().starts_with("x-ms-")),
        is_plain_text: header_text(&response, &header::CONTENT_TYPE).is_some_and(|text| {
            text.trim_start().get(..PLAIN.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(PLAIN))
        }),
        body,
        secret: None,
        client_id: String::new(),
    })
}

/// Whether it is the error of a request that was not sent, because there was no connection.
pub(super) fn is_unconnected(error: &Error) -> bool {
    error.source().and_then(|source| source.downcast_ref::<reqwest::Error>()).is_some_and(reqwest::Error::is_connect)
}

/// An error and what caused it.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    let first: &(dyn StdError + 'static) = error;
    std::iter::successors(Some(first), |error| behind(*error))
}

/// The cause of an error. Of an I/O error that is what it wraps, which is not its `source`.
fn behind<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

/// What to look at if the server's certificate was refused.
fn certificate_hint(error: &reqwest::Error) -> Option<&'static str> {
    let rustls::Error::InvalidCertificate(why) =
        causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>())?
    else {
        return None;
    };
    Some(if explain::is_out_of_date(why) { explain::CLOCK } else { hints::UNTRUSTED })
}

/// The media type that errors without a form have.
const PLAIN: &str = "text/plain";

fn header_text<'a>(response: &'a Response, name: &header::HeaderName) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// `Retry-After` in either of its forms (RFC 9110, section 10.2.3).
pub(super) fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests;
