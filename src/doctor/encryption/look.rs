//! What is seen of a server with which TLS fails: its certificate, or what it speaks instead.

use super::{HANDSHAKE_WITHIN, shake};
use crate::{
    doctor::certificate::Certificate,
    lock::lock,
    transport::{
        tcp::open_tcp,
        tls::{Transport, client_builder},
    },
};
use rustls::{
    DigitallySignedStruct, Error as TlsError, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

/// How long a server that does not speak TLS may take to answer.
const PROBE_WITHIN: Duration = Duration::from_secs(2);

/// What the server says to a client without TLS; none if that is no reply of Redis's.
pub(super) async fn plain_text(address: SocketAddr) -> Option<String> {
    let probe = async {
        let mut tcp = open_tcp(address).await.ok()?;
        tcp.write_all(b"PING\r\n").await.ok()?;
        let mut said = [0; 256];
        let read = tcp.read(&mut said).await.ok()?;
        let line = String::from_utf8_lossy(&said[..read]).lines().next()?.to_owned();
        let is_redis =
            line == "+PONG" || line.starts_with("-NOAUTH") || line.starts_with("-ERR") || line.starts_with("-DENIED");
        is_redis.then(|| line.chars().filter(|c| !c.is_control()).take(120).collect())
    };
    timeout(PROBE_WITHIN, probe).await.ok()?
}

/// The certificate that is shown there, looked at by a handshake that never succeeds: nothing is sent to whoever shows
/// it.
pub(super) async fn certificate_of(transport: &Transport, address: SocketAddr) -> Option<Certificate> {
    let Transport::Tls { server_name, .. } = transport else {
        return None;
    };
    let seen = Arc::new(Look::default());
    let config = client_builder()
        .ok()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&seen) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    let looking = Transport::Tls { config: Arc::new(config), server_name: server_name.clone(), is_users: false };
    // That it fails is what it is for.
    drop(shake(&looking, address, HANDSHAKE_WITHIN).await);
    let der = lock(&seen.0).take()?;
    Certificate::read(&der)
}

/// Keeps the certificate that it is shown, and refuses it.
#[derive(Debug, Default)]
struct Look(Mutex<Option<Vec<u8>>>);

impl ServerCertVerifier for Look {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        *lock(&self.0) = Some(end_entity.to_vec());
        Err(refused())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Err(refused())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Err(refused())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

fn refused() -> TlsError {
    TlsError::General("it was only to be looked at".to_owned())
}
