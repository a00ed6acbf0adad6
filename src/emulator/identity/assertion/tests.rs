use super::*;
use crate::emulator::tokens::CLIENT_ID;
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, Header};
use rcgen::KeyPair;
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde_json::{Value, json};
use std::sync::LazyLock;

const ENDPOINT: &str = "https://emulator:1/tenant/oauth2/v2.0/token";

/// RSA keys take long to make: one registered certificate, and one that is not, for all tests.
static OURS: LazyLock<(AppCertificates, Signing)> = LazyLock::new(|| {
    let certificates = AppCertificates::default();
    let signing = Signing::of(&certificates.own());
    (certificates, signing)
});
static STRANGER: LazyLock<Signing> = LazyLock::new(|| Signing::of(&certs::application().unwrap()));

struct Signing {
    key: RsaKeyPair,
    der: CertificateDer<'static>,
}

impl Signing {
    fn of(pem: &str) -> Self {
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).unwrap();
        Self {
            key: RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap(),
            der: CertificateDer::from_pem_slice(pem.as_bytes()).unwrap(),
        }
    }

    fn header(&self) -> Header {
        let mut header = Header::new(Algorithm::PS256);
        header.x5t_s256 = Some(URL_SAFE_NO_PAD.encode(digest(&SHA256, &self.der)));
        header
    }

    fn sha1(&self) -> Vec<u8> {
        digest(&SHA1_FOR_LEGACY_USE_ONLY, &self.der).as_ref().to_vec()
    }

    fn sha256(&self) -> Vec<u8> {
        digest(&SHA256, &self.der).as_ref().to_vec()
    }

    fn sign(&self, header: &Header, claims: &Value) -> String {
        self.sign_json(&serde_json::to_value(header).unwrap(), claims)
    }

    fn sign_json(&self, header: &Value, claims: &Value) -> String {
        let encoding: &'static dyn RsaEncoding =
            if header["alg"] == "RS256" { &RSA_PKCS1_SHA256 } else { &RSA_PSS_SHA256 };
        let header = URL_SAFE_NO_PAD.encode(header.to_string());
        let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(encoding, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// The claims of a good assertion, with these changes; `null` takes one away.
fn claims(changes: &Value) -> Value {
    let now = since_epoch(SystemTime::now()).as_secs();
    let mut claims = json!({
        "iss": CLIENT_ID, "sub": CLIENT_ID, "aud": ENDPOINT, "jti": crate::uuid::random().unwrap(),
        "nbf": now, "iat": now, "exp": now + 600,
    });
    let fields = claims.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        fields.insert(name.clone(), value.clone());
    }
    fields.retain(|_, value| !value.is_null());
    claims
}

fn check(assertion: &str) -> Result<(), Refusal> {
    OURS.0.check(assertion, CLIENT_ID, &[ENDPOINT.to_owned()])
}

#[track_caller]
fn refused(assertion: &str, code: u64) {
    let refusal = check(assertion).unwrap_err();
    assert_eq!(refusal.code(), Some(code), "{refusal:?}");
}

#[test]
fn assertions_of_a_registered_certificate_are_accepted() {
    let ours = &OURS.1;
    assert!(check(&ours.sign(&ours.header(), &claims(&json!({})))).is_ok());

    let mut old = Header::new(Algorithm::RS256);
    old.x5t = Some(URL_SAFE_NO_PAD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &ours.der)));
    assert!(check(&ours.sign(&old, &claims(&json!({})))).is_ok());

    let mut with_chain = ours.header();
    with_chain.x5c = Some(vec![STANDARD.encode(&ours.der)]);
    assert!(check(&ours.sign(&with_chain, &claims(&json!({})))).is_ok());
}

