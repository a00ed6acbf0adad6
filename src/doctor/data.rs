//! A key of the doctor's own: written, read and deleted; and how long a round trip takes.

use super::{
    Doctor,
    advice::Advice,
    cause::Cause,
    login::Session,
    report::Finding,
    topology::{Layout, is_of_one_slot, keys_of_all},
    wire::words,
};
use crate::cluster::{address::NodeAddress, slot::Slot};
use redis::{ServerError, Value};
use std::time::Duration;
use tokio::{net::lookup_host, time::Instant};

/// The key expires after this, in case it cannot be deleted.
const EXPIRY_SECONDS: u32 = 60;

const PINGS: usize = 100;

/// All of them.
const PINGS_WITHIN: Duration = Duration::from_secs(4);

/// Within a region it is a millisecond.
const FAR: Duration = Duration::from_millis(30);

/// What became of one command.
enum Outcome {
    Done,
    Refused(ServerError),
    Lost(String),
}

impl Outcome {
    fn code(&self) -> &str {
        match self {
            Self::Refused(error) => error.code(),
            _ => "",
        }
    }
}

pub(super) async fn look(doctor: &Doctor, advice: &Advice, session: &mut Session<'_>, layout: &Layout) -> Finding {
    let own = format!("{}entra-redis:doctor:{:016x}", doctor.key_prefix, fastrand::u64(..));
    let mut keys = vec![own.clone()];
    let is_of_one_slot = is_of_one_slot(&own);
    if let Layout::Cluster(slots) = layout
        && !is_of_one_slot
    {
        // One of them is this node's.
        keys.extend(keys_of_all(&own, slots));
    }
    for key in keys {
        let outcome = run(session, first(doctor), &key).await;
        if outcome.code() == "MOVED" {
            continue;
        }
        return with_key(doctor, advice, session, &key, outcome).await;
    }
    if let Layout::Cluster(slots) = layout
        && is_of_one_slot
        && let Some(owner) = slots.owner(Slot::of(own.as_bytes()))
    {
        return elsewhere(doctor, advice, session, owner, &own).await;
    }
    if matches!(layout, Layout::Unknown) {
        return Finding::not_reached(format!(
            "{own} belongs to another node (MOVED), and which slots this one has is not known"
        ));
    }
    Finding::failed(
        Cause::NoSlotsHere,
        "the node that the host name leads to has no slots of its own, and sends every key elsewhere",
        advice.show("'[provisioningState,resourceState]'"),
    )
}

/// Looks at a key over a connection to the node that it belongs to.
async fn elsewhere(doctor: &Doctor, advice: &Advice, session: &Session<'_>, owner: &NodeAddress, key: &str) -> Finding {
    for address in lookup_host((owner.host(), owner.port())).await.into_iter().flatten() {
        if let Some(mut other) = session.to(address).await {
            let outcome = run(&mut other, first(doctor), key).await;
            return with_key(doctor, advice, &mut other, key, outcome).await;
        }
    }
    Finding::not_reached(format!("{key} belongs to another node, {owner}, to which there is no connection from here"))
}

/// The first command on a key.
fn first(doctor: &Doctor) -> &'static str {
    if doctor.read_only { "GET" } else { "SET" }
}

async fn run(session: &mut Session<'_>, name: &str, key: &str) -> Outcome {
    let mut cmd = redis::cmd(name);
    cmd.arg(key);
    if name == "SET" {
        cmd.arg("written by entra-redis doctor").arg("EX").arg(EXPIRY_SECONDS);
    }
    match session.ask(&cmd).await {
        Ok(Value::ServerError(error)) => Outcome::Refused(error),
        Ok(_) => Outcome::Done,
        Err(lost) => Outcome::Lost(lost.told()),
    }
}

async fn with_key(doctor: &Doctor, advice: &Advice, session: &mut Session<'_>, key: &str, first: Outcome) -> Finding {
    if doctor.read_only {
        return match first {
            Outcome::Done => Finding::ok(format!("a read of {key} is allowed; nothing was written")),
            other => of_refusals(advice, session, key, &[("GET", other)]),
        };
    }
    let mut all = vec![("SET", first)];
    for name in ["GET", "DEL"] {
        // What was written goes by itself when the connection is lost.
        if !matches!(all.last(), Some((_, Outcome::Lost(_)))) {
            all.push((name, run(session, name, key).await));
        }
    }
    if all.iter().all(|(_, outcome)| matches!(outcome, Outcome::Done)) {
        return Finding::ok(format!("{key} was written, read and deleted"));
    }
    of_refusals(advice, session, key, &all)
}

