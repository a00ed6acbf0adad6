//! What is wrong when TLS fails, in words, and what to look at: rustls names most reasons by the names of its types.

use rustls::{AlertDescription as Alert, CertificateError as Certificate, Error as Tls};
use std::io;

const SPEAKS_TLS: &str = "does this port speak TLS?";
pub(crate) const CLOCK: &str = "the server's certificate is out of date, or this machine's clock is wrong";
const ISSUE_AGAIN: &str = "the server's certificate must be issued again";
const CLIENT_CERTIFICATE: &str = "set `Tls::client_cert_file` and `Tls::client_key_file` to a certificate that the \
                                  server trusts, and its key";
const OLD_SERVER: &str = "the server must speak TLS 1.2 or 1.3, with a cipher suite of today";

/// Why the server ended a connection: it wants a client certificate, or refuses ours. With TLS 1.3 it says so after the
/// handshake only.
const CERTIFICATE_WANTED: &str = "the server wants a client certificate";
const CERTIFICATE_REFUSED: &str = "the server refuses the client certificate";

/// What went wrong in a TLS handshake, and what to look at.
pub(crate) fn handshake(error: &io::Error) -> (String, &'static str) {
    let Some(cause) = cause(error) else {
        let hint = if error.kind() == io::ErrorKind::UnexpectedEof {
            "the server closed the connection during the TLS handshake: does this port speak TLS?"
        } else {
            "the connection broke during the TLS handshake: does this port speak TLS, and is there a firewall or a \
             proxy on the way that cuts it?"
        };
        return (error.to_string(), hint);
    };
    let (what, hint) = match cause {
        Tls::InvalidCertificate(problem) => certificate(problem),
        Tls::AlertReceived(alert) => (None, alerted(*alert)),
        Tls::InvalidMessage(_) | Tls::InappropriateMessage { .. } | Tls::PeerSentOversizedRecord => (None, SPEAKS_TLS),
        Tls::PeerIncompatible(_) => (None, OLD_SERVER),
        Tls::NoCertificatesPresented => (None, "the server needs a certificate"),
        Tls::General(_) | Tls::Other(_) => (None, "the message has the reason that this machine's TLS gave"),
        _ => (None, "server and client understand TLS differently: the server's log may say more"),
    };
    (what.unwrap_or_else(|| cause.to_string()), hint)
}

/// Why reading or writing failed on a connection that was up.
pub(crate) fn broken(error: &io::Error) -> &'static str {
    match cause(error) {
        Some(Tls::AlertReceived(Alert::CertificateRequired)) => CERTIFICATE_WANTED,
        Some(Tls::AlertReceived(alert)) if is_about_certificate(*alert) => CERTIFICATE_REFUSED,
        Some(Tls::AlertReceived(_)) => "the server ended TLS with an alert",
        _ => "connection broken",
    }
}

/// What to look at if a connection ended for this reason before anything was answered.
pub(crate) fn hint(reason: &str) -> Option<&'static str> {
    matches!(reason, CERTIFICATE_WANTED | CERTIFICATE_REFUSED).then_some(CLIENT_CERTIFICATE)
}

fn cause(error: &io::Error) -> Option<&Tls> {
    error.get_ref()?.downcast_ref()
}

/// What is wrong with the server's certificate, where rustls does not say it in words, and what to look at.
fn certificate(problem: &Certificate) -> (Option<String>, &'static str) {
    let hint = match problem {
        Certificate::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            "the certificate has no subject alternative name, and the common name counts for nothing: it must be \
             issued again with one (`subjectAltName`)"
        }
        Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
            "the certificate is for another name: set `Tls::server_name` if that is intended"
        }
        Certificate::UnknownIssuer => "the certificate's issuer is not trusted: set `Tls::ca_file` if it is yours",
        problem if is_out_of_date(problem) => CLOCK,
        Certificate::Other(other) => return verifiers_own(&other.0.to_string()),
        _ => return rare(problem),
    };
    (None, hint)
}

/// Whether it is the time that makes the certificate invalid.
pub(crate) fn is_out_of_date(problem: &Certificate) -> bool {
    matches!(
        problem,
        Certificate::Expired
            | Certificate::ExpiredContext { .. }
            | Certificate::NotValidYet
            | Certificate::NotValidYetContext { .. }
    )
}

