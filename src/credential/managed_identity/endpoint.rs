//! One request that only somebody on the machine can send: what every place asks for, each with its own names.

use super::ManagedIdentity;
use crate::{
    credential::{
        authority::{base_url, without_query},
        http::{self, Client, HttpAnswer, Proxy},
        token_response::{self, Issuer},
    },
    error::Error,
    secret::Secret,
    token::{AccessToken, TokenFuture, TokenSource},
};
use reqwest::{
    RequestBuilder, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};

/// An endpoint that gives out the tokens of managed identities. Never through a proxy: it is on this machine, or next
/// to it.
pub(super) struct Endpoint {
    client: Client,
    url: Url,
    parameters: Vec<(&'static str, String)>,
    /// Whether the parameters are a form, and the request a `POST`.
    form: bool,
    headers: HeaderMap,
    secret: Option<Secret>,
    /// The client id or object id that is asked for, in whose place there may be a secret by mistake.
    id: String,
    issuer: Issuer,
    source: &'static str,
}

impl Endpoint {
    /// `setting` names the address in errors; `source` is what the tokens are said to come from.
    pub(super) fn new(setting: &str, address: &str, source: &'static str) -> Result<Self, Error> {
        // None of these endpoints has a certificate.
        let url = base_url(setting, address, "http")?;
        let client = http::client(Proxy::Never, url.scheme() == "https")?;
        Ok(Self::over(client, url, source))
    }

    /// With a client that is set up already.
    pub(super) fn over(client: Client, url: Url, source: &'static str) -> Self {
        Self {
            client,
            url,
            parameters: Vec::new(),
            form: false,
            headers: HeaderMap::new(),
            secret: None,
            id: String::new(),
            issuer: Issuer::Machine,
            source,
        }
    }

    pub(super) fn path(mut self, path: &str) -> Self {
        self.url.set_path(path);
        self
    }

    pub(super) fn issuer(mut self, issuer: Issuer) -> Self {
        self.issuer = issuer;
        self
    }

    /// Puts the parameters into a form.
    pub(super) fn form(mut self) -> Self {
        self.form = true;
        self
    }

    pub(super) fn parameter(mut self, name: &'static str, value: &str) -> Self {
        self.parameters.push((name, value.to_owned()));
        self
    }

    /// Selects the identity; `names` are what the place calls client id, object id and resource id.
    pub(super) fn select(mut self, identity: &ManagedIdentity, names: [&'static str; 3]) -> Self {
        if let ManagedIdentity::UserAssignedClientId(id) | ManagedIdentity::UserAssignedObjectId(id) = identity {
            id.clone_into(&mut self.id);
        }
        match identity.selector(names) {
            Some((name, id)) => self.parameter(name, id),
            None => self,
        }
    }

    pub(super) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        self
    }

    /// A header that shows that the caller can read this process's environment; `setting` names it in errors.
    pub(super) fn secret_header(mut self, setting: &str, name: &'static str, value: &str) -> Result<Self, Error> {
        self.headers.insert(HeaderName::from_static(name), sensitive(value, setting)?);
        self.secret = Some(Secret::new(value));
        Ok(self)
    }

    /// For errors.
    pub(super) fn url(&self) -> &str {
        without_query(&self.url)
    }

    /// The request without its headers.
    pub(super) fn bare(&self) -> RequestBuilder {
        if self.form {
            self.client.post(self.url.clone()).form(&self.parameters)
        } else {
            self.client.get(self.url.clone()).query(&self.parameters)
        }
    }

    pub(super) fn request(&self) -> RequestBuilder {
        self.bare().headers(self.headers.clone())
    }

    /// An answer, with what errors must not show of the request.
    pub(super) fn answered(&self, answer: HttpAnswer) -> HttpAnswer {
        let answer = answer.of(&self.id);
        match &self.secret {
            Some(secret) => answer.to(secret),
            None => answer,
        }
    }

    /// What an answer to [`request`](Self::request) says.
    pub(super) fn read(&self, answer: HttpAnswer) -> Result<AccessToken, Error> {
        let answer = self.answered(answer);
        token_response::token(&answer, self.url(), self.issuer).map(|token| token.sourced_from(self.source))
    }

    pub(super) async fn token(&self) -> Result<AccessToken, Error> {
        let answer = http::send(self.request(), self.url()).await?;
        self.read(answer)
    }
}

impl TokenSource for Endpoint {
    fn fetch(&self) -> TokenFuture<'_> {
        Box::pin(self.token())
    }
}

/// A header's value that does not show itself.
pub(super) fn sensitive(value: &str, setting: &str) -> Result<HeaderValue, Error> {
    // The source is left out: it is about the value.
    let mut value =
        HeaderValue::from_str(value).map_err(|_| Error::config(setting, "cannot be the value of an HTTP header"))?;
    value.set_sensitive(true);
    Ok(value)
}
