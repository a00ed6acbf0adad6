//! The addresses of the host, and whether anything listens there.

use super::{advice::Advice, cause::Cause, report::Finding};
use crate::transport::tcp::open_tcp;
use futures_util::future::join_all;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::{
    net::lookup_host,
    time::{Instant, timeout},
};

const RESOLVE_WITHIN: Duration = Duration::from_secs(5);

/// A connection that has not come by then will not: SYNs are sent again after one second and after three.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// A port that is tried in place of the one that was given.
const PROBE_WITHIN: Duration = Duration::from_secs(1);

/// The ports that caches listen on: Azure Managed Redis, Azure Cache for Redis, Redis without TLS.
const PORTS: [u16; 3] = [10_000, 6380, 6379];

/// Nothing is said about more addresses than these.
const MOST_ADDRESSES: usize = 16;

pub(super) async fn resolve(host: &str, port: u16, advice: &Advice) -> (Finding, Vec<SocketAddr>) {
    let began = Instant::now();
    let found = timeout(RESOLVE_WITHIN, lookup_host((host, port))).await;
    let mut addresses: Vec<SocketAddr> = match found {
        Err(_) => {
            let detail = format!("no answer about {host} from this machine's resolver within {RESOLVE_WITHIN:?}");
            return (Finding::failed(Cause::DnsSilent, detail, format!("nslookup {host}")), Vec::new());
        }
        Ok(Err(error)) => return (unresolved(host, &error, advice), Vec::new()),
        Ok(Ok(addresses)) => addresses.collect(),
    };
    addresses.dedup();
    addresses.truncate(MOST_ADDRESSES);
    if addresses.is_empty() {
        return (unknown_name(host, "it has no address", advice), Vec::new());
    }
    let list: Vec<_> = addresses.iter().map(|address| described(address.ip())).collect();
    let detail = format!("{host} is {}, found in {:.0?}", list.join(", "), began.elapsed());
    if let Some(public) = without_privatelink(host) {
        let detail = format!(
            "{detail}; a name with `privatelink` is for DNS alone, and no certificate has it: connect to {public}, which \
             leads to the private endpoint from where that is linked"
        );
        return (Finding::failed(Cause::PrivateLinkName, detail, advice.again(&[("--host", &public)])), addresses);
    }
    (Finding::ok(detail), addresses)
}

fn unresolved(host: &str, error: &io::Error, advice: &Advice) -> Finding {
    let text = error.to_string();
    if let Some(public) = without_privatelink(host) {
        let detail = format!(
            "{host} does not resolve here ({text}): a name with `privatelink` is for DNS alone; connect to {public}"
        );
        return Finding::failed(Cause::PrivateLinkName, detail, advice.again(&[("--host", &public)]));
    }
    if text.contains("Temporary failure") || text.contains("Try again") {
        let detail = format!("this machine's resolver gives no answer about {host}: {text}");
        return Finding::failed(Cause::DnsUnavailable, detail, format!("nslookup {host}"));
    }
    unknown_name(host, &text, advice)
}

fn unknown_name(host: &str, why: &str, advice: &Advice) -> Finding {
    let detail = format!(
        "{host} is not known to this machine's DNS ({why}): it is misspelt, the cache is gone, or it has a private endpoint \
         whose DNS zone is not linked to this network"
    );
    let next = if advice.is_azure_name() {
        "az redisenterprise list --query '[].hostName' --output tsv".to_owned()
    } else {
        format!("nslookup {host}")
    };
    Finding::failed(Cause::NameNotFound, detail, next)
}

/// The public name of a private link's.
fn without_privatelink(host: &str) -> Option<String> {
    host.contains(".privatelink.").then(|| host.replacen(".privatelink.", ".", 1))
}

fn described(address: IpAddr) -> String {
    let kind = match address {
        IpAddr::V4(v4) if v4.is_loopback() => " (this machine)",
        IpAddr::V6(v6) if v6.is_loopback() => " (this machine)",
        IpAddr::V4(v4) if v4.is_private() => " (private, as of a private endpoint)",
        IpAddr::V6(v6) if v6.is_unique_local() => " (private, as of a private endpoint)",
        _ => "",
    };
    format!("{address}{kind}")
}

