//! Microsoft Entra ID's token endpoint and the Instance Metadata Service, on a loopback port.

use super::{
    answers::{self, Answer, Form},
    faults::IdentityFault,
    tokens::{CLIENT_ID, CLIENT_SECRET, RESOURCE, Signer, TENANT_ID, TokenClaims},
};
use crate::lock::lock;
use http_body_util::{BodyExt, Limited};
use hyper::{Method, Request, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use reqwest::Url;
use serde_json::json;
use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

/// A token request is a form of a few hundred bytes, or a few kilobytes with an assertion.
const LARGEST_REQUEST: usize = 64 << 10;

/// Microsoft Entra ID's own name.
const PUBLIC_CLOUD: &str = "https://login.microsoftonline.com";

/// The scope's other name: the application id of Azure Cache for Redis.
const RESOURCE_ID: &str = "acca5fbb-b7e4-4009-81f1-37e38fd66d78";

/// The emulated identity provider: what it has been asked, and what it shall do wrong.
#[derive(Clone)]
pub struct Identity {
    shared: Arc<Shared>,
}

struct Shared {
    signer: Arc<Signer>,
    settings: Mutex<Settings>,
    requests: AtomicU64,
}

struct Settings {
    lifetime: Duration,
    script: VecDeque<IdentityFault>,
    standing: Option<IdentityFault>,
    last: Option<(String, u64)>,
}

impl Identity {
    pub(super) fn new(signer: Arc<Signer>, lifetime: Duration) -> Self {
        let settings = Settings { lifetime, script: VecDeque::new(), standing: None, last: None };
        let shared = Shared { signer, settings: Mutex::new(settings), requests: AtomicU64::new(0) };
        Self { shared: Arc::new(shared) }
    }

    /// Token requests seen so far, the failed ones included.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Relaxed)
    }

    /// Tokens signed so far.
    #[must_use]
    pub fn tokens_issued(&self) -> u64 {
        self.shared.signer.issued()
    }

    /// Lets the next token requests go wrong, one each, in this order, after those scripted before.
    pub fn script(&self, faults: impl IntoIterator<Item = IdentityFault>) {
        lock(&self.shared.settings).script.extend(faults);
    }

    /// Lets every token request go wrong, once the script is used up; `None` ends that.
    pub fn fault_all(&self, fault: Option<IdentityFault>) {
        lock(&self.shared.settings).standing = fault;
    }

    /// The life of the tokens from now on.
    pub fn set_token_lifetime(&self, lifetime: Duration) {
        lock(&self.shared.settings).lifetime = lifetime;
    }

    /// A token, as the token endpoint would give it out now.
    ///
    /// # Errors
    ///
    /// If it cannot be signed.
    pub fn issue_token(&self) -> io::Result<String> {
        self.issue_token_with(&TokenClaims::new())
    }

    /// A token that says something else.
    ///
    /// # Errors
    ///
    /// If it cannot be signed.
    pub fn issue_token_with(&self, claims: &TokenClaims) -> io::Result<String> {
        let lifetime = lock(&self.shared.settings).lifetime;
        self.shared.signer.sign(claims, lifetime).map(|(token, _)| token)
    }

    /// Serves requests, over http and https on the same port, until it is dropped.
    pub(super) async fn serve(self, listener: TcpListener, tls: TlsAcceptor) {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
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
        let peeked = stream.peek(&mut first).await;
        let scheme = if first[0] == HANDSHAKE { "https" } else { "http" };
        let service = service_fn(move |request| {
            let identity = self.clone();
            async move { identity.respond(request, scheme).await }
        });
        let http = hyper::server::conn::http1::Builder::new();
        if peeked.is_ok() && scheme == "https" {
            if let Ok(stream) = tls.accept(stream).await {
                _ = http.serve_connection(TokioIo::new(stream), service).await;
            }
        } else {
            _ = http.serve_connection(TokioIo::new(stream), service).await;
        }
    }

    /// Answers one request; an error closes the connection without an answer.
    async fn respond(&self, request: Request<Incoming>, scheme: &str) -> io::Result<Answer> {
        let url = Url::parse("http://emulator")
            .and_then(|base| base.join(&request.uri().to_string()))
            .map_err(io::Error::other)?;
        let segments: Vec<_> = url.path().split('/').filter(|segment| !segment.is_empty()).collect();
        match (request.method(), segments.as_slice()) {
            (&Method::POST, [tenant, "oauth2", "v2.0", "token"]) => {
                let fault = self.next_fault();
                let body =
                    Limited::new(request.into_body(), LARGEST_REQUEST).collect().await.map_err(io::Error::other)?;
                let refusal = refuse_grant(tenant, &form(&body.to_bytes()));
                self.answer(Form::TokenEndpoint, fault, refusal).await
            }
            (&Method::GET, ["metadata", "identity", "oauth2", "token"]) => {
                let fault = self.next_fault();
                let query: HashMap<_, _> = url.query_pairs().into_owned().collect();
                let metadata = request.headers().get("Metadata").is_some_and(|value| value == "true");
                self.answer(Form::Imds, fault, refuse_imds(metadata, &query)).await
            }
            (&Method::GET, [tenant, "v2.0", ".well-known", "openid-configuration"]) => {
                let host = request.headers().get("host").and_then(|host| host.to_str().ok());
                let base = match host {
                    Some(host) if scheme == "https" => format!("https://{host}"),
                    // Clients that demand https get here through an http client of theirs which maps Entra's name to ours.
                    _ => PUBLIC_CLOUD.to_owned(),
                };
                Ok(answers::json(200, &answers::openid_configuration(&base, tenant)))
            }
            (&Method::GET, ["common", "discovery", "instance"]) => {
                Ok(answers::json(200, &answers::instance_discovery()))
            }
            _ => Ok(answers::json(404, &json!({"error": "not_found"}))),
        }
    }

    fn next_fault(&self) -> Option<IdentityFault> {
        self.shared.requests.fetch_add(1, Relaxed);
        let mut settings = lock(&self.shared.settings);
        settings.script.pop_front().or_else(|| settings.standing.clone())
    }

    /// Lets the request go wrong, or refuses it, or answers it with a token.
    async fn answer(&self, form: Form, fault: Option<IdentityFault>, refusal: Option<Answer>) -> io::Result<Answer> {
        match &fault {
            Some(IdentityFault::Hang) => std::future::pending().await,
            Some(IdentityFault::Reset) => return Err(io::Error::other("a scripted reset")),
            Some(IdentityFault::Slow(delay)) => tokio::time::sleep(*delay).await,
            _ => {}
        }
        if let Some(answer) = fault.as_ref().and_then(IdentityFault::answer).or(refusal) {
            return Ok(answer);
        }
        self.token(form, fault.as_ref())
    }

    fn token(&self, form: Form, fault: Option<&IdentityFault>) -> io::Result<Answer> {
        use IdentityFault as Fault;
        let claims = TokenClaims::new();
        let claims = match fault {
            Some(Fault::NearExpiry(left)) => claims.lifetime(*left),
            Some(Fault::Expired) => claims.expired(),
            Some(Fault::NoExp) => claims.without_exp(),
            Some(Fault::NoOid) => claims.without_oid(),
            _ => claims,
        };
        let mut settings = lock(&self.shared.settings);
        let (token, exp) = match (fault, settings.last.take()) {
            (Some(Fault::SameToken), Some(last)) => last,
            _ => self.shared.signer.sign(&claims, settings.lifetime)?,
        };
        settings.last = Some((token.clone(), exp));
        let token = if matches!(fault, Some(Fault::Malformed)) { "not-a-jwt".to_owned() } else { token };
        let exp = (!matches!(fault, Some(Fault::NoExp | Fault::NoExpiresIn))).then_some(exp);
        Ok(answers::success(form, &token, exp))
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("requests", &self.requests()).finish_non_exhaustive()
    }
}

