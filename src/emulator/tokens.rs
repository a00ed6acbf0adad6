//! The tokens that the emulated identity provider signs, and that the front verifies.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use rcgen::KeyPair;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    io,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

pub(super) const TENANT_ID: &str = "7e57e57e-0000-4000-8000-000000000001";
pub(super) const CLIENT_ID: &str = "7e57e57e-0000-4000-8000-000000000002";
pub(super) const OBJECT_ID: &str = "7e57e57e-0000-4000-8000-000000000003";
pub(super) const CLIENT_SECRET: &str = "emulator~client~secret~8Q.2kTz";
pub(super) const RESOURCE: &str = "https://redis.azure.com";
/// The resource's other name: the application id of Azure Cache for Redis.
pub(super) const RESOURCE_ID: &str = "acca5fbb-b7e4-4009-81f1-37e38fd66d78";
pub(super) const ISSUER: &str = "https://sts.windows.net/7e57e57e-0000-4000-8000-000000000001/";

pub(super) const USER_ASSIGNED_CLIENT_ID: &str = "7e57e57e-0000-4000-8000-000000000004";
pub(super) const USER_ASSIGNED_OBJECT_ID: &str = "7e57e57e-0000-4000-8000-000000000005";
pub(super) const USER_ASSIGNED_RESOURCE_ID: &str = "/subscriptions/7e57e57e-0000-4000-8000-000000000006/resourceGroups/\
     emulator/providers/Microsoft.ManagedIdentity/userAssignedIdentities/emulator";

/// What the endpoints of App Service, Service Fabric and Azure ML want to see in a header.
pub(super) const IDENTITY_HEADER: &str = "emulator~identity~header~5V.9xLw";

/// The audiences of assertions that are exchanged for tokens, in the public cloud, in US Government and in China.
pub(super) const TOKEN_EXCHANGE: [&str; 3] =
    ["api://AzureADTokenExchange", "api://AzureADTokenExchangeUSGov", "api://AzureADTokenExchangeChina"];

/// What a token says; by default what the token endpoint would say now.
///
/// For tests of code that reads tokens: without an `oid`, without an `exp`, for somebody else, expired.
#[derive(Clone, Debug)]
#[must_use]
pub struct TokenClaims {
    audience: String,
    client_id: &'static str,
    oid: Option<String>,
    expires: bool,
    lifetime: Option<Duration>,
    expired: bool,
    groups: Vec<String>,
    /// By how much the issuer's clock is ahead.
    ahead: Duration,
}

impl Default for TokenClaims {
    fn default() -> Self {
        Self {
            audience: RESOURCE.to_owned(),
            client_id: CLIENT_ID,
            oid: Some(OBJECT_ID.to_owned()),
            expires: true,
            lifetime: None,
            expired: false,
            groups: Vec::new(),
            ahead: Duration::ZERO,
        }
    }
}

impl TokenClaims {
    /// What the token endpoint would say now.
    pub fn new() -> Self {
        Self::default()
    }

    /// What an endpoint for managed identities would say of the user-assigned one.
    pub(super) fn user_assigned() -> Self {
        Self { client_id: USER_ASSIGNED_CLIENT_ID, ..Self::new().oid(USER_ASSIGNED_OBJECT_ID) }
    }

    /// For this resource, instead of Redis.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = audience.into();
        self
    }

    pub(super) fn resource(&self) -> &str {
        &self.audience
    }

    pub(super) fn client_id(&self) -> &'static str {
        self.client_id
    }

    /// For the principal with this object id.
    pub fn oid(mut self, oid: impl Into<String>) -> Self {
        self.oid = Some(oid.into());
        self
    }

    /// Without the `oid` claim.
    pub fn without_oid(mut self) -> Self {
        self.oid = None;
        self
    }

    /// Without the `exp` claim.
    pub fn without_exp(mut self) -> Self {
        self.expires = false;
        self
    }

    /// With this life from now on.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// With these groups, of which the principal is a member.
    pub fn groups(mut self, ids: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.groups = ids.into_iter().map(Into::into).collect();
        self
    }

    /// By a clock that is ahead of this machine's.
    pub(super) fn ahead(mut self, by: Duration) -> Self {
        self.ahead = by;
        self
    }

    /// The issuer's time.
    pub(super) fn now(&self) -> Duration {
        since_epoch(SystemTime::now()).saturating_add(self.ahead)
    }

    /// Expired an hour ago.
    pub fn expired(mut self) -> Self {
        self.expired = true;
        self
    }
}

