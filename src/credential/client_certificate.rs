//! An app registration with a certificate: a signed assertion says who asks.

use super::{
    certificate::{ClientCertificate, Signer},
    process_env::ProcessEnv,
    token_endpoint::TokenEndpoint,
};
use crate::{
    error::{Error, ErrorKind},
    secret::Secret,
    token::{TokenFuture, TokenSource},
    uuid,
};
use aws_lc_rs::digest::{SHA256, digest};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rustls::SignatureScheme;
use serde_json::{Value, json};
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Entra ID accepts assertions of a few minutes; each is used once, at once.
const ASSERTION_LIFETIME: Duration = Duration::from_secs(600);

pub(super) struct ClientCertificateSource {
    endpoint: TokenEndpoint,
    certificate: ClientCertificate,
    /// What the certificate holds, unless it is a file, which is read again each time.
    loaded: Option<Arc<Signer>>,
    clock: fn() -> SystemTime,
}

impl ClientCertificateSource {
    pub(super) const NAME: &'static str = "service-principal-certificate";

    pub(super) fn new(
        endpoint: TokenEndpoint,
        certificate: ClientCertificate,
        env: &ProcessEnv,
    ) -> Result<Self, Error> {
        // Files too, so that `connect` tells what is wrong with them.
        let signer = certificate.load()?;
        let loaded = (!certificate.is_file()).then(|| Arc::new(signer));
        Ok(Self { endpoint, certificate, loaded, clock: env.clock })
    }

    /// Made at this time; by default it is what this machine's clock says.
    async fn assertion(&self, time: Option<SystemTime>) -> Result<Secret, Error> {
        let signer = if let Some(signer) = &self.loaded {
            Arc::clone(signer)
        } else {
            let certificate = self.certificate.clone();
            // Reading blocks, and a PKCS#12 file is slow to decrypt on purpose.
            let reading = tokio::task::spawn_blocking(move || certificate.load());
            Arc::new(reading.await.map_err(|_| Error::config("client_certificate", "could not be read"))??)
        };
        signer.assertion(self.endpoint.client_id(), self.endpoint.url(), time.unwrap_or_else(self.clock))
    }
}

impl TokenSource for ClientCertificateSource {
    fn fetch(&self) -> TokenFuture<'_> {
        Box::pin(self.endpoint.token_for_assertion(move |time| self.assertion(time)))
    }
}

impl Signer {
    /// A JWT, signed with PS256, by which the certificate's owner says to `audience` that `client_id` asks.
    fn assertion(&self, client_id: &str, audience: &str, now: SystemTime) -> Result<Secret, Error> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let thumbprint = URL_SAFE_NO_PAD.encode(digest(&SHA256, &self.certificate));
        let mut header = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint});
        if let Some(chain) = &self.chain {
            let all = std::iter::once(&self.certificate).chain(chain);
            header["x5c"] = all.map(|certificate| Value::from(STANDARD.encode(certificate))).collect();
        }
        let id = uuid::random()
            .map_err(|_| Error::new(ErrorKind::CredentialUnavailable, "this machine gives no random numbers"))?;
        let claims = json!({
            "aud": audience,
            "iss": client_id,
            "sub": client_id,
            "jti": id,
            "nbf": now.as_secs(),
            "iat": now.as_secs(),
            "exp": (now + ASSERTION_LIFETIME).as_secs(),
        });
        let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let message = format!("{}.{}", part(&header), part(&claims));
        let signature = self
            .key
            .choose_scheme(&[SignatureScheme::RSA_PSS_SHA256])
            .and_then(|signer| signer.sign(message.as_bytes()).ok())
            .ok_or_else(|| Error::new(ErrorKind::Configuration, "`client_certificate` holds a key that cannot sign"))?;
        Ok(Secret::new(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }
}

#[cfg(test)]
mod tests;