fn form(body: &[u8]) -> HashMap<String, String> {
    // The URL parser knows how a form is encoded.
    let query = String::from_utf8_lossy(body).into_owned();
    let url = Url::parse_with_params("http://emulator", [("", "")]).map(|mut url| {
        url.set_query(Some(&query));
        url.query_pairs().into_owned().collect()
    });
    url.unwrap_or_default()
}

/// What Microsoft Entra ID has against a client credentials grant; none if it is in order.
fn refuse_grant(tenant: &str, form: &HashMap<String, String>) -> Option<Answer> {
    let field = |name: &str| form.get(name).map_or("", String::as_str);
    let scope = field("scope").strip_suffix("/.default").map(|resource| resource.trim_end_matches('/'));
    let problem = if tenant != TENANT_ID {
        (400, "invalid_request", 90_002, format!("Tenant '{tenant}' not found."))
    } else if field("grant_type") != "client_credentials" {
        (400, "unsupported_grant_type", 70_003, "The app requested an unsupported grant type.".to_owned())
    } else if field("client_id") != CLIENT_ID {
        let id = field("client_id");
        (
            400,
            "unauthorized_client",
            700_016,
            format!("Application with identifier '{id}' was not found in the directory."),
        )
    } else if field("client_secret") != CLIENT_SECRET {
        return Some(answers::wrong_secret());
    } else if !matches!(scope, Some(RESOURCE | RESOURCE_ID)) {
        (400, "invalid_scope", 70_011, "The provided value for the input parameter 'scope' is not valid.".to_owned())
    } else {
        return None;
    };
    let (status, error, aadsts, text) = problem;
    Some(answers::entra_error(status, error, aadsts, &text))
}

/// What IMDS has against a request; none if it is in order.
fn refuse_imds(metadata: bool, query: &HashMap<String, String>) -> Option<Answer> {
    let field = |name: &str| query.get(name).map_or("", String::as_str);
    let resource = field("resource").trim_end_matches('/');
    let problem = if !metadata {
        "Required metadata header not specified"
    } else if field("api-version").is_empty() {
        "Required query variable 'api-version' is missing"
    } else if resource != RESOURCE && resource != RESOURCE_ID {
        "AADSTS500011: The resource principal was not found in the tenant."
    } else if ["client_id", "object_id", "msi_res_id"].iter().any(|name| query.contains_key(*name)) {
        "Identity not found"
    } else {
        return None;
    };
    Some(answers::json(400, &json!({"error": "invalid_request", "error_description": problem})))
}