#[derive(Deserialize, Serialize)]
struct IssuedClaims {
    aud: String,
    iss: String,
    iat: u64,
    nbf: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<u64>,
    appid: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    groups: Vec<String>,
    idtyp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    oid: Option<String>,
    sub: String,
    tid: String,
    uti: String,
    ver: String,
}

/// Why the front refuses a token, for its log only: a client learns no more than WRONGPASS.
pub(super) struct Refused;

/// The signing key of one emulator.
pub(super) struct Signer {
    encoding: EncodingKey,
    decoding: DecodingKey,
    issued: AtomicU64,
}

impl Signer {
    pub(super) fn generate() -> io::Result<Self> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        // The uncompressed point behind its one-byte tag, which jsonwebtoken takes as it is.
        Ok(Self {
            encoding: EncodingKey::from_ec_der(&key.serialize_der()),
            decoding: DecodingKey::from_ec_der(key.public_key_raw()),
            issued: AtomicU64::new(0),
        })
    }

    /// Signs a token; `lifetime` counts unless the claims have one. Returns it with its `exp`.
    ///
    /// `exp` is whole seconds, rounded up: a token lives at least as long as it is said to.
    pub(super) fn sign(&self, claims: &TokenClaims, lifetime: Duration) -> io::Result<(String, u64)> {
        let now = claims.now();
        let end = now.saturating_add(claims.lifetime.unwrap_or(lifetime));
        let exp = if claims.expired {
            now.as_secs().saturating_sub(3600)
        } else {
            end.as_secs().saturating_add(u64::from(end.subsec_nanos() > 0))
        };
        let subject = claims.oid.clone().unwrap_or_else(|| OBJECT_ID.to_owned());
        let body = IssuedClaims {
            aud: claims.audience.clone(),
            iss: ISSUER.to_owned(),
            iat: now.as_secs(),
            nbf: now.as_secs(),
            exp: claims.expires.then_some(exp),
            appid: claims.client_id.to_owned(),
            groups: claims.groups.clone(),
            idtyp: "app".to_owned(),
            oid: claims.oid.clone(),
            sub: subject,
            tid: TENANT_ID.to_owned(),
            uti: format!("token-{}", self.issued.fetch_add(1, Relaxed) + 1),
            ver: "1.0".to_owned(),
        };
        Ok((self.jwt(&body)?, exp))
    }

    /// Signs whatever is to be a JWT of this emulator.
    pub(super) fn jwt(&self, claims: &impl Serialize) -> io::Result<String> {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some("emulator".to_owned());
        encode(&header, claims, &self.encoding).map_err(io::Error::other)
    }

    /// What a JWT says, if it is one of this emulator's; whom it is for, and until when, is for the caller to look at.
    pub(super) fn read<T: DeserializeOwned>(&self, jwt: &str) -> Option<T> {
        let mut rules = Validation::new(Algorithm::ES256);
        rules.required_spec_claims.clear();
        rules.validate_exp = false;
        rules.validate_aud = false;
        Some(decode(jwt, &self.decoding, &rules).ok()?.claims)
    }

    /// When a token of `user` expires, if it is one of ours, for Redis, and still good.
    pub(super) fn verify(&self, user: &[u8], token: &[u8]) -> Result<SystemTime, Refused> {
        let mut rules = Validation::new(Algorithm::ES256);
        rules.leeway = 0;
        rules.set_audience(&[RESOURCE]);
        let claims = decode::<IssuedClaims>(token, &self.decoding, &rules).map_err(|_| Refused)?.claims;
        let expiry = UNIX_EPOCH.checked_add(Duration::from_secs(claims.exp.ok_or(Refused)?)).ok_or(Refused)?;
        let ours = claims.oid.is_some_and(|oid| oid.as_bytes() == user);
        if ours && expiry > SystemTime::now() { Ok(expiry) } else { Err(Refused) }
    }

    pub(super) fn issued(&self) -> u64 {
        self.issued.load(Relaxed)
    }
}

pub(super) fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests;
