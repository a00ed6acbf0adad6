//! TLS to a server that is known by its certificate's SHA-1 thumbprint, which is how Service Fabric names it.

use crate::{error::Error, transport::tls};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{WebPkiSupportedAlgorithms, aws_lc_rs as provider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use std::sync::Arc;

const SHA1_LENGTH: usize = 20;

/// The certificate must be that one; that the server has its key is verified as always.
#[derive(Debug)]
struct Pinned {
    thumbprint: [u8; SHA1_LENGTH],
    algorithms: WebPkiSupportedAlgorithms,
}

/// `setting` names the thumbprint in errors.
pub(super) fn tls(setting: &str, thumbprint: &str) -> Result<ClientConfig, Error> {
    let verifier = Pinned {
        thumbprint: parse(thumbprint)
            .ok_or_else(|| Error::config(setting, "is not a SHA-1 thumbprint (40 hex digits)"))?,
        algorithms: provider::default_provider().signature_verification_algorithms,
    };
    let builder = tls::client_builder()?.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    Ok(builder.with_no_client_auth())
}

fn parse(thumbprint: &str) -> Option<[u8; SHA1_LENGTH]> {
    let digits: Vec<_> = thumbprint.chars().filter(|c| *c != ':' && !c.is_whitespace()).collect();
    if digits.len() != 2 * SHA1_LENGTH {
        return None;
    }
    let mut bytes = [0; SHA1_LENGTH];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |c: char| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
    }
    Some(bytes)
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if digest(&SHA1_FOR_LEGACY_USE_ONLY, end_entity).as_ref() == self.thumbprint {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
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
        for nonsense in
            ["", "00", "zz112233445566778899aabbccddeeff00112233", "00112233445566778899aabbccddeeff0011223"]
        {
            assert_eq!(parse(nonsense), None);
        }
        assert!(tls("IDENTITY_SERVER_THUMBPRINT", plain).is_ok());
    }
}