/// Why there is no connection to an address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Closed {
    Refused,
    Silent,
    Unreachable,
}

impl Closed {
    fn told(self) -> &'static str {
        match self {
            Self::Refused => "refuses connections",
            Self::Silent => "does not answer",
            Self::Unreachable => "cannot be reached by any route",
        }
    }
}

async fn reach(address: SocketAddr, limit: Duration) -> Result<Duration, Closed> {
    let began = Instant::now();
    match timeout(limit, open_tcp(address)).await {
        Ok(Ok(_)) => Ok(began.elapsed()),
        Err(_) => Err(Closed::Silent),
        Ok(Err(error)) => Err(match error.kind() {
            io::ErrorKind::TimedOut => Closed::Silent,
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Closed::Unreachable,
            _ => Closed::Refused,
        }),
    }
}

/// Tries each address; gives the first one that accepts.
pub(super) async fn connect(addresses: &[SocketAddr], advice: &Advice) -> (Finding, Option<SocketAddr>) {
    let outcomes = join_all(addresses.iter().map(|address| reach(*address, CONNECT_WITHIN))).await;
    let told: Vec<_> = addresses
        .iter()
        .zip(&outcomes)
        .map(|(address, outcome)| match outcome {
            Ok(took) => format!("{address} accepts, in {took:.1?}"),
            Err(why) => format!("{address} {}", why.told()),
        })
        .collect();
    let detail = told.join("; ");
    let accepts = addresses.iter().zip(&outcomes).find(|(_, outcome)| outcome.is_ok()).map(|(address, _)| *address);
    if accepts.is_some() {
        // A name of this machine has addresses of both families, and servers listen on one; the same is true of
        // machines without a route for IPv6.
        let is_usual = |(address, outcome): (&SocketAddr, &Result<Duration, Closed>)| match outcome {
            Ok(_) => true,
            Err(why) => address.ip().is_loopback() || (address.is_ipv6() && *why == Closed::Unreachable),
        };
        let finding = if addresses.iter().zip(&outcomes).all(is_usual) {
            Finding::ok(detail)
        } else {
            let detail = format!("{detail}; connections go to the addresses that answer");
            Finding::warning(Cause::AddressUnreachable, detail, advice.open_ports())
        };
        return (finding, accepts);
    }
    (closed(addresses, &outcomes, detail, advice).await, None)
}

async fn closed(
    addresses: &[SocketAddr],
    outcomes: &[Result<Duration, Closed>],
    detail: String,
    advice: &Advice,
) -> Finding {
    let given = addresses[0].port();
    let others = PORTS.into_iter().filter(|port| *port != given);
    let mut open = None;
    for (port, outcome) in join_all(others.map(async |port| {
        let probes = addresses.iter().map(|address| reach(SocketAddr::new(address.ip(), port), PROBE_WITHIN));
        (port, join_all(probes).await.iter().any(Result::is_ok))
    }))
    .await
    {
        if outcome && open.is_none() {
            open = Some(port);
        }
    }
    if let Some(port) = open {
        let detail = format!(
            "{detail}; but port {port} is open: Azure Managed Redis listens on 10000, Azure Cache for Redis on 6380, and \
             6379 is without TLS"
        );
        return Finding::failed(Cause::PortWrong, detail, advice.again(&[("--port", &port.to_string())]));
    }
    if outcomes.contains(&Err(Closed::Refused)) {
        let detail = format!("{detail}: nothing listens on this port, or a firewall refuses in its place");
        let next = if advice.is_azure_name() {
            advice.show("'[hostName,resourceState]'")
        } else {
            advice.again(&[("--port", "10000")])
        };
        return Finding::failed(Cause::PortClosed, detail, next);
    }
    if outcomes.iter().all(|outcome| *outcome == Err(Closed::Unreachable)) {
        let detail = format!("{detail}: this machine has no route there");
        return Finding::failed(Cause::NoRoute, detail, format!("ip route get {}", addresses[0].ip()));
    }
    let detail = format!(
        "{detail}: a firewall drops the packets, on this side (open the port for what leaves) or on the cache's (its \
         public network access may be off)"
    );
    Finding::failed(Cause::PortFiltered, detail, advice.open_ports())
}

#[cfg(test)]
mod tests;
