//! Certificates and keys in PEM, in all its forms, and in none.

use super::*;
use base64::{Engine, engine::general_purpose::STANDARD};
use proptest::{collection::vec, prelude::*, sample::Index};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
use std::{path::Path, sync::LazyLock};

/// A certificate in PEM, and its key.
pub(in crate::credential) fn pair() -> (String, KeyPair) {
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let cert = CertificateParams::new(["app".to_owned()]).unwrap().self_signed(&key).unwrap();
    (cert.pem(), key)
}

pub(super) fn problem(certificate: &ClientCertificate) -> String {
    let Err(error) = certificate.load() else { panic!("accepted: {certificate:?}") };
    assert_eq!(error.kind(), crate::error::ErrorKind::Configuration);
    error.to_string()
}

/// The PKCS#1 inside of an RSA key's PKCS#8, which starts after a header of 26 bytes.
fn pkcs1_pem(key: &KeyPair) -> String {
    let text = STANDARD.encode(&key.serialize_der()[26..]);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----\n", lines.join("\n"))
}

#[test]
fn every_format_gives_the_same_signer() {
    let (cert, key) = pair();
    let (other_cert, _) = pair();
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let pkcs8 = format!("{cert}{}", key.serialize_pem());
    // The chain first, the key between, PKCS#1.
    let pkcs1 = format!("{other_cert}{}{cert}", pkcs1_pem(&key));
    let expected = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
    for certificate in [
        ClientCertificate::pem(pkcs8.as_str()),
        ClientCertificate::pem(pkcs1.as_str()),
        ClientCertificate::pem_file(file("app.pem", pkcs8.as_bytes())),
        ClientCertificate::file(file("either.pem", pkcs1.as_bytes()), "pass"),
    ] {
        let signer = certificate.load().unwrap_or_else(|error| panic!("{certificate:?}: {error}"));
        assert_eq!(signer.certificate, expected, "{certificate:?}");
        assert!(signer.chain.is_none());
    }
    let chain = ClientCertificate::pem(pkcs1).send_chain(true).load().ok().unwrap().chain.unwrap();
    assert_eq!(chain, [CertificateDer::from_pem_slice(other_cert.as_bytes()).unwrap()]);
}

#[test]
fn a_file_is_read_anew_and_its_absence_told() {
    let (cert, key) = pair();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.pem");
    let certificate = ClientCertificate::pem_file(&path);
    let problem = problem(&certificate);
    assert!(problem.contains("cannot be read from") && problem.contains("hint"), "{problem}");
    fs::write(&path, format!("{cert}{}", key.serialize_pem())).unwrap();
    assert!(certificate.load().is_ok());
}

#[test]
fn what_is_wrong_is_told_without_the_key() {
    let (cert, key) = pair();
    let (other_cert, _) = pair();
    let key_pem = key.serialize_pem();
    let elliptic = KeyPair::generate().unwrap();
    let elliptic_cert = CertificateParams::new(["app".to_owned()]).unwrap().self_signed(&elliptic).unwrap().pem();
    for (certificate, expected) in [
        (ClientCertificate::pem(""), "no PEM private key"),
        (ClientCertificate::pem(cert.as_str()), "no PEM private key"),
        (ClientCertificate::pem(key_pem.as_str()), "holds no certificate"),
        (ClientCertificate::pem(format!("{other_cert}{key_pem}")), "none of its certificates"),
        (ClientCertificate::pem(format!("{elliptic_cert}{}", elliptic.serialize_pem())), "not RSA"),
        (ClientCertificate::pem(format!("{cert}{}", key_pem.replace(" PRIVATE", " ENCRYPTED PRIVATE"))), "PKCS#12"),
        (ClientCertificate::pem(STANDARD.encode(key.serialize_der())), "there is no `-----BEGIN` line in it"),
    ] {
        let problem = problem(&certificate);
        assert!(problem.starts_with("`client_certificate`") && problem.contains(expected), "{problem}");
        assert!(!problem.contains(key_pem.lines().nth(1).unwrap()));
    }
}

/// Files that OpenSSL reads, or that other programs write; the password stands after the two underscores of the name.
pub(super) fn case(name: &str) -> ClientCertificate {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/certificates").join(name);
    let password =
        path.file_stem().and_then(|stem| stem.to_str()?.split_once("__")).map_or("", |(_, password)| password);
    ClientCertificate::file(&path, password)
}

