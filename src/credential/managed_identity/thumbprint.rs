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
mod tests;
