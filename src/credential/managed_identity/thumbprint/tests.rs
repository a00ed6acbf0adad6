use super::*;
use rcgen::{CertifiedKey, generate_simple_self_signed};

fn verify(thumbprint: [u8; SHA1_LENGTH], certificate: &CertificateDer<'_>) -> bool {
    let algorithms = provider::default_provider().signature_verification_algorithms;
    let name = ServerName::try_from("anything.example").unwrap();
    Pinned { thumbprint, algorithms }.verify_server_cert(certificate, &[], &name, &[], UnixTime::now()).is_ok()
}

#[test]
fn only_the_pinned_certificate_is_accepted() {
    let [ours, other] = [(), ()].map(|()| {
        let CertifiedKey { cert, .. } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        cert.der().clone()
    });
    let sha1 = digest(&SHA1_FOR_LEGACY_USE_ONLY, &ours);
    let hex = sha1.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().concat();
    let thumbprint = parse(&hex).unwrap();
    assert!(verify(thumbprint, &ours));
    assert!(!verify(thumbprint, &other));
    assert!(!verify([0; SHA1_LENGTH], &ours));
}

#[test]
fn thumbprints_are_forty_hex_digits() {
    let plain = "00112233445566778899aabbccddeeff00112233";
    let expected = parse(plain).unwrap();
    assert_eq!((expected[0], expected[1], expected[19]), (0x00, 0x11, 0x33));
    assert_eq!(parse(&plain.to_uppercase()), Some(expected));
    let colons = plain.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).unwrap()).collect::<Vec<_>>().join(":");
    assert_eq!(parse(&colons), Some(expected));
    for nonsense in ["", "00", "zz112233445566778899aabbccddeeff00112233", "00112233445566778899aabbccddeeff0011223"] {
        assert_eq!(parse(nonsense), None);
    }
    assert!(tls("IDENTITY_SERVER_THUMBPRINT", plain).is_ok());
}
