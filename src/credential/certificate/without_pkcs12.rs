//! What is said of PKCS#12 in a build that does not read it.

use super::{Parts, SETTING};
use crate::{error::Error, secret::Secret, transport::pem};

pub(super) fn read(bytes: &[u8], _: &Secret) -> Result<Parts, Error> {
    let problem = if pem::contains(bytes, pem::MARK) {
        "is PEM, and given as PKCS#12: use `ClientCertificate::pem` or `pem_file`"
    } else {
        "is not PEM, and PKCS#12 is read with the feature `pkcs12` of `entra-redis` only: turn it on, or convert the \
         file with `openssl pkcs12 -in FILE -nodes -out app.pem`, and use that"
    };
    Err(Error::config(SETTING, problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_feature_and_what_converts_the_file_are_named() {
        let problem = |bytes: &[u8]| read(bytes, &Secret::new("pass")).err().unwrap().to_string();
        for bytes in [&b""[..], b"MIIJ", &[0x30, 0x82, 1, 2]] {
            let problem = problem(bytes);
            assert!(problem.starts_with("`client_certificate` is not PEM"), "{problem}");
            assert!(problem.contains("feature `pkcs12`") && problem.contains("`openssl pkcs12 -in FILE"), "{problem}");
        }
        let problem = problem(b"-----BEGIN CERTIFICATE-----");
        assert!(problem.contains("`ClientCertificate::pem`") && !problem.contains("openssl"), "{problem}");
    }
}
