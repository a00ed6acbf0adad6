//! Certificates and keys in PEM, from files or from memory.

use crate::{
    error::{Error, FILE_MISSING},
    transport::pem,
};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{fmt, fs, path::PathBuf};
use zeroize::Zeroizing;

#[derive(Clone)]
pub(super) enum Pem {
    File(PathBuf),
    Bytes(Zeroizing<Vec<u8>>),
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.fmt(f),
            Self::Bytes(_) => f.write_str("<PEM>"),
        }
    }
}

impl Pem {
    /// The CAs that it says to trust.
    pub(super) fn roots(&self) -> Result<RootCertStore, Error> {
        roots(&self.read("tls.ca")?)
    }

    /// A certificate, and those that lead from it to one that is trusted.
    pub(super) fn chain(&self, setting: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
        certificates(setting, &self.read(setting)?)
    }

    pub(super) fn private_key(&self, setting: &str) -> Result<PrivateKeyDer<'static>, Error> {
        private_key(setting, &self.read(setting)?)
    }

    fn read(&self, setting: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        let bytes = match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::File(path) => fs::read(path).map(Zeroizing::new).map_err(|source| {
                Error::config(setting, format_args!("cannot be read from {}", path.display()))
                    .with_hint(FILE_MISSING)
                    .with_source(source)
            })?,
        };
        pem::plain(setting, &bytes)
    }
}

/// Bundles are long, and old: a certificate that is no trust anchor for rustls must not stand in the way of the others.
fn roots(pem: &[u8]) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    let mut problem = no_certificate("tls.ca", pem);
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let added = match certificate {
            Ok(certificate) => store.add(certificate).map_err(|source| {
                Error::config("tls.ca", "holds no certificate that is a trust anchor").with_source(source)
            }),
            Err(_) => Err(invalid_pem("tls.ca", pem)),
        };
        if let Err(error) = added {
            problem = error;
        }
    }
    if store.is_empty() { Err(problem) } else { Ok(store) }
}

fn certificates(setting: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|_| {
        match pem::encryption(pem) {
            // Its header is no base64, whatever stands beside it.
            Some(how) => Error::config(setting, format_args!("holds a private key that {how}: take it out of there")),
            None => invalid_pem(setting, pem),
        }
    })?;
    if certificates.is_empty() {
        return Err(no_certificate(setting, pem));
    }
    Ok(certificates)
}

/// The source of such an error is left out: it quotes the line that could not be read, which may hold a private key.
fn invalid_pem(setting: &str, pem: &[u8]) -> Error {
    Error::config(setting, format_args!("is not valid PEM: {}", pem::parts(pem)))
}

fn no_certificate(setting: &str, pem: &[u8]) -> Error {
    Error::config(setting, format_args!("holds no PEM certificate: {}", pem::parts(pem)))
}

fn private_key(setting: &str, pem: &[u8]) -> Result<PrivateKeyDer<'static>, Error> {
    if let Some(how) = pem::encryption(pem) {
        let problem = "decrypt it with `openssl pkey -in FILE -out key.pem`";
        return Err(Error::config(setting, format_args!("holds a private key that {how}: {problem}")));
    }
    // The source is left out: it may quote what it could not read.
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
        Error::config(setting, format_args!("holds no PEM private key (PKCS#8, PKCS#1 or SEC1): {}", pem::parts(pem)))
    })
}