/// Of problems that few people meet.
fn rare(problem: &Certificate) -> (Option<String>, &'static str) {
    let what = match problem {
        Certificate::BadEncoding => "it is malformed",
        Certificate::BadSignature => {
            let what =
                "invalid peer certificate: its signature does not fit, it is not by the key of the CA that is trusted";
            return (Some(what.to_owned()), OTHER_CA);
        }
        Certificate::Revoked => "it has been revoked",
        Certificate::UnknownRevocationStatus => "nothing tells whether it has been revoked",
        Certificate::ExpiredRevocationList | Certificate::ExpiredRevocationListContext { .. } => {
            "the list of revoked certificates is out of date"
        }
        Certificate::UnhandledCriticalExtension => "it has a critical extension that is unknown here",
        Certificate::InvalidPurpose | Certificate::InvalidPurposeContext { .. } => {
            return (Some(format!("invalid peer certificate: {problem}")), WRONG_PURPOSE);
        }
        Certificate::InvalidOcspResponse => "the OCSP response that came with it is invalid",
        Certificate::ApplicationVerificationFailure => "this machine refused it, and says no more",
        // rustls still makes the first one when its verifier names no algorithm.
        #[allow(deprecated)]
        Certificate::UnsupportedSignatureAlgorithm
        | Certificate::UnsupportedSignatureAlgorithmContext { .. }
        | Certificate::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            let what = "invalid peer certificate: it is signed in a way that counts as unsafe, or with such a key";
            return (Some(what.to_owned()), UNSAFE);
        }
        _ => return (Some(format!("invalid peer certificate: {problem}")), ISSUE_AGAIN),
    };
    (Some(format!("invalid peer certificate: {what}")), ISSUE_AGAIN)
}

const OTHER_CA: &str = "a new CA under the same name is another one: set `Tls::ca_file` to the one that \
                        signed the server's certificate";
const WRONG_PURPOSE: &str = "the certificate is not for servers: it must be issued again, with `serverAuth` among its \
                             extended key usages, or without any";
const UNSAFE: &str = "the certificate must be issued again: with SHA-256 or better, and a key of ECDSA or of RSA with \
                      2,048 bits or more";

/// Of problems that rustls has no variant for, and passes on as its verifier names them.
fn verifiers_own(name: &str) -> (Option<String>, &'static str) {
    let (what, hint) = match name {
        "CaUsedAsEndEntity" => (
            "it is that of a CA, which a server must not show as its own",
            "the server needs a certificate that is none of a CA (`basicConstraints=CA:FALSE`; `openssl req -x509` \
             makes one of a CA unless told otherwise)",
        ),
        "EndEntityUsedAsCa" => (
            "a certificate in its chain signed another, and is none of a CA",
            "the certificate must be signed by one of a CA (`basicConstraints=CA:TRUE`)",
        ),
        "UnsupportedCertVersion" => (
            "it is not of X.509 version 3",
            "the certificate must be issued again as version 3, which `openssl x509` makes only with extensions, such \
             as a `subjectAltName`",
        ),
        "UnsupportedCriticalExtension" => ("it has a critical extension that is unknown here", ISSUE_AGAIN),
        "PathLenConstraintViolated" => ("there are more CAs in its chain than one of them allows", ISSUE_AGAIN),
        "NameConstraintViolation" => ("a CA in its chain may not sign for this name", ISSUE_AGAIN),
        "MaximumPathDepthExceeded" => ("its chain is too long", ISSUE_AGAIN),
        "SignatureAlgorithmMismatch" => ("it says in two ways how it is signed", ISSUE_AGAIN),
        "InvalidSerialNumber" => ("its serial number is none that X.509 allows", ISSUE_AGAIN),
        "CertDistrusted" => ("this machine is told to distrust it", ISSUE_AGAIN),
        // The words of the platform's verifier for a wrong purpose.
        "EmptyEkuExtension" | "certificate had invalid extensions" => {
            return (
                Some("invalid peer certificate: its extended key usages leave servers out".to_owned()),
                WRONG_PURPOSE,
            );
        }
        _ => return (Some(format!("invalid peer certificate: {name}")), ISSUE_AGAIN),
    };
    // The name can be searched for.
    (Some(format!("invalid peer certificate: {what} ({name})")), hint)
}

fn alerted(alert: Alert) -> &'static str {
    match alert {
        alert if is_about_certificate(alert) => CLIENT_CERTIFICATE,
        Alert::HandshakeFailure => {
            "the server wants a client certificate (`Tls::client_cert_file`), or has no cipher suite in common with \
             this client"
        }
        Alert::ProtocolVersion | Alert::InsufficientSecurity => OLD_SERVER,
        Alert::UnrecognisedName => "the server does not go by this name: set `Tls::server_name` to the one it goes by",
        _ => "the server's log says why it ended the handshake",
    }
}

fn is_about_certificate(alert: Alert) -> bool {
    matches!(
        alert,
        Alert::NoCertificate
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::CertificateRequired
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError
    )
}

#[cfg(test)]
mod tests;
