//! Certificates made on the spot: a CA, the front's own, one for a client, one for the nodes of a cluster, and one of
//! the application's.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_RSA_SHA256,
};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs::{Ticketer, default_provider},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use std::{fmt::Write as _, io, sync::Arc};

/// The name and the addresses of loopback.
pub(super) const LOCAL: &[&str] = &["localhost", "127.0.0.1", "::1"];

/// A certificate and its key, in PEM.
pub(super) struct Leaf {
    pub(super) cert_pem: String,
    pub(super) key_pem: String,
    der: CertificateDer<'static>,
}

impl Leaf {
    /// The thumbprint by which Service Fabric's clients know its endpoint: SHA-1 of the certificate, in hex.
    pub(super) fn thumbprint(&self) -> String {
        digest(&SHA1_FOR_LEGACY_USE_ONLY, &self.der).as_ref().iter().fold(String::new(), |mut hex, byte| {
            _ = write!(hex, "{byte:02X}");
            hex
        })
    }
}

pub(super) struct Certificates {
    pub(super) ca_pem: String,
    pub(super) server: Leaf,
    pub(super) client: Leaf,
    /// For the servers of a cluster among themselves: each is the other's client, too.
    pub(super) node: Leaf,
}

impl Certificates {
    /// With a server's certificate for these names and addresses.
    pub(super) fn generate(names: &[&str]) -> io::Result<Self> {
        let ca_key = KeyPair::generate().map_err(io::Error::other)?;
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        ca.distinguished_name.push(DnType::CommonName, "entra-redis emulator CA");
        let ca_pem = ca.self_signed(&ca_key).map_err(io::Error::other)?.pem();
        let issuer = Issuer::new(ca, ca_key);
        Ok(Self {
            ca_pem,
            server: signed(&issuer, names, &[ExtendedKeyUsagePurpose::ServerAuth])?,
            client: signed(&issuer, &["client"], &[ExtendedKeyUsagePurpose::ClientAuth])?,
            node: signed(
                &issuer,
                &["node"],
                &[ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
            )?,
        })
    }

    /// TLS as the front serves it; with `client_certificates`, to clients with a certificate of this CA only.
    pub(super) fn server_config(&self, client_certificates: bool) -> io::Result<ServerConfig> {
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let builder = if client_certificates {
            let mut roots = RootCertStore::empty();
            for certificate in chain(&self.ca_pem)? {
                roots.add(certificate).map_err(io::Error::other)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().map_err(io::Error::other)?)
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivatePkcs8KeyDer::from_pem_slice(self.server.key_pem.as_bytes()).map_err(io::Error::other)?;
        let mut config = builder
            .with_single_cert(chain(&self.server.cert_pem)?, PrivateKeyDer::from(key))
            .map_err(io::Error::other)?;
        config.ticketer = Ticketer::new().map_err(io::Error::other)?;
        Ok(config)
    }
}

fn signed(issuer: &Issuer<'_, KeyPair>, names: &[&str], usages: &[ExtendedKeyUsagePurpose]) -> io::Result<Leaf> {
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
    params.extended_key_usages = usages.to_vec();
    params.use_authority_key_identifier_extension = true;
    params.distinguished_name.push(DnType::CommonName, "entra-redis emulator");
    let cert = params.signed_by(&key, issuer).map_err(io::Error::other)?;
    Ok(Leaf { cert_pem: cert.pem(), key_pem: key.serialize_pem(), der: cert.der().clone() })
}

/// A certificate such as an application registers with Microsoft Entra ID, and its RSA key, in one PEM.
pub(super) fn application() -> io::Result<String> {
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).map_err(io::Error::other)?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "entra-redis emulator application");
    let cert = params.self_signed(&key).map_err(io::Error::other)?;
    Ok(format!("{}{}", cert.pem(), key.serialize_pem()))
}

fn chain(pem: &str) -> io::Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().map_err(io::Error::other)
}
