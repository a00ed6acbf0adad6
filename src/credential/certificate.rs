//! A certificate with its private key, from wherever the user has it.

#[cfg(feature = "pkcs12")]
mod ber;
#[cfg(feature = "pkcs12")]
mod ciphers;
#[cfg(feature = "pkcs12")]
mod mac;
#[cfg(feature = "pkcs12")]
mod pkcs12;
#[cfg(any(test, not(feature = "pkcs12")))]
mod without_pkcs12;

use super::hints;
use crate::{error::Error, secret::Secret, transport::pem};
use rustls::{
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::SigningKey,
};
use std::{fmt, fs, path::PathBuf, sync::Arc};
#[cfg(not(feature = "pkcs12"))]
use without_pkcs12 as pkcs12;
use zeroize::Zeroizing;

/// The certificate of an app registration, with its RSA private key.
///
/// A file is read at every token request, because certificates are renewed on disk; `connect` reads it too, and reports
/// whatever is wrong with it.
///
/// ```
/// use entra_redis::{ClientCertificate, Credential};
///
/// let certificate = ClientCertificate::pem_file("./app.pem").send_chain(true);
/// let credential = Credential::client_certificate("<CLIENT_ID>", certificate, "<TENANT_ID>");
/// ```
#[derive(Clone)]
#[must_use]
pub struct ClientCertificate {
    content: Content,
    format: Format,
    send_chain: bool,
}

#[derive(Clone)]
enum Content {
    Bytes(Arc<Zeroizing<Vec<u8>>>),
    File(PathBuf),
}

#[derive(Clone)]
enum Format {
    Pem,
    Pkcs12(Secret),
    Either(Secret),
}

/// A certificate that is ready to sign.
pub(super) struct Signer {
    pub(super) key: Arc<dyn SigningKey>,
    pub(super) certificate: CertificateDer<'static>,
    /// The other certificates, if they are to be sent along.
    pub(super) chain: Option<Vec<CertificateDer<'static>>>,
}

impl ClientCertificate {
    fn of(content: Content, format: Format) -> Self {
        Self { content, format, send_chain: false }
    }

    fn bytes(bytes: Vec<u8>) -> Content {
        Content::Bytes(Arc::new(Zeroizing::new(bytes)))
    }

    /// PEM with the certificate, the rest of its chain if there is one, and the private key (PKCS#8 or PKCS#1, not
    /// encrypted), in any order.
    pub fn pem(pem: impl Into<Secret>) -> Self {
        Self::of(Self::bytes(pem.into().expose().as_bytes().to_vec()), Format::Pem)
    }

    /// The same from a file.
    pub fn pem_file(path: impl Into<PathBuf>) -> Self {
        Self::of(Content::File(path.into()), Format::Pem)
    }

    /// PKCS#12 (also called PFX), with its password; an empty one if it has none.
    ///
    /// It is read with the feature `pkcs12`. Without it, `connect` gives an error that says so, for the other two calls
    /// with a password as well.
    pub fn pkcs12(bytes: impl Into<Vec<u8>>, password: impl Into<Secret>) -> Self {
        Self::of(Self::bytes(bytes.into()), Format::Pkcs12(password.into()))
    }

    /// The same from a file; with the feature `pkcs12`, too.
    pub fn pkcs12_file(path: impl Into<PathBuf>, password: impl Into<Secret>) -> Self {
        Self::of(Content::File(path.into()), Format::Pkcs12(password.into()))
    }

    /// A file of either format, as `AZURE_CLIENT_CERTIFICATE_PATH` may name one: PEM if it looks like it, else PKCS#12
    /// with this password, which is read with the feature `pkcs12`.
    pub fn file(path: impl Into<PathBuf>, password: impl Into<Secret>) -> Self {
        Self::of(Content::File(path.into()), Format::Either(password.into()))
    }

    /// Whether the certificates are sent along with each request, for app registrations that trust the subject name and
    /// the issuer instead of this one certificate; default false.
    pub fn send_chain(mut self, send: bool) -> Self {
        self.send_chain = send;
        self
    }

    /// Whether what it holds can change.
    pub(super) fn is_file(&self) -> bool {
        matches!(self.content, Content::File(_))
    }

