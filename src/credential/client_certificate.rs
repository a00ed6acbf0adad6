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
    /// What the certificate holds, unless it is a file, which is read anew each time.
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
        // Files too: what is wrong with them is told when somebody is there to read it.
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
mod tests {
    use super::*;
    use crate::credential::{
        Credential,
        certificate::tests::pair,
        test_server::{Reply, Server},
    };
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
    use rustls::pki_types::{CertificateDer, pem::PemObject};

    const AUDIENCE: &str = "https://login.microsoftonline.com/t/oauth2/v2.0/token";

    #[test]
    fn the_assertion_is_what_entra_asks_for() {
        let (cert, key) = pair();
        let der = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
        let pem = format!("{cert}{}", key.serialize_pem());
        let now = SystemTime::now();
        let assertion = |certificate: ClientCertificate| {
            certificate.load().ok().unwrap().assertion("app", AUDIENCE, now).unwrap().expose().to_owned()
        };
        let jwt = assertion(ClientCertificate::pem(pem.as_str()));

        let header = decode_header(&jwt).unwrap();
        assert_eq!((header.alg, header.typ.as_deref()), (Algorithm::PS256, Some("JWT")));
        assert_eq!(header.x5t_s256, Some(URL_SAFE_NO_PAD.encode(digest(&SHA256, &der))));
        assert_eq!(header.x5c, None);

        let mut rules = Validation::new(Algorithm::PS256);
        rules.set_audience(&[AUDIENCE]);
        rules.set_issuer(&["app"]);
        let public = DecodingKey::from_rsa_der(key.public_key_raw());
        let claims = decode::<Value>(&jwt, &public, &rules).unwrap().claims;
        let seconds = now.duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert_eq!(claims["sub"], "app");
        assert_eq!((&claims["nbf"], &claims["iat"]), (&json!(seconds), &json!(seconds)));
        assert_eq!(claims["exp"], seconds + 600);
        assert_eq!(claims["jti"].as_str().unwrap().split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);

        let again = assertion(ClientCertificate::pem(pem.as_str()).send_chain(true));
        assert_eq!(decode_header(&again).unwrap().x5c_der().unwrap(), Some(vec![der.to_vec()]));
        assert_ne!(decode::<Value>(&again, &public, &rules).unwrap().claims["jti"], claims["jti"]);
    }

    /// A clock that is hours off makes assertions of another time; Entra ID says so, and which time it is.
    #[tokio::test]
    async fn a_wrong_clock_is_corrected_by_the_refusal() {
        let (cert, key) = pair();
        let server = Server::start().await;
        let theirs = UNIX_EPOCH + Duration::from_secs(4_000_000_000);
        let text = "AADSTS700024: Client assertion is not within its valid time range.";
        let refusal = json!({"error": "invalid_client", "error_description": text, "error_codes": [700_024]});
        let date = ("Date".to_owned(), httpdate::fmt_http_date(theirs));
        server.reply(Reply { headers: vec![date], ..Reply::json(401, &refusal) });
        server.reply(Reply::token());

        let certificate = ClientCertificate::pem(format!("{cert}{}", key.serialize_pem()));
        let credential = Credential::client_certificate("app", certificate, "tenant").authority_host(server.url());
        credential.token_source().unwrap().fetch().await.unwrap();

        let begun = |request: &Value| {
            let assertion = request["form"]["client_assertion"].as_str().unwrap();
            let claims: Value = jsonwebtoken::dangerous::insecure_decode_claims(assertion).unwrap();
            claims["nbf"].as_u64().unwrap()
        };
        let times: Vec<_> = server.seen().iter().map(begun).collect();
        assert_eq!(times.len(), 2);
        assert!(times[0] < times[1], "the first one is of this machine's time: {times:?}");
        assert_eq!(times[1], 4_000_000_000);
    }
}
