use super::*;

#[test]
fn byte_order_marks_go_and_nothing_else() {
    let plain = |bytes: &[u8]| plain("x", bytes).unwrap().to_vec();
    assert_eq!(
        plain(b"\xef\xbb\xbf-----BEGIN A-----\n\xef\xbb\xbf-----BEGIN B-----"),
        b"-----BEGIN A-----\n-----BEGIN B-----"
    );
    assert_eq!(plain(b"# caf\xe9 \xef\xbb\xbf\n-----BEGIN A-----"), b"# caf\xe9 \xef\xbb\xbf\n-----BEGIN A-----");
    assert_eq!(plain(b""), b"");
    assert_eq!(plain(b"-----BEGIN X509 CERTIFICATE-----"), b"-----BEGIN CERTIFICATE-----");
}

#[test]
fn utf_16_is_called_by_its_name() {
    let units = |text: &str, bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    for text in ["\u{feff}-----BEGIN A-----\n", "-----BEGIN A-----\n", "# comment\n-----BEGIN A-----\n"] {
        for bytes in [units(text, u16::to_le_bytes), units(text, u16::to_be_bytes)] {
            let error = plain("tls.ca", &bytes).unwrap_err();
            assert!(error.to_string().starts_with("`tls.ca` is text in UTF-16"), "{error}");
        }
    }
}

#[test]
fn parts_are_listed_by_their_labels() {
    let pem =
        b"-----BEGIN TRUSTED CERTIFICATE-----\r\nAAAA\n-----END X-----\n-----BEGIN s3cr3t-----\n-----BEGIN PKCS12-----";
    let expected =
        "its parts are `TRUSTED CERTIFICATE`, `PKCS12`: convert what is trusted with `openssl x509 -in FILE`";
    assert_eq!(parts(pem), expected);
    assert_eq!(parts(b"nonsense"), "there is no `-----BEGIN` line in it");
    assert!(parts(b"\x30\x82").contains("DER"));
    assert!(parts(b"-----BEGIN PRIVATE KEY-----s3cr3t-----END PRIVATE KEY-----").ends_with("line breaks lost?"));
}
