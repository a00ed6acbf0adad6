//! TLS: which version; and who issued the certificate that is shown, by the server or by somebody on the way, for whom.

mod look;

use super::{
    Doctor,
    advice::{Advice, SET_CLOCK},
    cause::Cause,
    certificate::Certificate,
    report::Finding,
    wire::Lost,
};
use crate::{
    error::Error,
    transport::{
        tcp::{Stream, open_tcp},
        tls::{Tls, Transport, explain},
    },
};
use jiff::Timestamp;
use rustls::{CertificateError, Error as TlsError};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{task::spawn_blocking, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);

/// A certificate that has fewer days left should have been renewed.
const FEW_DAYS: i64 = 14;

/// Whose certificates stand in front of other ones: proxies that look into TLS.
const PROXIES: [&str; 16] = [
    "zscaler",
    "netskope",
    "palo alto",
    "fortinet",
    "fortigate",
    "blue coat",
    "bluecoat",
    "symantec web",
    "umbrella",
    "forcepoint",
    "mitmproxy",
    "squid",
    "sophos",
    "check point",
    "barracuda",
    "proxy",
];

/// Who signs for Azure.
const AZURES_OWN: [&str; 2] = ["microsoft", "digicert"];

/// An encrypted connection, and what is known of it.
pub(super) type Encrypted = (Stream, Finding);

/// Why there is no encrypted connection.
pub(super) enum Problem {
    /// The settings are wrong.
    Settings(Error),
    /// The handshake failed; with the certificate that was shown, if one was.
    Handshake { address: SocketAddr, error: Option<io::Error>, certificate: Option<Certificate> },
}

/// What the settings make of TLS.
pub(super) async fn prepare(tls: &Tls, host: &str) -> Result<Transport, Problem> {
    let (tls, name) = (tls.clone(), host.to_owned());
    // It reads files, and may stand on one that hangs.
    let built = spawn_blocking(move || tls.build(&name)).await;
    built.unwrap_or_else(|error| Err(Error::config("tls", error))).map_err(Problem::Settings)
}

pub(super) async fn open(tls: &Tls, host: &str, address: SocketAddr, advice: &Advice) -> Result<Encrypted, Problem> {
    let transport = prepare(tls, host).await?;
    match shake(&transport, address, HANDSHAKE_WITHIN).await {
        Ok(stream) => {
            let finding = judge(&stream, advice);
            Ok((Box::pin(stream), finding))
        }
        Err(error) => {
            let certificate = look::certificate_of(&transport, address).await;
            Err(Problem::Handshake { address, error, certificate })
        }
    }
}

/// A connection that is verified; an error, or none if there was no answer.
pub(super) async fn shake(
    transport: &Transport,
    address: SocketAddr,
    limit: Duration,
) -> Result<TlsStream<tokio::net::TcpStream>, Option<io::Error>> {
    let Transport::Tls { config, server_name, .. } = transport else {
        return Err(Some(io::Error::other("the settings leave TLS out")));
    };
    let connector = TlsConnector::from(Arc::clone(config));
    let work = async { connector.connect(server_name.clone(), open_tcp(address).await?).await };
    match timeout(limit, work).await {
        Ok(outcome) => outcome.map_err(Some),
        Err(_) => Err(None),
    }
}

fn judge(stream: &TlsStream<tokio::net::TcpStream>, advice: &Advice) -> Finding {
    let (_, connection) = stream.get_ref();
    let version = match connection.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2",
        _ => "TLS",
    };
    let certificate = connection.peer_certificates().and_then(<[_]>::first).and_then(|der| Certificate::read(der));
    let Some(certificate) = certificate else {
        return Finding::ok(version);
    };
    let days = certificate.days_left(Timestamp::now());
    let left = days.map_or_else(String::new, |days| format!(", {days} days left"));
    let detail = format!("{version}, {}{left}", described(&certificate));
    match days {
        Some(days) if days < FEW_DAYS => {
            Finding::warning(Cause::CertificateEndsSoon, detail, advice.show_certificate())
        }
        _ => Finding::ok(detail),
    }
}

fn described(certificate: &Certificate) -> String {
    let names = if certificate.names.is_empty() { "no name".to_owned() } else { certificate.names.join(", ") };
    format!("a certificate by {} for {names}", certificate.issuer)
}

impl Problem {
    /// What is wrong, and what to do; `clock_ahead` is by how much this machine's clock is, if that is known.
    pub(super) async fn explain(&self, doctor: &Doctor, advice: &Advice, clock_ahead: Option<f64>) -> Finding {
        match self {
            Self::Settings(error) => of_settings(error, advice),
            Self::Handshake { address, error, certificate } => {
                let cause = error.as_ref().and_then(io::Error::get_ref).and_then(|inner| inner.downcast_ref());
                match (cause, certificate) {
                    (Some(TlsError::InvalidCertificate(why)), Some(shown)) => {
                        of_certificate(why, shown, doctor, advice, clock_ahead)
                    }
                    _ => self.of_handshake(*address, error.as_ref(), advice).await,
                }
            }
        }
    }

