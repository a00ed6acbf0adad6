//! Certificates and keys in all the formats that they come in, and in none.

use super::{ber::Element, *};
use base64::{Engine, engine::general_purpose::STANDARD};
use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
use proptest::{collection::vec, prelude::*, sample::Index};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
use std::sync::LazyLock;

/// A certificate in PEM, and its key.
pub(in crate::credential) fn pair() -> (String, KeyPair) {
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let cert = CertificateParams::new(["app".to_owned()]).unwrap().self_signed(&key).unwrap();
    (cert.pem(), key)
}

fn problem(certificate: &ClientCertificate) -> String {
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

fn pkcs12(cert_pem: &str, key: &KeyPair, password: &str) -> Vec<u8> {
    let der = CertificateDer::from_pem_slice(cert_pem.as_bytes()).unwrap();
    let key = PrivateKey::from_der(&key.serialize_der()).unwrap();
    let chain = PrivateKeyChain::new("1", key, [Certificate::from_der(&der).unwrap()]);
    let mut store = KeyStore::new();
    store.add_entry("app", KeyStoreEntry::PrivateKeyChain(chain));
    store.writer(password).encryption_iterations(10).mac_iterations(10).write().unwrap()
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
    let pfx = pkcs12(&cert, &key, "pass");
    let password = || Secret::new("pass");
    let expected = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
    for certificate in [
        ClientCertificate::pem(pkcs8.as_str()),
        ClientCertificate::pem(pkcs1.as_str()),
        ClientCertificate::pem_file(file("app.pem", pkcs8.as_bytes())),
        ClientCertificate::pkcs12(pfx.clone(), "pass"),
        ClientCertificate::pkcs12_file(file("app.pfx", &pfx), "pass"),
        ClientCertificate::file(file("either.pem", pkcs1.as_bytes()), password()),
        ClientCertificate::file(file("either.pfx", &pfx), password()),
        ClientCertificate::pkcs12(pkcs12(&cert, &key, ""), ""),
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
    let pfx = pkcs12(&cert, &key, "pass");
    let der = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
    for (certificate, expected) in [
        (ClientCertificate::pem(""), "no PEM private key"),
        (ClientCertificate::pem(cert.as_str()), "no PEM private key"),
        (ClientCertificate::pem(key_pem.as_str()), "holds no certificate"),
        (ClientCertificate::pem(format!("{other_cert}{key_pem}")), "none of its certificates"),
        (ClientCertificate::pem(format!("{elliptic_cert}{}", elliptic.serialize_pem())), "not RSA"),
        (ClientCertificate::pem(format!("{cert}{}", key_pem.replace(" PRIVATE", " ENCRYPTED PRIVATE"))), "PKCS#12"),
        (ClientCertificate::pkcs12(pfx.clone(), "wrong"), "is PKCS#12 with another password"),
        (ClientCertificate::pkcs12(pfx.clone(), ""), "is PKCS#12 with another password"),
        (ClientCertificate::pkcs12(without_mac(&pfx), "wrong"), "its password may be another one"),
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

/// Files that OpenSSL reads, or that other programs write; the password stands after the two underscores of the name.
fn case(name: &str) -> ClientCertificate {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/certificates").join(name);
    let password =
        path.file_stem().and_then(|stem| stem.to_str()?.split_once("__")).map_or("", |(_, password)| password);
    ClientCertificate::file(&path, password)
}

#[test]
fn what_openssl_reads_is_read() {
    let expected = case("k01_default__pw.pfx").load().ok().unwrap().certificate;
    for name in [
        "k13_3des_sha1__pw.pfx",
        "k14_base64_text__.pfx",
        "k30_null_password_plain_mac__.pfx",
        "k33_ber_indefinite__pw.pfx",
        "p07_bom_cert_first.pem",
        "p08_bom_key_first.pem",
    ] {
        let signer = case(name).load().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(signer.certificate, expected, "{name}");
    }
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
    let bare = without_mac(&pfx);
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
    let openssl = |arguments: &str, dir: &std::path::Path| {
        let mut command = std::process::Command::new("openssl");
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
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/certificates");
    let bytes = fs::read(path.join("k30_null_password_plain_mac__.pfx")).unwrap();
    assert!(ClientCertificate::pkcs12(bytes.clone(), "").load().is_ok());
    assert!(problem(&ClientCertificate::pkcs12(bytes.clone(), "x")).contains("another password"));
    // A MAC that fits nothing is damage, or another password: it is not skipped.
    let mut damaged = bytes;
    let last = damaged.len() - 20;
    damaged[last] ^= 1;
    assert!(problem(&ClientCertificate::pkcs12(damaged, "")).contains("another password"));
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

/// The archive, `SEQUENCE { version, content, mac OPTIONAL }`, without its MAC: damage to it is not found at once.
fn without_mac(pfx: &[u8]) -> Vec<u8> {
    // Both headers take four bytes here, and the version three.
    let content = 4 + usize::from(u16::from_be_bytes([pfx[9], pfx[10]]));
    let rest = &pfx[4..7 + content];
    let len = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [&[0x30, 0x82][..], &len, rest].concat()
}

/// A good certificate with its key, as PEM and as PKCS#12 with a MAC and without; the password is `pass`.
static GOOD: LazyLock<[Vec<u8>; 3]> = LazyLock::new(|| {
    let (cert, key) = pair();
    let pfx = pkcs12(&cert, &key, "pass");
    let bare = without_mac(&pfx);
    [format!("{cert}{}", key.serialize_pem()).into_bytes(), pfx, bare]
});

fn of_bytes(bytes: Vec<u8>) -> ClientCertificate {
    ClientCertificate::of(ClientCertificate::bytes(bytes), Format::Either(Secret::new("pass")))
}

/// Good ones with damage or cut short, what looks like PEM, and anything.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let good = || (0..GOOD.len()).prop_map(|which| GOOD[which].clone());
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
    for good in &*GOOD {
        assert!(of_bytes(good.clone()).load().is_ok());
    }
}

proptest! {
    #[test]
    fn whatever_is_in_a_file_is_a_certificate_or_an_error(bytes in content()) {
        for certificate in [of_bytes(bytes.clone()), ClientCertificate::pkcs12(bytes, "pass")] {
            if let Err(error) = certificate.load() {
                prop_assert_eq!(error.kind(), crate::error::ErrorKind::Configuration);
                prop_assert!(error.to_string().starts_with("`client_certificate`"), "{}", error);
            }
        }
    }
}
