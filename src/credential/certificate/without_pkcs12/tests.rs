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