fn of_refusals(advice: &Advice, session: &Session<'_>, key: &str, all: &[(&str, Outcome)]) -> Finding {
    let told: Vec<_> = all
        .iter()
        .map(|(name, outcome)| match outcome {
            Outcome::Done => format!("{name} is allowed"),
            Outcome::Refused(error) => format!("{name} is refused ({})", session.said(error)),
            Outcome::Lost(how) => format!("to {name} {how}"),
        })
        .collect();
    let detail = told.join(", ");
    let is_done = |wanted: &str| all.iter().any(|(name, outcome)| *name == wanted && matches!(outcome, Outcome::Done));
    let refusals = || {
        all.iter().filter_map(|(_, outcome)| match outcome {
            Outcome::Refused(error) => Some(error),
            _ => None,
        })
    };
    let any = |code: &str| refusals().any(|error| error.code() == code);
    let about_keys = |error: &ServerError| {
        error.code() == "NOPERM"
            && error.details().is_some_and(|text| text.contains("key") && !text.contains("to run the"))
    };
    if refusals().any(about_keys) {
        let detail = format!("{detail}: the access policy leaves {key} out; name what its keys begin with");
        return Finding::failed(Cause::KeysLimited, detail, advice.again(&[("--key-prefix", "<PREFIX>")]));
    }
    if any("NOPERM") && is_done("GET") {
        let detail = format!("{detail}: the access policy is for reading; if that is intended, say so");
        return Finding::failed(Cause::AccessReadOnly, detail, advice.again(&[("--read-only", "yes")]));
    }
    if any("NOPERM") {
        let detail = format!("{detail}: the access policy leaves these commands out");
        return Finding::failed(Cause::CommandsLimited, detail, advice.assignments());
    }
    if any("OOM") {
        let detail = format!("{detail}: the cache is full, and evicts nothing");
        return Finding::failed(Cause::MemoryFull, detail, advice.scale_up());
    }
    if all.iter().any(|(_, outcome)| matches!(outcome, Outcome::Lost(_))) {
        return Finding::failed(Cause::ConnectionLost, detail, advice.again(&[]));
    }
    let (cause, what) = if any("READONLY") {
        (Cause::ServerIsReplica, "this is a replica, as during a failover")
    } else if any("CLUSTERDOWN") || any("LOADING") || any("MASTERDOWN") {
        (Cause::ServerNotReady, "the server is not ready")
    } else {
        (Cause::CommandsFail, "this is no answer of a cache in order")
    };
    Finding::failed(cause, format!("{detail}: {what}"), advice.show("'[provisioningState,resourceState]'"))
}

pub(super) async fn latency(advice: &Advice, session: &mut Session<'_>) -> Finding {
    let ping = words("PING");
    let (began, mut times) = (Instant::now(), Vec::with_capacity(PINGS));
    while times.len() < PINGS && began.elapsed() < PINGS_WITHIN {
        let sent = Instant::now();
        match session.ask(&ping).await {
            Ok(Value::ServerError(error)) => {
                let detail = format!("PING is refused ({})", session.said(&error));
                return Finding::failed(Cause::PingRefused, detail, advice.assignments());
            }
            Ok(_) => times.push(sent.elapsed()),
            Err(lost) => {
                let detail = format!("to PING number {} {}", times.len() + 1, lost.told());
                return Finding::failed(Cause::ConnectionLost, detail, advice.again(&[]));
            }
        }
    }
    times.sort_unstable();
    let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)];
    let (p50, p99) = (at(50), at(99));
    let detail = format!("{} PINGs, p50 {p50:.1?}, p99 {p99:.1?}", times.len());
    if p50 > FAR {
        let detail = format!("{detail}: within a region it is a millisecond; is the cache in another one?");
        return Finding::warning(Cause::LatencyHigh, detail, advice.show("location"));
    }
    Finding::ok(detail)
}
