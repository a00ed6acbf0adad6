//! Certificates and keys.

use super::shown;
use entra_redis::{ClientCertificate, Tls, bench_api::parsers};

/// To trust something: otherwise the operating system's trust roots are read each time.
const CA: &[u8] = include_bytes!("../../corpus/pem/plain");

/// PEM is read or refused, with an error that quotes no line of it but labels; reading it twice changes nothing.
pub fn pem(data: &[u8]) {
    let (plain, _, parts) = parsers::pem(data);
    assert!(parts.len() < 400, "{parts}");
    if let Some(plain) = plain {
        assert!(plain.len() <= data.len());
    }
    let text = String::from_utf8_lossy(data);
    let refused = [
        parsers::load_certificate(&ClientCertificate::pem(&*text)).err(),
        parsers::tls(&Tls::new().ca_pem(data)).err(),
        parsers::tls(&Tls::new().ca_pem(CA).client_cert_pem(&*text).client_key_pem(&*text)).err(),
    ];
    let quoted =
        |line: &&str| line.len() > 24 && !line.starts_with("-----") && line.bytes().any(|b| b.is_ascii_digit());
    for error in refused.iter().flatten() {
        let shown = shown(error);
        for line in text.lines().filter(quoted) {
            assert!(!shown.contains(line), "{line:?} is in {shown}");
        }
    }
}

/// PKCS#12 is read or refused, with a password or without; DER stays as it is when it is taken for BER.
pub fn pkcs12(data: &[u8]) {
    for password in ["pw", ""] {
        if let Err(error) = parsers::load_certificate(&ClientCertificate::pkcs12(data, password)) {
            assert!(shown(&error).len() < 4000);
        }
    }
    if let Ok(der) = parsers::der(data) {
        assert_eq!(parsers::der(&der).ok(), Some(der.clone()), "DER is what it was");
    }
}
