use super::*;
use rustls::{OtherError, PeerIncompatible, pki_types::ServerName};
use std::sync::Arc;

fn told(error: Tls) -> (String, &'static str) {
    handshake(&io::Error::new(io::ErrorKind::InvalidData, error))
}

fn other(name: &str) -> Tls {
    Tls::InvalidCertificate(Certificate::Other(OtherError(Arc::new(io::Error::other(name.to_owned())))))
}

fn not_for_name(presented: &[&str]) -> Tls {
    let presented = presented.iter().map(|name| (*name).to_owned()).collect();
    let expected = ServerName::try_from("cache.example").unwrap();
    Tls::InvalidCertificate(Certificate::NotValidForNameContext { expected, presented })
}

#[test]
fn hints_fit_what_is_wrong() {
    for (error, what, hint) in [
        (not_for_name(&[]), "not valid for any names", "subjectAltName"),
        (not_for_name(&["localhost"]), "only valid for localhost", "Tls::server_name"),
        (Tls::InvalidCertificate(Certificate::UnknownIssuer), "UnknownIssuer", "Tls::ca_file"),
        (Tls::InvalidCertificate(Certificate::Expired), "Expired", "clock"),
        (Tls::InvalidCertificate(Certificate::NotValidYet), "NotValidYet", "clock"),
        (Tls::InvalidCertificate(Certificate::BadSignature), "its signature does not fit", "a new CA"),
        (Tls::InvalidCertificate(Certificate::InvalidPurpose), "InvalidPurpose", "serverAuth"),
        (other("CaUsedAsEndEntity"), "that of a CA", "CA:FALSE"),
        (other("UnsupportedCertVersion"), "X.509 version 3", "version 3"),
        (other("EndEntityUsedAsCa"), "none of a CA", "CA:TRUE"),
        (other("certificate had invalid extensions"), "extended key usages", "serverAuth"),
        (other("SomethingNew"), "SomethingNew", "issued again"),
        (Tls::AlertReceived(Alert::CertificateRequired), "CertificateRequired", "Tls::client_cert_file"),
        (Tls::AlertReceived(Alert::UnknownCA), "UnknownCA", "Tls::client_cert_file"),
        (Tls::AlertReceived(Alert::DecryptError), "DecryptError", "Tls::client_cert_file"),
        (Tls::AlertReceived(Alert::HandshakeFailure), "HandshakeFailure", "Tls::client_cert_file"),
        (Tls::AlertReceived(Alert::ProtocolVersion), "ProtocolVersion", "TLS 1.2 or 1.3"),
        (Tls::AlertReceived(Alert::UnrecognisedName), "UnrecognisedName", "Tls::server_name"),
        (Tls::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13), "Tls12Or13", "TLS 1.2 or 1.3"),
        (Tls::InvalidMessage(rustls::InvalidMessage::InvalidContentType), "InvalidContentType", "speak TLS?"),
    ] {
        let (shown, told) = told(error);
        assert!(shown.contains(what), "{what}: {shown}");
        assert!(told.contains(hint), "{shown}: {told}");
    }
    for (kind, hint) in [
        (io::ErrorKind::UnexpectedEof, "closed the connection during the TLS handshake: does this port speak TLS?"),
        (io::ErrorKind::ConnectionReset, "firewall"),
    ] {
        let (_, told) = handshake(&kind.into());
        assert!(told.contains(hint), "{told}");
    }
}

#[test]
fn no_hint_sends_people_to_what_is_not_shown() {
    let problems = ["CaUsedAsEndEntity", "PathLenConstraintViolated", "NameConstraintViolation", "CertDistrusted"];
    let errors = problems.map(other).into_iter().chain([
        Tls::InvalidCertificate(Certificate::Revoked),
        Tls::InvalidCertificate(Certificate::ApplicationVerificationFailure),
        Tls::General("the platform says no".to_owned()),
        Tls::DecryptError,
        Tls::NoCertificatesPresented,
        Tls::AlertReceived(Alert::InternalError),
    ]);
    for error in errors {
        let (shown, hint) = told(error);
        assert!(!shown.is_empty() && !hint.contains("source"), "{shown}: {hint}");
    }
}

#[test]
fn a_connection_that_breaks_for_want_of_a_certificate_says_so() {
    let broken = |error| super::broken(&io::Error::new(io::ErrorKind::InvalidData, error));
    assert!(hint(broken(Tls::AlertReceived(Alert::CertificateRequired))).is_some());
    assert!(hint(broken(Tls::AlertReceived(Alert::UnknownCA))).is_some());
    assert!(hint(broken(Tls::AlertReceived(Alert::InternalError))).is_none());
    assert_eq!(super::broken(&io::ErrorKind::ConnectionReset.into()), "connection broken");
}