/// Header and claims as each library writes them.
#[test]
fn every_library_s_way_of_writing_one_is_taken() {
    let ours = &OURS.1;
    let now = since_epoch(SystemTime::now()).as_secs();
    let (sha1, sha256) = (ours.sha1(), ours.sha256());
    let hex = sha1.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().concat();
    let der = STANDARD.encode(&ours.der);
    let fraction = since_epoch(SystemTime::now()).as_secs_f64() + 600.5;
    for (library, header, changes) in [
        (
            "azure-identity for Python",
            json!({"alg": "RS256", "typ": "JWT", "x5t": URL_SAFE.encode(&sha1)}),
            json!({"nbf": null, "iat": fraction - 600.0, "exp": fraction}),
        ),
        (
            "MSAL for Python",
            json!({"alg": "PS256", "typ": "JWT", "x5t#S256": URL_SAFE.encode(&sha256), "x5c": [&der]}),
            json!({"nbf": null, "iat": fraction - 600.0, "exp": fraction}),
        ),
        (
            "MSAL for Node",
            json!({"alg": "PS256", "typ": "JWT", "x5t#S256": URL_SAFE_NO_PAD.encode(&sha256)}),
            json!({}),
        ),
        (
            "MSAL.NET",
            json!({"alg": "PS256", "typ": "JWT", "x5t#S256": URL_SAFE_NO_PAD.encode(&sha256), "x5c": &der}),
            json!({"iat": null, "nbf": now.to_string(), "exp": (now + 600).to_string()}),
        ),
        (
            "MSAL.NET as it was",
            json!({"alg": "RS256", "typ": "JWT", "x5t": URL_SAFE_NO_PAD.encode(&sha1)}),
            json!({"nbf": now.to_string(), "exp": (now + 600).to_string()}),
        ),
        (
            "MSAL for Go",
            json!({"alg": "RS256", "typ": "JWT", "x5t": STANDARD.encode(&sha1)}),
            json!({"iat": null, "nbf": now.to_string(), "exp": (now + 300).to_string()}),
        ),
        (
            "MSAL for Java",
            json!({"alg": "RS256", "x5t#S256": URL_SAFE_NO_PAD.encode(&sha256), "x5c": [&der]}),
            json!({"aud": [ENDPOINT]}),
        ),
        ("Microsoft.IdentityModel", json!({"alg": "RS256", "kid": hex, "typ": "JWT"}), json!({})),
        ("a thumbprint as the key's id", json!({"alg": "RS256", "kid": URL_SAFE_NO_PAD.encode(&sha1)}), json!({})),
        ("the chain alone", json!({"alg": "PS256", "x5c": [&der]}), json!({})),
        ("capitals", json!({"alg": "PS256", "x5c": [&der]}), json!({"iss": CLIENT_ID.to_uppercase()})),
        // Its clock is ahead.
        ("a fast clock", json!({"alg": "PS256", "x5c": [&der]}), json!({"nbf": now + 60})),
    ] {
        let checked = check(&ours.sign_json(&header, &claims(&changes)));
        assert!(checked.is_ok(), "{library}: {checked:?}");
    }
}

#[test]
fn a_wrong_signature_is_700027() {
    let (ours, stranger) = (&OURS.1, &*STRANGER);
    let good = claims(&json!({}));
    // Unknown, and known but signed by somebody else.
    refused(&stranger.sign(&stranger.header(), &good), 700_027);
    refused(&stranger.sign(&ours.header(), &good), 700_027);
    refused(&ours.sign(&Header::new(Algorithm::PS256), &good), 700_027);

    let mut other_chain = ours.header();
    other_chain.x5c = Some(vec![STANDARD.encode(&stranger.der)]);
    refused(&ours.sign(&other_chain, &good), 700_027);
    other_chain.x5c = Some(vec!["%".to_owned()]);
    refused(&ours.sign(&other_chain, &good), 50_027);

    // What a header says of the certificate has to be right, and one thing at least has to be said.
    for header in [
        json!({"alg": "RS256", "x5t": URL_SAFE.encode(stranger.sha1())}),
        json!({"alg": "RS256", "x5t": URL_SAFE.encode(ours.sha256())}),
        json!({"alg": "RS256", "kid": "emulator"}),
        json!({"alg": "RS256", "kid": "é"}),
        json!({"alg": "RS256", "x5c": []}),
        json!({"alg": "PS256", "x5c": STANDARD.encode(&stranger.der)}),
        json!({"alg": "PS384", "x5t": URL_SAFE.encode(ours.sha1())}),
        json!({"alg": "none", "x5t": URL_SAFE.encode(ours.sha1())}),
    ] {
        refused(&ours.sign_json(&header, &good), 700_027);
    }

    let mut other_algorithm = ours.header();
    other_algorithm.alg = Algorithm::PS512;
    refused(&ours.sign(&other_algorithm, &good), 700_027);
}

