//! The identity provider's HTTP server, which tells its endpoints by their paths.

use super::{Endpoint, Identity, arc, request::TokenRequest};
use crate::emulator::{
    aadsts,
    accept::accept,
    answers::{self, Answer},
    tokens::TENANT_ID,
};
use hyper::{
    Method, Request,
    body::Incoming,
    header::{AUTHORIZATION, HOST},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use reqwest::Url;
use serde_json::json;
use std::{io, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

/// Microsoft Entra ID's own name.
pub(super) const PUBLIC_CLOUD: &str = "https://login.microsoftonline.com";

/// A client that connects and does not ask is not waited for longer.
const PATIENCE: Duration = Duration::from_secs(30);

impl Identity {
    /// Serves requests, over http and https on the same port, until it is dropped.
    pub(in crate::emulator) async fn serve(self, listener: TcpListener, tls: TlsAcceptor) {
        let mut connections = JoinSet::new();
        loop {
            let stream = accept(&listener).await;
            connections.spawn(self.clone().connection(stream, tls.clone()));
            // Those that are through are not kept.
            while connections.try_join_next().is_some() {}
        }
    }

    /// Serves one connection. Why it ended is its client's business, who sees it close.
    async fn connection(self, stream: TcpStream, tls: TlsAcceptor) {
        /// The first byte of a TLS handshake.
        const HANDSHAKE: u8 = 22;
        let mut first = [0];
        let Ok(Ok(_)) = timeout(PATIENCE, stream.peek(&mut first)).await else {
            return;
        };
        let https = first[0] == HANDSHAKE;
        let service = service_fn(move |request| {
            let identity = self.clone();
            async move { identity.respond(request, https).await }
        });
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
        if https {
            if let Ok(Ok(stream)) = timeout(PATIENCE, tls.accept(stream)).await {
                _ = http.serve_connection(TokioIo::new(stream), service).await;
            }
        } else {
            _ = http.serve_connection(TokioIo::new(stream), service).await;
        }
    }

    /// Answers one request; an error closes the connection without an answer.
    async fn respond(&self, request: Request<Incoming>, https: bool) -> io::Result<Answer> {
        let url = Url::parse("http://emulator")
            .and_then(|base| base.join(&request.uri().to_string()))
            .map_err(io::Error::other)?;
        let segments: Vec<_> = url.path().split('/').filter(|segment| !segment.is_empty()).collect();
        let endpoint = match (request.method(), segments.as_slice()) {
            (&Method::POST, [tenant, "oauth2", "v2.0", "token"]) => Endpoint::Tenant((*tenant).to_owned()),
            (&Method::GET, ["metadata", "identity", "oauth2", "token"]) => Endpoint::Metadata,
            (&Method::GET | &Method::POST, ["msi", "token"]) => Endpoint::Msi,
            (&Method::GET, [tenant, "v2.0", ".well-known", "openid-configuration"]) => {
                return Ok(match known_tenant(tenant) {
                    Some(tenant) => answers::json(200, &answers::openid_configuration(&base(&request, https), tenant)),
                    None => aadsts::refusal(90_002, tenant).into_answer(),
                });
            }
            (&Method::GET, ["common", "discovery", "instance"]) => {
                let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).filter(|_| https);
                return Ok(answers::json(200, &answers::instance_discovery(&base(&request, https), host)));
            }
            _ => return Ok(answers::json(404, &json!({"error": "not_found"}))),
        };
        let fault = self.next_fault(!is_challenged(&request, &url));
        let request = TokenRequest::read(request, &url, https).await?;
        self.answer(&endpoint, &request, fault).await
    }
}

/// The URL by which clients know this host.
fn base(request: &Request<Incoming>, https: bool) -> String {
    match request.headers().get(HOST).and_then(|host| host.to_str().ok()) {
        Some(host) if https => format!("https://{host}"),
        // Clients that demand https get here through an http client of theirs which maps Entra's name to ours.
        _ => PUBLIC_CLOUD.to_owned(),
    }
}

/// The tenant as Microsoft Entra ID writes it; none if there is no such tenant.
fn known_tenant(tenant: &str) -> Option<&'static str> {
    let known = [TENANT_ID, "common", "organizations", "consumers"];
    known.into_iter().find(|known| known.eq_ignore_ascii_case(tenant))
}

/// Whether it is the first of the two requests that Azure Arc wants for a token.
fn is_challenged(request: &Request<Incoming>, url: &Url) -> bool {
    let arc = url.query_pairs().any(|(name, value)| name == "api-version" && value == arc::API_VERSION);
    arc && !request.headers().contains_key(AUTHORIZATION)
}