    /// Reads and checks everything.
    pub(super) fn load(&self) -> Result<Signer, Error> {
        let file;
        let content = match &self.content {
            Content::Bytes(bytes) => bytes.as_slice(),
            Content::File(path) => {
                file = fs::read(path).map(Zeroizing::new).map_err(|source| {
                    Error::config(SETTING, format_args!("cannot be read from {}", path.display()))
                        .with_hint(hints::FILE_MISSING)
                        .with_source(source)
                })?;
                file.as_slice()
            }
        };
        let (certificates, key) = match &self.format {
            Format::Pem => from_pem(content)?,
            // PEM in UTF-16 is an error that says so.
            Format::Either(_) if pem::contains(&pem::plain(SETTING, content)?, pem::MARK) => from_pem(content)?,
            Format::Pkcs12(password) | Format::Either(password) => pkcs12::read(content, password)?,
        };
        signer(certificates, &key, self.send_chain)
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = match self.format {
            Format::Pem => "PEM",
            Format::Pkcs12(_) => "PKCS#12",
            Format::Either(_) => "PEM or PKCS#12",
        };
        let mut shown = f.debug_struct("ClientCertificate");
        shown.field("format", &format);
        if let Content::File(path) = &self.content {
            shown.field("file", path);
        }
        shown.field("send_chain", &self.send_chain).finish_non_exhaustive()
    }
}

const SETTING: &str = "client_certificate";

type Parts = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn from_pem(pem: &[u8]) -> Result<Parts, Error> {
    let pem = pem::plain(SETTING, pem)?;
    if let Some(how) = pem::encryption(&pem) {
        let problem = format!(
            "holds a private key that {how}: decrypt it with `openssl pkey -in FILE -out key.pem`, and put the certificate \
             beside it, or make PKCS#12 of both with `openssl pkcs12 -export -in FILE -out app.pfx`, which keeps a password"
        );
        return Err(Error::config(SETTING, problem));
    }
    let certificates = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        // The sources are left out: they quote what could not be read.
        .map_err(|_| Error::config(SETTING, format_args!("is not valid PEM: {}", pem::parts(&pem))))?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        let parts = pem::parts(&pem);
        Error::config(SETTING, format_args!("holds no PEM private key (PKCS#8 or PKCS#1, not encrypted): {parts}"))
    })?;
    if certificates.is_empty() {
        return Err(Error::config(SETTING, format_args!("holds no certificate: {}", pem::parts(&pem))));
    }
    Ok((certificates, key))
}

/// BER as the DER that is read here, down to the bags of PKCS#12.
#[cfg(all(feature = "bench-api", feature = "pkcs12"))]
pub(super) fn der(bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    ber::Element::first(bytes).map(|element| element.to_der(ber::Inside::Ber(3)))
}

/// Finds the certificate that the key belongs to; the rest is its chain.
fn signer(
    mut certificates: Vec<CertificateDer<'static>>,
    key: &PrivateKeyDer<'static>,
    send_chain: bool,
) -> Result<Signer, Error> {
    if certificates.is_empty() {
        return Err(Error::config(SETTING, "holds no certificate"));
    }
    let provider = aws_lc_rs::default_provider();
    let key = provider
        .key_provider
        .load_private_key(key.clone_key())
        .map_err(|_| Error::config(SETTING, "holds a private key that cannot be used"))?;
    if key.algorithm() != rustls::SignatureAlgorithm::RSA {
        return Err(Error::config(SETTING, "holds a private key that is not RSA"));
    }
    // Looked for as the bytes that it is: rustls reads no certificates of version 1, which `openssl x509 -req` still
    // makes.
    let public = key.public_key().map(|public| public.to_vec()).unwrap_or_default();
    let belongs = |certificate: &CertificateDer<'static>| {
        !public.is_empty() && certificate.windows(public.len()).any(|part| part == public.as_slice())
    };
    let position = certificates
        .iter()
        .position(belongs)
        .ok_or_else(|| Error::config(SETTING, "holds a private key that belongs to none of its certificates"))?;
    let certificate = certificates.remove(position);
    Ok(Signer { key, certificate, chain: send_chain.then_some(certificates) })
}

#[cfg(test)]
pub(super) mod tests;
