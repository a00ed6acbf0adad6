//! The application's certificates, and the assertions that it signs with their keys.

mod jwt;

use crate::{
    emulator::{aadsts, answers::Refusal, certs, tokens::since_epoch},
    lock::lock,
};
use aws_lc_rs::{
    digest::{Algorithm as Hash, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest},
    signature::{
        ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
    },
};
use jwt::{AssertionClaims, Header, Jwt};
use rustls::{
    pki_types::{CertificateDer, pem::PemObject},
    server::ParsedCertificate,
};
use std::{io, sync::Mutex, time::SystemTime};

pub(in crate::emulator) use jwt::issuer;

/// Five to ten minutes are what the documentation asks for; clocks may differ by a few.
const LONGEST_LIFE: f64 = 900.0;

/// How far the clock of a client may be ahead.
const CLOCK_SKEW: f64 = 300.0;

#[derive(Default)]
pub(super) struct AppCertificates {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    registered: Vec<Registered>,
    own: Option<String>,
}

struct Registered {
    der: CertificateDer<'static>,
    /// Its `SubjectPublicKeyInfo`.
    key: Vec<u8>,
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
    /// audiences, now. The same one may come again: MSAL sends it until it is about to expire.
    pub(super) fn check(&self, assertion: &str, client_id: &str, audiences: &[String]) -> Result<(), Refusal> {
        let jwt = Jwt::read(assertion).ok_or_else(|| aadsts::refusal(50_027, ""))?;
        let header: Header = jwt.header().ok_or_else(|| aadsts::refusal(50_027, ""))?;
        let algorithm: &'static dyn VerificationAlgorithm = match header.alg.as_str() {
            "PS256" => &RSA_PSS_2048_8192_SHA256,
            "RS256" => &RSA_PKCS1_2048_8192_SHA256,
            _ => return Err(aadsts::refusal(700_027, "The algorithm is neither PS256 nor RS256.")),
        };
        let state = lock(&self.state);
        let registered = state.registered.iter().find(|registered| registered.is_named_by(&header));
        let registered = registered.ok_or_else(|| aadsts::refusal(700_027, "The key was not found."))?;
        let key = UnparsedPublicKey::new(algorithm, &registered.key);
        if key.verify(jwt.message(), jwt.signature()).is_err() {
            let reason = "The key was found, but use of the key to verify the signature failed.";
            return Err(aadsts::refusal(700_027, reason));
        }
        let claims: AssertionClaims = jwt.claims().ok_or_else(|| aadsts::refusal(50_027, ""))?;
        if ![&claims.iss, &claims.sub].iter().all(|id| id.eq_ignore_ascii_case(client_id)) {
            return Err(aadsts::refusal(700_021, ""));
        }
        if !audiences.iter().any(|audience| claims.aud.is(audience)) {
            return Err(aadsts::refusal(700_023, ""));
        }
        let now = since_epoch(SystemTime::now()).as_secs_f64();
        let begun = claims.nbf.is_none_or(|begin| begin <= now + CLOCK_SKEW);
        // Texts may be `NaN`, of which neither is true.
        let lives = claims.exp > now && claims.exp <= now + LONGEST_LIFE;
        if !begun || !lives {
            return Err(aadsts::refusal(700_024, ""));
        }
        Ok(())
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
        Ok(Self { key: key.to_vec(), der })
    }

    fn has_thumbprint(&self, hash: &'static Hash, thumbprint: &[u8]) -> bool {
        digest(hash, &self.der).as_ref() == thumbprint
    }

    /// Whether the header names this certificate, by a thumbprint or by the chain that begins with it; what else it
    /// says of it has to be right, too.
    fn is_named_by(&self, header: &Header) -> bool {
        let named = match header {
            Header { x5t_s256: Some(thumbprint), .. } => self.has_thumbprint(&SHA256, &thumbprint.0),
            Header { x5t: Some(thumbprint), .. } => self.has_thumbprint(&SHA1_FOR_LEGACY_USE_ONLY, &thumbprint.0),
            Header { kid: Some(kid), x5c: None, .. } => {
                let thumbprints = jwt::thumbprints(kid);
                thumbprints.iter().any(|thumbprint| self.has_thumbprint(&SHA1_FOR_LEGACY_USE_ONLY, thumbprint))
            }
            Header { x5c, .. } => x5c.is_some(),
        };
        named && header.x5c.as_ref().is_none_or(|chain| chain.first().is_some_and(|der| **der == *self.der))
    }
}

#[cfg(test)]
mod tests;
