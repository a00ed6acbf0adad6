//! A token request, as far as the endpoints look at it.

use base64::{Engine, engine::general_purpose::STANDARD};
use http_body_util::{BodyExt, Limited};
use hyper::{
    HeaderMap, Method, Request,
    body::Incoming,
    header::{AUTHORIZATION, HOST},
};
use reqwest::Url;
use std::{collections::HashMap, io};

/// A token request is a form of a few hundred bytes, or a few kilobytes with an assertion.
const LARGEST_REQUEST: usize = 64 << 10;

pub(super) struct TokenRequest {
    pub(super) method: Method,
    pub(super) https: bool,
    /// The form of a `POST`, the query of anything else.
    pub(super) parameters: HashMap<String, String>,
    pub(super) headers: HeaderMap,
}

impl TokenRequest {
    pub(super) async fn read(request: Request<Incoming>, url: &Url, https: bool) -> io::Result<Self> {
        let (parts, body) = request.into_parts();
        let body = Limited::new(body, LARGEST_REQUEST).collect().await.map_err(io::Error::other)?.to_bytes();
        let parameters =
            if parts.method == Method::POST { form(&body) } else { url.query_pairs().into_owned().collect() };
        Ok(Self { method: parts.method, https, parameters, headers: parts.headers })
    }

    /// The parameter's value; empty if there is none.
    pub(super) fn parameter(&self, name: &str) -> &str {
        self.parameters.get(name).map_or("", String::as_str)
    }

    /// The header's value; empty if there is none, or one that is not text.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The id and the password of the `Authorization` header, as they were before a form's encoding.
    pub(super) fn basic_authorization(&self) -> Option<(String, String)> {
        let encoded = self.header(AUTHORIZATION.as_str()).strip_prefix("Basic ")?;
        let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
        let (id, password) = text.split_once(':')?;
        // An ampersand begins another field; here it is part of the value.
        let fields =
            form(format!("id={}&password={}", id.replace('&', "%26"), password.replace('&', "%26")).as_bytes());
        Some((fields.get("id")?.clone(), fields.get("password")?.clone()))
    }

    /// The name and port by which the client knows this host.
    pub(super) fn host(&self) -> &str {
        self.header(HOST.as_str())
    }
}

pub(in crate::emulator) fn form(body: &[u8]) -> HashMap<String, String> {
    // The URL parser knows how a form is encoded.
    let query = String::from_utf8_lossy(body).into_owned();
    let url = Url::parse_with_params("http://emulator", [("", "")]).map(|mut url| {
        url.set_query(Some(&query));
        url.query_pairs().into_owned().collect()
    });
    url.unwrap_or_default()
}

#[cfg(test)]
impl TokenRequest {
    /// A `GET` without anything, to the host `emulator:1`.
    pub(super) fn get() -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, hyper::header::HeaderValue::from_static("emulator:1"));
        Self { method: Method::GET, https: false, parameters: HashMap::new(), headers }
    }

    pub(super) fn post() -> Self {
        Self { method: Method::POST, ..Self::get() }
    }

    pub(super) fn with(mut self, parameters: &[(&str, &str)]) -> Self {
        for (name, value) in parameters {
            self.parameters.insert((*name).to_owned(), (*value).to_owned());
        }
        self
    }

    pub(super) fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.headers
            .insert(name, hyper::header::HeaderValue::from_str(value).expect("a value that can stand in a header"));
        self
    }
}
