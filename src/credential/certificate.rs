//! A certificate with its private key, from wherever the user has it.

use super::hints;
use crate::{Error, Secret};
use p12_keystore::Pkcs12Archive;
use rustls::{
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
    sign::SigningKey,
};
use std::{fmt, fs, path::PathBuf, sync::Arc};
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
    pub fn pkcs12(bytes: impl Into<Vec<u8>>, password: impl Into<Secret>) -> Self {
        Self::of(Self::bytes(bytes.into()), Format::Pkcs12(password.into()))
    }

    /// The same from a file.
    pub fn pkcs12_file(path: impl Into<PathBuf>, password: impl Into<Secret>) -> Self {
        Self::of(Content::File(path.into()), Format::Pkcs12(password.into()))
    }

    /// A file of either format, as `AZURE_CLIENT_CERTIFICATE_PATH` may name one: PEM if it looks like it, else PKCS#12 with
    /// this password.
    pub fn file(path: impl Into<PathBuf>, password: impl Into<Secret>) -> Self {
        Self::of(Content::File(path.into()), Format::Either(password.into()))
    }

    /// Whether the certificates are sent along with each request, for app registrations that trust the subject name and the
    /// issuer instead of this one certificate; default false.
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
            Format::Either(_) if content.windows(PEM_MARK.len()).any(|window| window == PEM_MARK) => from_pem(content)?,
            Format::Pkcs12(password) | Format::Either(password) => from_pkcs12(content, password)?,
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

const PEM_MARK: &[u8] = b"-----BEGIN";

type Parts = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn from_pem(pem: &[u8]) -> Result<Parts, Error> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| Error::config(SETTING, "is not valid PEM"))?;
    // The source is left out: it may quote what it could not read.
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
        let problem = "holds no PEM private key (PKCS#8 or PKCS#1, not encrypted; PKCS#12 is for keys with a password)";
        Error::config(SETTING, problem)
    })?;
    Ok((certificates, key))
}