    async fn of_handshake(&self, address: SocketAddr, error: Option<&io::Error>, advice: &Advice) -> Finding {
        let host = advice.host();
        let (what, hint) = error.map_or_else(
            || (format!("no answer to the TLS handshake within {HANDSHAKE_WITHIN:?}"), ""),
            explain::handshake,
        );
        if let Some(said) = look::plain_text(address).await {
            if said.contains("max number of clients") {
                return max_clients(&said, advice);
            }
            let detail = format!(
                "{address} speaks Redis without TLS (it says `{said}`): no token is sent there; Azure Managed Redis speaks TLS \
                 on port 10000, Azure Cache for Redis on 6380"
            );
            let port = if address.port() == 10_000 { "6380" } else { "10000" };
            return Finding::failed(Cause::PlainTextPort, detail, advice.again(&[("--port", port)]));
        }
        let detail = format!("{what}; {hint}");
        let detail = detail.trim_end_matches("; ").to_owned();
        let Some(error) = error else {
            return Finding::failed(Cause::TlsSilent, detail, advice.show_certificate());
        };
        if error.get_ref().is_some_and(|inner| inner.downcast_ref::<TlsError>().is_some()) {
            let cause = match error.get_ref().and_then(|inner| inner.downcast_ref()) {
                Some(TlsError::InvalidMessage(_)) => Cause::NotTls,
                Some(TlsError::AlertReceived(_)) => Cause::TlsRefused,
                Some(TlsError::PeerIncompatible(_)) => Cause::TlsTooOld,
                _ => Cause::TlsFailed,
            };
            return Finding::failed(cause, detail, advice.show_certificate());
        }
        match Lost::of(error) {
            Lost::Reset => Finding::failed(
                Cause::ConnectionReset,
                format!(
                    "the connection to {address} is accepted and then reset during the TLS handshake: a firewall or a \
                     proxy on the way does that to connections it does not allow, by the name {host} perhaps"
                ),
                advice.open_ports(),
            ),
            _ => Finding::failed(
                Cause::ConnectionClosed,
                format!(
                    "{address} accepts connections and closes them without a word: a load balancer without a server, or a \
                     cache that has no room for another connection"
                ),
                advice.show("'[hostName,resourceState]'"),
            ),
        }
    }
}

pub(super) fn max_clients(said: &str, advice: &Advice) -> Finding {
    let detail = format!(
        "the cache has as many connections as it may have (it says `{said}`): larger ones allow more, and one handle a \
         process is enough for any number of tasks"
    );
    Finding::failed(Cause::MaxClients, detail, advice.scale_up())
}

fn of_settings(error: &Error, advice: &Advice) -> Finding {
    let text = error.to_string();
    if text.contains("trust roots") {
        return Finding::failed(Cause::TrustRootsMissing, text, "sudo apt-get install --yes ca-certificates");
    }
    let cause = if text.contains("tls.ca") { Cause::CaFileUnusable } else { Cause::TlsSettingsWrong };
    Finding::failed(cause, text, advice.again(&[("--ca-file", "<FILE>")]))
}

fn of_certificate(
    why: &CertificateError,
    shown: &Certificate,
    doctor: &Doctor,
    advice: &Advice,
    clock_ahead: Option<f64>,
) -> Finding {
    let what = described(shown);
    match why {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            let host = advice.host();
            let detail = format!("{what}, and not for {host}: connect by a name that it is for");
            // A name with a wildcard stands for this one, whatever it was called.
            let name = shown.names.iter().find(|name| name.parse::<std::net::IpAddr>().is_err());
            let name = name.map(|name| name.replacen('*', host.split('.').next().unwrap_or("cache"), 1));
            let next = match name {
                Some(name) => advice.again(&[("--server-name", &name)]),
                None => advice.show_certificate(),
            };
            Finding::failed(Cause::CertificateNameWrong, detail, next)
        }
        why if explain::is_out_of_date(why) => {
            let now = Timestamp::now();
            let dates = match (shown.not_before, shown.not_after) {
                (Some(from), Some(until)) => format!("valid from {from} to {until}"),
                _ => "out of date".to_owned(),
            };
            let ahead = clock_ahead.unwrap_or_default();
            #[allow(clippy::cast_possible_truncation, reason = "a clock that is wrong by centuries is wrong")]
            let right = now.checked_sub(jiff::SignedDuration::from_secs(ahead as i64)).unwrap_or(now);
            if ahead.abs() > 60.0 && shown.covers(right) {
                let detail = format!(
                    "{what}, {dates}, which it is by the clock of Microsoft Entra ID and not by this machine's"
                );
                return Finding::failed(Cause::ClockOff, detail, SET_CLOCK);
            }
            let cause = if shown.not_before.is_some_and(|from| from > now) {
                Cause::CertificateNotYetValid
            } else {
                Cause::CertificateExpired
            };
            Finding::failed(
                cause,
                format!("{what}, {dates}: it must be renewed where it comes from"),
                advice.show_certificate(),
            )
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => untrusted(&what, shown, doctor, advice),
        _ => {
            let (text, hint) = explain::handshake(&io::Error::other(TlsError::InvalidCertificate(why.clone())));
            Finding::failed(Cause::CertificateInvalid, format!("{what}: {text}; {hint}"), advice.show_certificate())
        }
    }
}

fn untrusted(what: &str, shown: &Certificate, doctor: &Doctor, advice: &Advice) -> Finding {
    let issuer = shown.issuer.to_lowercase();
    let by = |known: &[&str]| known.iter().any(|name| issuer.contains(name));
    if by(&PROXIES) || (advice.is_azure_name() && !by(&AZURES_OWN)) {
        let detail = format!(
            "{what}, which is not trusted here, and not Azure's: a proxy on the way looks into TLS; it must let Redis pass \
             untouched, or this machine must trust its certificate authority"
        );
        return Finding::failed(Cause::TlsIntercepted, detail, advice.show_certificate());
    }
    let detail =
        format!("{what}, which nobody signed whom this machine trusts: give it the CA's certificate as a PEM file");
    let given = doctor.options.iter().any(|(name, _)| *name == "--ca-file");
    let detail = if given { format!("{detail}; the one that is given is another one") } else { detail };
    Finding::failed(Cause::CaMissing, detail, advice.again(&[("--ca-file", "<FILE>")]))
}
