//! Settings that work, and settings that are wrong.

use super::*;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use std::fs;

fn pair() -> (String, String) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (cert.pem(), signing_key.serialize_pem())
}

fn problem(tls: &Tls) -> String {
    let Err(error) = tls.build("localhost") else { panic!("accepted: {tls:?}") };
    assert_eq!(error.kind(), crate::error::ErrorKind::Configuration);
    error.to_string()
}

#[test]
fn mutual_tls_is_a_line_each() {
    let (cert, key) = pair();
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let tls = Tls::new()
        .ca_file(file("ca.pem", &cert))
        .client_cert_file(file("user.crt", &cert))
        .client_key_file(file("user.key", &key));
    assert!(matches!(tls.build("localhost"), Ok(Transport::Tls { .. })));
    assert!(matches!(Tls::new().ca_pem(cert).build("10.0.0.1"), Ok(Transport::Tls { .. })));
}

#[test]
fn a_bundle_is_as_good_as_its_best_certificate() {
    let (cert, key) = pair();
    let unusable = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let damaged = "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n";
    let latin_1 = b"# Autorit\xe9 de certification\n";
    let bundle = [&latin_1[..], unusable.as_bytes(), damaged.as_bytes(), cert.as_bytes()].concat();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    fs::write(&file, &bundle).unwrap();
    for tls in [Tls::new().ca_pem(bundle), Tls::new().ca_file(file)] {
        assert!(matches!(tls.build("localhost"), Ok(Transport::Tls { .. })));
    }
    let problem = problem(&Tls::new().ca_pem(unusable));
    assert!(problem.starts_with("`tls.ca` holds no certificate that is a trust anchor"), "{problem}");
    // Of a certificate of one's own, all of it counts.
    let own = Tls::new().ca_pem(&cert).client_cert_pem(format!("{damaged}{cert}")).client_key_pem(key);
    assert!(self::problem(&own).starts_with("`tls.client_cert` is not valid PEM"));
}

#[test]
fn byte_order_marks_are_looked_past_and_what_is_odd_is_named() {
    let (cert, key) = pair();
    let marked = |text: &str| format!("\u{feff}{text}");
    let bundle = format!("{}{}", marked(&cert), marked(&pair().0));
    let mutual = Tls::new().ca_pem(&bundle).client_cert_pem(marked(&cert)).client_key_pem(marked(&key));
    assert!(matches!(mutual.build("localhost"), Ok(Transport::Tls { .. })));
    assert_eq!(Pem::Bytes(Zeroizing::new(bundle.into_bytes())).roots().unwrap().len(), 2);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    fs::write(&file, marked(&cert)).unwrap();
    assert!(matches!(Tls::new().ca_file(file).build("localhost"), Ok(Transport::Tls { .. })));

    let utf16: Vec<u8> = marked(&cert).encode_utf16().flat_map(u16::to_le_bytes).collect();
    let traditional = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n\
                       -----END RSA PRIVATE KEY-----\n";
    let own = |cert: &str, key: &str| Tls::new().ca_pem(cert).client_cert_pem(cert).client_key_pem(key);
    for (tls, expected) in [
        (Tls::new().ca_pem(utf16), "`tls.ca` is text in UTF-16"),
        (Tls::new().ca_pem(b"\x30\x82\x01\x00"), "`tls.ca` holds no PEM certificate: it is binary (DER)"),
        (own(&cert, traditional), "`tls.client_key` holds a private key that is encrypted"),
        (
            own(&cert, &key.replace(" PRIVATE", " ENCRYPTED PRIVATE")),
            "`tls.client_key` holds a private key that is enc",
        ),
        (own(&cert, &cert), "`tls.client_key` holds no PEM private key (PKCS#8, PKCS#1 or SEC1): its parts are `CERT"),
    ] {
        let problem = problem(&tls);
        assert!(problem.starts_with(expected), "{problem}");
    }
}

#[test]
fn bad_files_name_their_setting() {
    let (cert, key) = pair();
    let (_, other_key) = pair();
    for (tls, expected) in [
        (Tls::new().ca_file("/no/such/file"), "`tls.ca` cannot be read"),
        (Tls::new().ca_pem("nonsense"), "`tls.ca` holds no PEM certificate"),
        (Tls::new().ca_pem("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----"), "`tls.ca` is not valid PEM"),
        (Tls::new().ca_pem(&cert).client_cert_pem(&cert), "`tls.client_key` is missing"),
        (Tls::new().ca_pem(&cert).client_key_pem(&key), "`tls.client_cert` is missing"),
        (Tls::new().ca_pem(&cert).client_cert_pem(&cert).client_key_pem(&other_key), "`tls.client_key` does not fit"),
        (
            Tls::new().ca_pem(&cert).client_cert_pem(&cert).client_key_pem("x"),
            "`tls.client_key` holds no PEM private key",
        ),
        (Tls::new().ca_pem(&cert).server_name("a b"), "`tls.server_name`"),
        (Tls::dangerously_unencrypted().ca_pem(&cert), "`tls` takes certificates"),
    ] {
        let problem = problem(&tls);
        assert!(problem.starts_with(expected), "{problem}");
    }
}

#[test]
fn debug_shows_no_key() {
    let (cert, key) = pair();
    let shown = format!("{:?}", Tls::new().client_cert_pem(cert).client_key_pem(&key));
    assert!(!shown.contains(key.lines().nth(1).unwrap()), "{shown}");
}

/// As a variable of the environment has it that cannot hold line breaks, or a template that lost them.
#[test]
fn no_error_shows_a_key_whose_line_breaks_were_lost() {
    let (cert, key) = pair();
    let lines: Vec<&str> = key.lines().filter(|line| !line.contains("-----")).collect();
    for between in ["", " ", "\\n", "\r"] {
        let one_line = |pem: &str| pem.lines().collect::<Vec<_>>().join(between);
        let (cert_line, key_line) = (one_line(&cert), one_line(&key));
        let unended = key.replace("-----END PRIVATE KEY-----", "-----END");
        for pem in [key_line.clone(), format!("{key_line}{cert_line}"), format!("{cert}{key_line}"), unended] {
            for tls in [
                Tls::new().ca_pem(&pem),
                Tls::new().ca_pem(format!("{pem}\n{cert_line}")),
                Tls::new().ca_pem(&cert).client_cert_pem(&pem).client_key_pem(&key),
                Tls::new().ca_pem(&cert).client_cert_pem(&cert).client_key_pem(&pem),
            ] {
                let Err(error) = tls.build("localhost") else { continue };
                let source = std::error::Error::source(&error).map(|source| format!("{source} {source:?}"));
                let shown = format!("{error} {error:?} {source:?}");
                let piece = lines.iter().find(|line| shown.contains(&line[line.len() - 6..]));
                assert!(piece.is_none(), "{shown}");
                // It may be shown as the numbers of its bytes, too.
                assert!(source.is_none(), "{source:?}");
            }
        }
        if between != "\r" {
            let text = problem(&Tls::new().ca_pem(&key_line));
            assert!(text.starts_with("`tls.ca` is not valid PEM") || text.contains("holds no PEM"), "{text}");
            assert!(text.contains("were its line breaks lost?"), "{text}");
        }
    }
}