fn from_pkcs12(bytes: &[u8], password: &Secret) -> Result<Parts, Error> {
    let archive = Pkcs12Archive::from_pkcs12(bytes, password.expose())
        .map_err(|_| Error::config(SETTING, "is not PKCS#12, or its password is another one"))?;
    let key = archive.keys.first().ok_or_else(|| Error::config(SETTING, "holds no private key"))?;
    let key = PrivatePkcs8KeyDer::from(key.key.as_der().to_vec());
    let certificates = archive.certs.iter().map(|bag| CertificateDer::from(bag.cert.as_der().to_vec())).collect();
    Ok((certificates, key.into()))
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
    // Looked for as the bytes that it is: rustls reads no certificates of version 1, which `openssl x509 -req` still makes.
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
pub(super) mod tests {
    use super::*;
    use base64::{Engine, engine::general_purpose::STANDARD};
    use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
    use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};

    /// A certificate in PEM, and its key.
    pub(in crate::credential) fn pair() -> (String, KeyPair) {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let cert = CertificateParams::new(["app".to_owned()]).unwrap().self_signed(&key).unwrap();
        (cert.pem(), key)
    }

    fn problem(certificate: &ClientCertificate) -> String {
        let Err(error) = certificate.load() else { panic!("accepted: {certificate:?}") };
        assert_eq!(error.kind(), crate::ErrorKind::Configuration);
        error.to_string()
    }

    /// The PKCS#1 inside of an RSA key's PKCS#8, which starts after a header of 26 bytes.
    fn pkcs1_pem(key: &KeyPair) -> String {
        let text = STANDARD.encode(&key.serialize_der()[26..]);
        let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----\n", lines.join("\n"))
    }

    fn pkcs12(cert_pem: &str, key: &KeyPair, password: &str) -> Vec<u8> {
        let der = CertificateDer::from_pem_slice(cert_pem.as_bytes()).unwrap();
        let key = PrivateKey::from_der(&key.serialize_der()).unwrap();
        let chain = PrivateKeyChain::new("1", key, [Certificate::from_der(&der).unwrap()]);
        let mut store = KeyStore::new();
        store.add_entry("app", KeyStoreEntry::PrivateKeyChain(chain));
        store.writer(password).encryption_iterations(10).mac_iterations(10).write().unwrap()
    }

    #[test]
    fn every_format_gives_the_same_signer() {
        let (cert, key) = pair();
        let (other_cert, _) = pair();
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &[u8]| {
            let path = dir.path().join(name);
            fs::write(&path, content).unwrap();
            path
        };
        let pkcs8 = format!("{cert}{}", key.serialize_pem());
        // The chain first, the key between, PKCS#1.
        let pkcs1 = format!("{other_cert}{}{cert}", pkcs1_pem(&key));
        let pfx = pkcs12(&cert, &key, "pass");
        let password = || Secret::new("pass");
        let expected = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
        for certificate in [
            ClientCertificate::pem(pkcs8.as_str()),
            ClientCertificate::pem(pkcs1.as_str()),
            ClientCertificate::pem_file(file("app.pem", pkcs8.as_bytes())),
            ClientCertificate::pkcs12(pfx.clone(), "pass"),
            ClientCertificate::pkcs12_file(file("app.pfx", &pfx), "pass"),
            ClientCertificate::file(file("either.pem", pkcs1.as_bytes()), password()),
            ClientCertificate::file(file("either.pfx", &pfx), password()),
            ClientCertificate::pkcs12(pkcs12(&cert, &key, ""), ""),
        ] {
            let signer = certificate.load().unwrap_or_else(|error| panic!("{certificate:?}: {error}"));
            assert_eq!(signer.certificate, expected, "{certificate:?}");
            assert!(signer.chain.is_none());
        }
        let chain = ClientCertificate::pem(pkcs1).send_chain(true).load().ok().unwrap().chain.unwrap();
        assert_eq!(chain, [CertificateDer::from_pem_slice(other_cert.as_bytes()).unwrap()]);
    }

    #[test]
    fn a_file_is_read_anew_and_its_absence_told() {
        let (cert, key) = pair();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.pem");
        let certificate = ClientCertificate::pem_file(&path);
        let problem = problem(&certificate);
        assert!(problem.contains("cannot be read from") && problem.contains("hint"), "{problem}");
        fs::write(&path, format!("{cert}{}", key.serialize_pem())).unwrap();
        assert!(certificate.load().is_ok());
    }

    #[test]
    fn what_is_wrong_is_told_without_the_key() {
        let (cert, key) = pair();
        let (other_cert, _) = pair();
        let key_pem = key.serialize_pem();
        let elliptic = KeyPair::generate().unwrap();
        let elliptic_cert = CertificateParams::new(["app".to_owned()]).unwrap().self_signed(&elliptic).unwrap().pem();
        let pfx = pkcs12(&cert, &key, "pass");
        for (certificate, expected) in [
            (ClientCertificate::pem(""), "no PEM private key"),
            (ClientCertificate::pem(cert.as_str()), "no PEM private key"),
            (ClientCertificate::pem(key_pem.as_str()), "holds no certificate"),
            (ClientCertificate::pem(format!("{other_cert}{key_pem}")), "none of its certificates"),
            (ClientCertificate::pem(format!("{elliptic_cert}{}", elliptic.serialize_pem())), "not RSA"),
            (ClientCertificate::pem(format!("{cert}{}", key_pem.replace(" PRIVATE", " ENCRYPTED PRIVATE"))), "PKCS#12"),
            (ClientCertificate::pkcs12(pfx.clone(), "wrong"), "password"),
            (ClientCertificate::pkcs12(b"garbage".to_vec(), "pass"), "is not PKCS#12"),
            (ClientCertificate::pkcs12(pfx[..pfx.len() / 2].to_vec(), "pass"), "is not PKCS#12"),
        ] {
            let problem = problem(&certificate);
            assert!(problem.starts_with("`client_certificate`") && problem.contains(expected), "{problem}");
            assert!(!problem.contains(key_pem.lines().nth(1).unwrap()));
        }
    }

    #[test]
    fn debug_shows_neither_key_nor_password() {
        let (cert, key) = pair();
        let pem = format!("{cert}{}", key.serialize_pem());
        for certificate in [ClientCertificate::pem(pem.as_str()), ClientCertificate::pkcs12(pem.as_bytes(), "s3cr3t")] {
            let shown = format!("{certificate:?}");
            assert!(!shown.contains("s3cr3t") && !shown.contains("MII"), "{shown}");
        }
    }

    /// Whole, cut off, and with one byte changed: an error that names the setting, or a signer, and no panic.
    fn survives(read: impl Fn(Vec<u8>) -> ClientCertificate, whole: &[u8], cut: usize, change: (usize, u8)) {
        let mut changed = whole.to_vec();
        changed[change.0 % whole.len()] ^= change.1;
        for bytes in [whole[..cut % whole.len()].to_vec(), changed] {
            if let Err(error) = read(bytes).load() {
                assert!(error.to_string().starts_with("`client_certificate`"), "{error}");
            }
        }
    }

    #[test]
    fn no_bytes_are_a_reason_to_panic() {
        use proptest::prelude::*;

        let (cert, key) = pair();
        let pem = format!("{cert}{}", key.serialize_pem()).into_bytes();
        let pfx = pkcs12(&cert, &key, "pass");
        let from_pem = |bytes: Vec<u8>| ClientCertificate::pem(String::from_utf8_lossy(&bytes).into_owned());
        let from_pfx = |bytes: Vec<u8>| ClientCertificate::pkcs12(bytes, "pass");
        let bytes = prop::collection::vec(any::<u8>(), 1..300);
        proptest!(|(noise in bytes, cut in any::<usize>(), at in any::<usize>(), bits in 1_u8..)| {
            survives(from_pem, &pem, cut, (at, bits));
            survives(from_pfx, &pfx, cut, (at, bits));
            survives(from_pem, &noise, cut, (at, bits));
            survives(from_pfx, &noise, cut, (at, bits));
        });
    }
}
