//! Certificates and keys in PKCS#12, in all the forms that it comes in, and in none.

use super::*;
use crate::credential::certificate::{
    ClientCertificate,
    tests::{case, check, content, of_bytes, pair, problem},
};
use base64::engine::general_purpose::STANDARD;
use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
use proptest::prelude::*;
use rcgen::KeyPair;
use rustls::pki_types::pem::PemObject;
use std::{fs, path::Path, process::Command, sync::LazyLock};

fn pkcs12(cert_pem: &str, key: &KeyPair, password: &str) -> Vec<u8> {
    let der = CertificateDer::from_pem_slice(cert_pem.as_bytes()).unwrap();
    let key = PrivateKey::from_der(&key.serialize_der()).unwrap();
    let chain = PrivateKeyChain::new("1", key, [Certificate::from_der(&der).unwrap()]);
    let mut store = KeyStore::new();
    store.add_entry("app", KeyStoreEntry::PrivateKeyChain(chain));
    store.writer(password).encryption_iterations(10).mac_iterations(10).write().unwrap()
}

#[test]
fn every_way_in_gives_the_same_signer() {
    let (cert, key) = pair();
    let dir = tempfile::tempdir().unwrap();
    let pfx = pkcs12(&cert, &key, "pass");
    let file = |name: &str| {
        let path = dir.path().join(name);
        fs::write(&path, &pfx).unwrap();
        path
    };
    let expected = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
    for certificate in [
        ClientCertificate::pkcs12(pfx.clone(), "pass"),
        ClientCertificate::pkcs12_file(file("app.pfx"), "pass"),
        ClientCertificate::file(file("either.pfx"), "pass"),
        ClientCertificate::pkcs12(pkcs12(&cert, &key, ""), ""),
    ] {
        let signer = certificate.load().unwrap_or_else(|error| panic!("{certificate:?}: {error}"));
        assert_eq!(signer.certificate, expected, "{certificate:?}");
        assert!(signer.chain.is_none());
    }
}

#[test]
fn what_is_wrong_is_told_without_the_key() {
    let (cert, key) = pair();
    let key_pem = key.serialize_pem();
    let pfx = pkcs12(&cert, &key, "pass");
    let der = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
    for (certificate, expected) in [
        (ClientCertificate::pkcs12(pfx.clone(), "wrong"), "is PKCS#12 with another password"),
        (ClientCertificate::pkcs12(pfx.clone(), ""), "is PKCS#12 with another password"),
        (ClientCertificate::pkcs12(without_mac_bytes(&pfx), "wrong"), "its password may be another one"),
        (ClientCertificate::pkcs12(cert.as_bytes(), "pass"), "is not PKCS#12, but PEM"),
        (ClientCertificate::pkcs12(der.to_vec(), "pass"), "but a certificate in DER"),
        (ClientCertificate::pkcs12(key.serialize_der(), "pass"), "but a private key in DER"),
        (ClientCertificate::pem(STANDARD.encode(&pfx)), "there is no `-----BEGIN` line in it"),
        (ClientCertificate::pkcs12(b"garbage".to_vec(), "pass"), "is not PKCS#12"),
        (ClientCertificate::pkcs12(pfx[..pfx.len() / 2].to_vec(), "pass"), "is not PKCS#12"),
    ] {
        let problem = problem(&certificate);
        assert!(problem.starts_with("`client_certificate`") && problem.contains(expected), "{problem}");
        assert!(!problem.contains(key_pem.lines().nth(1).unwrap()));
    }
}

#[test]
fn what_openssl_reads_is_read() {
    let expected = case("p07_bom_cert_first.pem").load().ok().unwrap().certificate;
    for name in [
        "k01_default__pw.pfx",
        "k13_3des_sha1__pw.pfx",
        "k14_base64_text__.pfx",
        "k30_null_password_plain_mac__.pfx",
        "k33_ber_indefinite__pw.pfx",
    ] {
        let signer = case(name).load().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(signer.certificate, expected, "{name}");
    }
}

/// The same element with an indefinite length, and OCTET STRINGs in pieces; what is in those of the type `data` as
/// well.
fn ber(element: &Element<'_>) -> Vec<u8> {
    let pieces = |octets: &[u8], first: u8| {
        let pieces: Vec<u8> =
            octets.chunks(100).flat_map(|piece| ber::encode(&[ber::OCTETS], piece).to_vec()).collect();
        [&[first, 0x80][..], &pieces, &[0, 0]].concat()
    };
    match element.tag {
        ber::OCTETS => {
            let inner =
                Element::first(&element.octets()).filter(|inner| inner.tag == ber::SEQUENCE).map(|inner| ber(&inner));
            pieces(&inner.unwrap_or_else(|| element.octets().to_vec()), 0x24)
        }
        0x80 => pieces(element.bytes(), 0xa0),
        tag if tag & 0x20 != 0 => {
            let parts: Vec<u8> = element.parts().iter().flat_map(ber).collect();
            [&[tag, 0x80][..], &parts, &[0, 0]].concat()
        }
        _ => element.to_der(ber::Inside::AsItIs).to_vec(),
    }
}