#[test]
fn what_openssl_reads_is_read() {
    let [first, other] = ["p07_bom_cert_first.pem", "p08_bom_key_first.pem"].map(|name| {
        let signer = case(name).load().unwrap_or_else(|error| panic!("{name}: {error}"));
        signer.certificate
    });
    assert_eq!(first, other);
}

#[test]
fn what_is_not_read_is_called_by_its_name() {
    for (name, expected) in [
        ("p09_utf16.pem", &["UTF-16", "iconv"][..]),
        ("p21_encrypted_traditional.pem", &["encrypted", "traditional", "`openssl pkey"]),
    ] {
        let problem = problem(&case(name));
        assert!(
            expected.iter().all(|part| problem.contains(part)) && !problem.contains("PKCS#12,"),
            "{name}: {problem}"
        );
    }
}

#[test]
fn debug_shows_neither_key_nor_password() {
    let (cert, key) = pair();
    let pem = format!("{cert}{}", key.serialize_pem());
    for certificate in [ClientCertificate::pem(pem.as_str()), ClientCertificate::pkcs12(pem.as_bytes(), "s3cr3t")] {
        let shown = format!("{certificate:?}");
        assert!(!shown.contains("s3cr3t") && !shown.contains("MII"), "{shown}");
    }
}

/// In a build that does not read PKCS#12, whatever asks for it says how to come by it.
#[cfg(not(feature = "pkcs12"))]
#[test]
fn pkcs12_is_told_the_feature_that_reads_it() {
    let bytes = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/certificates/k01_default__pw.pfx"));
    for certificate in
        [case("k01_default__pw.pfx"), case("k14_base64_text__.pfx"), ClientCertificate::pkcs12(bytes.unwrap(), "pw")]
    {
        let problem = problem(&certificate);
        assert!(problem.contains("feature `pkcs12`") && problem.contains("openssl pkcs12"), "{problem}");
    }
    // A file of either format is read if it is PEM.
    assert!(case("p07_bom_cert_first.pem").load().is_ok());
}

/// A good certificate with its key.
static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let (cert, key) = pair();
    format!("{cert}{}", key.serialize_pem()).into_bytes()
});

pub(super) fn of_bytes(bytes: Vec<u8>) -> ClientCertificate {
    ClientCertificate::of(ClientCertificate::bytes(bytes), Format::Either(Secret::new("pass")))
}

/// One of the good ones with damage or cut short, what looks like PEM, and anything.
pub(super) fn content(good: &'static [Vec<u8>]) -> impl Strategy<Value = Vec<u8>> {
    let good = || (0..good.len()).prop_map(|which| good[which].clone());
    let damage = |(mut bytes, places): (Vec<u8>, Vec<(Index, u8)>)| {
        for (at, change) in places {
            let at = at.index(bytes.len());
            bytes[at] ^= change;
        }
        bytes
    };
    let cut = |(mut bytes, at): (Vec<u8>, Index)| {
        bytes.truncate(at.index(bytes.len()));
        bytes
    };
    let marks = "(-----(BEGIN|END) (CERTIFICATE|PRIVATE KEY|RSA PRIVATE KEY)-----\r?\n|[A-Za-z0-9+/=]{0,64}\n){0,12}";
    prop_oneof![
        4 => (good(), vec((any::<Index>(), 1..=u8::MAX), 1..4)).prop_map(damage),
        1 => (good(), any::<Index>()).prop_map(cut),
        1 => marks.prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..300),
    ]
}

#[test]
fn what_is_damaged_below_was_good() {
    assert!(of_bytes(GOOD.clone()).load().is_ok());
}

/// Whatever these bytes are, they are a certificate or an error.
pub(super) fn check(bytes: Vec<u8>) -> Result<(), TestCaseError> {
    for certificate in [of_bytes(bytes.clone()), ClientCertificate::pkcs12(bytes, "pass")] {
        if let Err(error) = certificate.load() {
            prop_assert_eq!(error.kind(), crate::error::ErrorKind::Configuration);
            prop_assert!(error.to_string().starts_with("`client_certificate`"), "{}", error);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn whatever_is_in_a_file_is_a_certificate_or_an_error(bytes in content(std::slice::from_ref(&*GOOD))) {
        check(bytes)?;
    }
}
