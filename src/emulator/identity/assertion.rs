//! The application's certificates, and the assertions that it signs with their keys.

use crate::{
    emulator::{aadsts, answers::Refusal, certs, tokens::since_epoch},
    lock::lock,
};
use aws_lc_rs::{
    digest::{Algorithm as Hash, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest},
    signature::{ParsedPublicKey, RSA_PSS_2048_8192_SHA256},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header, errors::ErrorKind};
use rustls::{
    pki_types::{CertificateDer, pem::PemObject},
    server::ParsedCertificate,
};
use serde::Deserialize;
use std::{collections::HashMap, io, sync::Mutex, time::SystemTime};

/// Five to ten minutes are what the documentation asks for; clocks may differ by a few.
const LONGEST_LIFE: f64 = 900.0;

#[derive(Default)]
pub(super) struct AppCertificates {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    registered: Vec<Registered>,
    own: Option<String>,
    /// The `jti` of assertions that have been used, with the ends of their lives.
    used: HashMap<String, f64>,
}

struct Registered {
    der: CertificateDer<'static>,
    key: DecodingKey,
}

/// Times may have fractions (RFC 7519, section 2).
#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    jti: String,
    exp: f64,
    nbf: Option<f64>,
}

impl AppCertificates {
    /// A certificate and its key in PEM, made and registered when it is first asked for: not every emulator needs one.
    pub(super) fn own(&self) -> String {
        let mut state = lock(&self.state);
        if let Some(pem) = &state.own {
            return pem.clone();
        }
        let (pem, registered) = certs::application()
            .and_then(|pem| Registered::parse(&pem).map(|registered| (pem, registered)))
            .expect("a certificate of fixed parameters can be made, and read again");
        state.registered.push(registered);
        state.own = Some(pem.clone());
        pem
    }

    pub(super) fn register(&self, pem: &str) -> io::Result<()> {
        let registered = Registered::parse(pem)?;
        lock(&self.state).registered.push(registered);
        Ok(())
    }

    /// Refuses an assertion that a registered certificate's key has not signed, for this application and one of these
    /// audiences, now, for the first time.
    pub(super) fn check(&self, assertion: &str, client_id: &str, audiences: &[String]) -> Result<(), Refusal> {
        let header = decode_header(assertion).map_err(|_| aadsts::refusal(50_027, ""))?;
        if !matches!(header.alg, Algorithm::PS256 | Algorithm::RS256) {
            return Err(aadsts::refusal(700_027, "The algorithm is neither PS256 nor RS256."));
        }
        let mut state = lock(&self.state);
        let registered = state.registered.iter().find(|registered| registered.is_named_by(&header));
        let registered = registered.ok_or_else(|| aadsts::refusal(700_027, "The key was not found."))?;
        let claims = registered.verify(assertion, header.alg)?;
        if claims.iss != client_id || claims.sub != client_id {
            return Err(aadsts::refusal(700_021, ""));
        }
        if !audiences.contains(&claims.aud) {
            return Err(aadsts::refusal(700_023, ""));
        }
        let now = since_epoch(SystemTime::now()).as_secs_f64();
        let begun = claims.nbf.is_none_or(|begin| begin <= now);
        if !begun || claims.exp <= now || claims.exp > now + LONGEST_LIFE {
            return Err(aadsts::refusal(700_024, ""));
        }
        state.used.retain(|_, end| *end > now);
        match state.used.insert(claims.jti, claims.exp) {
            None => Ok(()),
            Some(_) => Err(aadsts::refusal(50_013, "its 'jti' has been used before")),
        }
    }
}

impl Registered {
    /// Of a PEM's first certificate. What the PEM holds besides, a key perhaps, shows in no error.
    fn parse(pem: &str) -> io::Result<Self> {
        let problem = |text: &str| io::Error::new(io::ErrorKind::InvalidInput, text.to_owned());
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| problem("the PEM has no certificate"))?;
        let key = ParsedCertificate::try_from(&der)
            .map_err(|_| problem("the certificate cannot be read"))?
            .subject_public_key_info();
        ParsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, &key)
            .map_err(|_| problem("the certificate's key is not RSA"))?;
        Ok(Self { key: DecodingKey::from_rsa_der(&key), der })
    }

    fn thumbprint(&self, hash: &'static Hash) -> String {
        URL_SAFE_NO_PAD.encode(digest(hash, &self.der))
    }

    /// Whether the header names this certificate by its thumbprint; a chain, if it has one, begins with it, too.
    fn is_named_by(&self, header: &Header) -> bool {
        let named = match (&header.x5t_s256, &header.x5t) {
            (Some(thumbprint), _) => *thumbprint == self.thumbprint(&SHA256),
            (None, Some(thumbprint)) => *thumbprint == self.thumbprint(&SHA1_FOR_LEGACY_USE_ONLY),
            (None, None) => false,
        };
        let chain = header.x5c_der();
        named && chain.is_ok_and(|chain| chain.is_none_or(|chain| chain.first().is_some_and(|der| **der == *self.der)))
    }

    fn verify(&self, assertion: &str, algorithm: Algorithm) -> Result<Claims, Refusal> {
        let mut rules = Validation::new(algorithm);
        rules.required_spec_claims.clear();
        rules.validate_exp = false;
        rules.validate_aud = false;
        match decode(assertion, &self.key, &rules) {
            Ok(token) => Ok(token.claims),
            Err(error) if matches!(error.kind(), ErrorKind::InvalidSignature) => {
                Err(aadsts::refusal(700_027, "The key was found, but use of the key to verify the signature failed."))
            }
            Err(_) => Err(aadsts::refusal(50_027, "")),
        }
    }
}

#[cfg(test)]
mod tests;