#[test]
fn ber_is_read_however_deep_it_goes() {
    let (cert, key) = pair();
    let der = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
    let pfx = pkcs12(&cert, &key, "pass");
    // Its MAC is of other bytes then; without one, the password is the cipher's affair.
    let bare = without_mac_bytes(&pfx);
    let bytes = ber(&Element::first(&bare).unwrap());
    assert!(bytes.starts_with(&[0x30, 0x80]) && bytes.len() > bare.len());
    let certificate = |password| ClientCertificate::pkcs12(bytes.clone(), password);
    assert_eq!(certificate("pass").load().unwrap_or_else(|error| panic!("{error}")).certificate, der);
    assert!(problem(&certificate("wrong")).contains("its password may be another one"));
    // What follows it is nothing to anybody, as with OpenSSL.
    assert!(ClientCertificate::pkcs12([&pfx[..], b"\n"].concat(), "pass").load().is_ok());
}

#[test]
fn a_file_that_is_nested_without_end_does_not_use_up_the_stack() {
    let data = Element::first(&GOOD[1]).unwrap().parts()[1].parts()[0].to_der(ber::Inside::AsItIs);
    let (mut safe, mut octets) = (ber::encode(&[ber::SEQUENCE], &[]), ber::encode(&[ber::OCTETS], &[]));
    for _ in 0..3000 {
        let inner = ber::encode(&[ber::TAGGED], &ber::encode(&[ber::OCTETS], &safe));
        safe = ber::encode(&[ber::SEQUENCE], &[&data[..], &inner].concat());
        octets = ber::encode(&[ber::OCTETS], &octets);
    }
    let holding = |octets: &[u8]| {
        let inner = ber::encode(&[ber::TAGGED], &ber::encode(&[ber::OCTETS], octets));
        let safe = ber::encode(&[ber::SEQUENCE], &[&data[..], &inner].concat());
        ber::encode(&[ber::SEQUENCE], &[&[ber::INTEGER, 1, 3][..], &safe].concat())
    };
    let indefinite = [0x30, 0x80].repeat(100_000);
    for bytes in [holding(&safe).to_vec(), holding(&octets).to_vec(), indefinite] {
        assert!(problem(&ClientCertificate::pkcs12(bytes, "pass")).contains("PKCS#12"));
    }
}

/// With the ciphers that OpenSSL still makes, if it is asked to, and that are not read here.
#[test]
fn a_cipher_that_is_not_read_is_named_with_what_converts_it() {
    let openssl = |arguments: &str, dir: &Path| {
        let mut command = Command::new("openssl");
        let status = command.args(arguments.split(' ')).current_dir(dir).output().expect("openssl is needed").status;
        assert!(status.success(), "openssl {arguments}");
    };
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("app.pem"), &GOOD[0]).unwrap();
    for cipher in ["PBE-SHA1-RC4-128", "PBE-SHA1-2DES", "DES-EDE3-CBC", "CAMELLIA-256-CBC"] {
        let ciphers = format!("-legacy -keypbe {cipher} -certpbe {cipher}");
        openssl(&format!("pkcs12 -export -in app.pem -out app.pfx -passout pass:pw {ciphers}"), dir.path());
        let problem = problem(&ClientCertificate::file(dir.path().join("app.pfx"), "pw"));
        assert!(problem.contains(&format!("encrypted with {cipher}")), "{problem}");
        assert!(problem.contains("`openssl pkcs12 -in FILE -nodes -out app.pem`"), "{problem}");
        // That works.
        openssl("pkcs12 -in app.pfx -nodes -out new.pem -passin pass:pw -legacy", dir.path());
        assert!(ClientCertificate::pem_file(dir.path().join("new.pem")).load().is_ok());
    }
}

#[test]
fn no_password_is_not_the_empty_one_and_neither_is_another() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/certificates");
    let bytes = fs::read(path.join("k30_null_password_plain_mac__.pfx")).unwrap();
    assert!(ClientCertificate::pkcs12(bytes.clone(), "").load().is_ok());
    assert!(problem(&ClientCertificate::pkcs12(bytes.clone(), "x")).contains("another password"));
    // A MAC that fits nothing is damage, or another password: it is not skipped.
    let mut damaged = bytes;
    let last = damaged.len() - 20;
    damaged[last] ^= 1;
    assert!(problem(&ClientCertificate::pkcs12(damaged, "")).contains("another password"));
}

/// The archive, `SEQUENCE { version, content, mac OPTIONAL }`, without its MAC: damage to it is not found at once.
fn without_mac_bytes(pfx: &[u8]) -> Vec<u8> {
    // Both headers take four bytes here, and the version three.
    let content = 4 + usize::from(u16::from_be_bytes([pfx[9], pfx[10]]));
    let rest = &pfx[4..7 + content];
    let len = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [&[0x30, 0x82][..], &len, rest].concat()
}

/// A good certificate with its key, as PEM, and as PKCS#12 with a MAC and without; the password is `pass`.
static GOOD: LazyLock<[Vec<u8>; 3]> = LazyLock::new(|| {
    let (cert, key) = pair();
    let pfx = pkcs12(&cert, &key, "pass");
    let bare = without_mac_bytes(&pfx);
    [format!("{cert}{}", key.serialize_pem()).into_bytes(), pfx, bare]
});

#[test]
fn what_is_damaged_below_was_good() {
    for good in &*GOOD {
        assert!(of_bytes(good.clone()).load().is_ok());
    }
}

proptest! {
    #[test]
    fn whatever_is_in_a_file_is_a_certificate_or_an_error(bytes in content(&*GOOD)) {
        check(bytes)?;
    }
}