#[test]
fn claims_are_checked_each_with_its_own_number() {
    let ours = &OURS.1;
    let now = since_epoch(SystemTime::now()).as_secs();
    for (change, code) in [
        (json!({"iss": "somebody-else"}), 700_021),
        (json!({"sub": "somebody-else"}), 700_021),
        (json!({"aud": "https://emulator:1/other/oauth2/v2.0/token"}), 700_023),
        (json!({"aud": "https://login.microsoftonline.com/tenant/oauth2/v2.0/token"}), 700_023),
        (json!({"exp": now - 1}), 700_024),
        (json!({"exp": now + 3600}), 700_024),
        (json!({"nbf": now + 600}), 700_024),
        (json!({"aud": [ENDPOINT, "elsewhere"]}), 700_023),
        (json!({"exp": "soon"}), 50_027),
        (json!({"jti": null}), 50_027),
        (json!({"exp": null}), 50_027),
        (json!({"aud": null}), 50_027),
    ] {
        refused(&ours.sign(&ours.header(), &claims(&change)), code);
    }
    for malformed in ["", "a.b", "a.b.c", "e30.e30.e30"] {
        refused(malformed, 50_027);
    }
}

/// MSAL keeps one until it is about to expire.
#[test]
fn an_assertion_is_good_until_it_expires() {
    let ours = &OURS.1;
    let assertion = ours.sign(&ours.header(), &claims(&json!({})));
    assert!(check(&assertion).is_ok() && check(&assertion).is_ok());
}

#[test]
fn certificates_of_other_makers_can_be_registered() {
    let certificates = AppCertificates::default();
    let pem = certs::application().unwrap();
    let signing = Signing::of(&pem);
    let audiences = [ENDPOINT.to_owned()];
    let signed = || signing.sign(&signing.header(), &claims(&json!({})));
    assert_eq!(certificates.check(&signed(), CLIENT_ID, &audiences).unwrap_err().code(), Some(700_027));
    certificates.register(&pem).unwrap();
    assert!(certificates.check(&signed(), CLIENT_ID, &audiences).is_ok());

    let elliptic = rcgen::CertificateParams::default().self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
    for wrong in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", elliptic.as_str()] {
        assert_eq!(certificates.register(wrong).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}

#[test]
fn the_application_keeps_its_certificate() {
    let certificates = &OURS.0;
    assert_eq!(certificates.own(), certificates.own());
    assert_eq!(lock(&certificates.state).registered.len(), 1);
}

#[test]
fn times_that_are_no_numbers_are_refused_and_null_is_none() {
    let ours = &OURS.1;
    for (claim, time) in [("exp", "NaN"), ("exp", "inf"), ("exp", "-inf"), ("nbf", "NaN"), ("nbf", "inf")] {
        refused(&ours.sign(&ours.header(), &claims(&json!({ claim: time }))), 700_024);
    }
    let mut without = claims(&json!({}));
    without["nbf"] = Value::Null;
    assert!(check(&ours.sign(&ours.header(), &without)).is_ok());
    without["exp"] = Value::Null;
    refused(&ours.sign(&ours.header(), &without), 50_027);
}
