//! Microsoft Entra ID's token endpoint and Azure's endpoints for managed identities, on a loopback port.

mod arc;
pub(super) mod assertion;
mod entra;
mod federated;
mod imds;
mod managed;
mod msi;
pub(super) mod request;
mod server;

use super::{
    answers::{self, Answer, Form, Refusal},
    expires_on::ExpiresOn,
    faults::IdentityFault,
    tokens::{Signer, TokenClaims},
};
use crate::lock::lock;
use arc::KeyFiles;
use assertion::AppCertificates;
use hyper::header::DATE;
use request::TokenRequest;
use std::{
    collections::VecDeque,
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

/// The emulated identity provider: what it has been asked, and what it shall do wrong.
#[derive(Clone)]
pub struct Identity {
    shared: Arc<Shared>,
}

struct Shared {
    signer: Arc<Signer>,
    settings: Mutex<Settings>,
    certificates: AppCertificates,
    arc: Mutex<KeyFiles>,
    requests: AtomicU64,
}

/// What a request is answered with, unless something is to go wrong.
#[derive(Debug)]
struct Grant {
    form: Form,
    claims: TokenClaims,
}

/// The endpoints that give out tokens.
enum Endpoint {
    /// Microsoft Entra ID's, of this tenant.
    Tenant(String),
    /// The Instance Metadata Service's, or Azure Arc's.
    Metadata,
    /// Those of the hosting services.
    Msi,
}

struct Settings {
    lifetime: Duration,
    expires_on: ExpiresOn,
    script: VecDeque<IdentityFault>,
    standing: Option<IdentityFault>,
    last: Option<(String, u64)>,
    groups: Vec<String>,
    ahead: Duration,
}

impl Identity {
    pub(super) fn new(signer: Arc<Signer>, lifetime: Duration) -> Self {
        let settings = Settings {
            lifetime,
            expires_on: ExpiresOn::default(),
            script: VecDeque::new(),
            standing: None,
            last: None,
            groups: Vec::new(),
            ahead: Duration::ZERO,
        };
        let shared = Shared {
            signer,
            settings: Mutex::new(settings),
            certificates: AppCertificates::default(),
            arc: Mutex::default(),
            requests: AtomicU64::new(0),
        };
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

    /// The groups that tokens name from now on, of which their principal is a member.
    pub fn set_groups(&self, ids: impl IntoIterator<Item = impl Into<String>>) {
        lock(&self.shared.settings).groups = ids.into_iter().map(Into::into).collect();
    }

    /// By how much its clock is ahead of this machine's, from now on: in the dates of its answers and of its tokens.
    pub fn set_clock_ahead(&self, by: Duration) {
        lock(&self.shared.settings).ahead = by;
    }

    /// How the endpoints for managed identities say, from now on, when a token expires.
    pub fn expires_on_format(&self, format: ExpiresOn) {
        lock(&self.shared.settings).expires_on = format;
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

    pub(super) fn client_certificate_pem(&self) -> String {
        self.shared.certificates.own()
    }

    pub(super) fn register_certificate(&self, pem: &str) -> io::Result<()> {
        self.shared.certificates.register(pem)
    }

    pub(super) fn federated_token(&self, lifetime: Duration) -> String {
        federated::issue(&self.shared.signer, lifetime).expect("the key that signs access tokens signs this")
    }

    pub(super) fn arc_key_dir(&self, directory: PathBuf) {
        lock(&self.shared.arc).directory = Some(directory);
    }

    /// The next thing to go wrong; a request that can get no token yet leaves what is about tokens to its successor.
    fn next_fault(&self, gets_token: bool) -> Option<IdentityFault> {
        self.shared.requests.fetch_add(1, Relaxed);
        let mut settings = lock(&self.shared.settings);
        if !gets_token && settings.script.front().is_some_and(IdentityFault::alters_token) {
            return None;
        }
        settings.script.pop_front().or_else(|| settings.standing.clone())
    }

    /// Lets a token request go wrong, or refuses it, or answers it with a token.
    async fn answer(
        &self,
        endpoint: &Endpoint,
        request: &TokenRequest,
        fault: Option<IdentityFault>,
    ) -> io::Result<Answer> {
        match &fault {
            Some(IdentityFault::Hang) => std::future::pending().await,
            Some(IdentityFault::Reset) => return Err(io::Error::other("a scripted reset")),
            Some(IdentityFault::Slow(delay)) => tokio::time::sleep(*delay).await,
            _ => {}
        }
        let mut answer = match fault.as_ref().and_then(IdentityFault::answer) {
            Some(answer) => answer,
            None => match self.grant(endpoint, request) {
                Ok(grant) => self.token(grant, fault.as_ref())?,
                Err(refusal) => refusal.into_answer(),
            },
        };
        let ahead = lock(&self.shared.settings).ahead;
        if !ahead.is_zero()
            && let Ok(date) = httpdate::fmt_http_date(SystemTime::now() + ahead).parse()
        {
            answer.headers_mut().insert(DATE, date);
        }
        Ok(answer)
    }

    fn grant(&self, endpoint: &Endpoint, request: &TokenRequest) -> Result<Grant, Refusal> {
        match endpoint {
            Endpoint::Tenant(tenant) => entra::grant(tenant, request, &self.shared.signer, &self.shared.certificates),
            Endpoint::Metadata if request.parameter("api-version") == arc::API_VERSION => {
                arc::grant(request, &self.shared.arc)
            }
            Endpoint::Metadata => imds::grant(request),
            Endpoint::Msi => msi::grant(request),
        }
    }

    fn token(&self, grant: Grant, fault: Option<&IdentityFault>) -> io::Result<Answer> {
        use IdentityFault as Fault;
        let Grant { form, claims } = grant;
        let claims = match fault {
            Some(Fault::NearExpiry(left)) => claims.lifetime(*left),
            Some(Fault::Expired) => claims.expired(),
            Some(Fault::NoExp) => claims.without_exp(),
            Some(Fault::NoOid) => claims.without_oid(),
            _ => claims,
        };
        let mut settings = lock(&self.shared.settings);
        let claims = claims.groups(settings.groups.clone()).ahead(settings.ahead);
        let (token, exp) = match (fault, settings.last.take()) {
            (Some(Fault::SameToken), Some(last)) => last,
            _ => self.shared.signer.sign(&claims, settings.lifetime)?,
        };
        settings.last = Some((token.clone(), exp));
        let token = if matches!(fault, Some(Fault::Malformed)) { "not-a-jwt".to_owned() } else { token };
        let exp = (!matches!(fault, Some(Fault::NoExp | Fault::NoExpiresIn))).then_some(exp);
        Ok(answers::success(form, &token, &claims, exp, settings.expires_on))
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("requests", &self.requests()).finish_non_exhaustive()
    }
}
