//! The cluster policy, and on a cluster the ports of its nodes.

use super::{Doctor, advice::Advice, cause::Cause, encryption, login::Session, report::Finding, wire::words};
use crate::{
    cluster::{
        address::NodeAddress,
        discovery::Topology as Policy,
        slot::{SLOTS, Slot},
        topology::Topology,
    },
    transport::tls::Transport,
};
use futures_util::{StreamExt, stream};
use redis::Value;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    net::lookup_host,
    time::{Instant, timeout_at},
};

/// All of the addresses of one node, and TLS with it.
const NODE_WITHIN: Duration = Duration::from_secs(6);

/// Nodes that are tried at once.
const AT_ONCE: usize = 32;

/// No more nodes are named in one line.
const MOST_NAMED: usize = 6;

/// What the cache is, as far as it has told.
pub(super) enum Layout {
    Unknown,
    OneEndpoint,
    Cluster(Topology),
}

pub(super) async fn look(doctor: &Doctor, advice: &Advice, session: &mut Session<'_>) -> (Finding, Layout) {
    let reply = match session.ask(&words("CLUSTER SLOTS")).await {
        Ok(reply) => reply,
        Err(lost) => {
            let detail = format!("to CLUSTER SLOTS {}", lost.told());
            return (Finding::failed(Cause::TopologySilent, detail, advice.show_policy()), Layout::Unknown);
        }
    };
    let host = doctor.host();
    let name = NodeAddress::new(host, session.seed().port());
    match Topology::parse(&reply, &name) {
        Ok(slots) => {
            let finding = of_cluster(doctor, advice, &slots);
            (finding, Layout::Cluster(slots))
        }
        Err(_) => of_endpoint(doctor, advice, session, &reply),
    }
}

fn of_cluster(doctor: &Doctor, advice: &Advice, slots: &Topology) -> Finding {
    let served: usize = slots.ranges().iter().map(|range| range.slots().count()).sum();
    let nodes = slots.primaries().len();
    let detail = format!("a Redis Cluster of {nodes} nodes (the OSS cluster policy)");
    if doctor.topology == Policy::SingleEndpoint {
        let detail = format!(
            "{detail}, and `Topology::SingleEndpoint` is set: commands on keys of other nodes would fail with MOVED; set \
             `Topology::Auto`, which finds out by itself"
        );
        return Finding::failed(Cause::ClusterUnexpected, detail, advice.again(&[("--topology", "auto")]));
    }
    if served < usize::from(SLOTS) {
        let detail = format!("{detail}; {} of {SLOTS} slots have no node", usize::from(SLOTS) - served);
        return Finding::failed(Cause::SlotsUnserved, detail, advice.show("'[provisioningState,resourceState]'"));
    }
    Finding::ok(detail)
}

fn of_endpoint(doctor: &Doctor, advice: &Advice, session: &Session<'_>, reply: &Value) -> (Finding, Layout) {
    let (said, is_forbidden) = match reply {
        Value::ServerError(error) => (session.said(error), error.code() == "NOPERM"),
        _ => ("its answer is no topology".to_owned(), false),
    };
    let detail = format!("one endpoint (the Enterprise or the non-clustered policy): CLUSTER SLOTS is refused, {said}");
    if doctor.topology == Policy::OssCluster {
        let detail =
            format!("{detail}; but `Topology::OssCluster` is set, and `connect` would fail: set `Topology::Auto`");
        let next = advice.again(&[("--topology", "auto")]);
        return (Finding::failed(Cause::ClusterMissing, detail, next), Layout::OneEndpoint);
    }
    if is_forbidden {
        let detail = format!(
            "whether this is a cluster cannot be told: the user may not ask CLUSTER SLOTS ({said}); on a cluster, commands \
             would fail with MOVED"
        );
        return (Finding::warning(Cause::TopologyForbidden, detail, advice.assignments()), Layout::Unknown);
    }
    (Finding::ok(detail), Layout::OneEndpoint)
}

/// Whether every node lets this machine in.
pub(super) async fn nodes(doctor: &Doctor, advice: &Advice, layout: &Layout) -> Finding {
    let slots = match layout {
        Layout::Unknown => return Finding::not_reached("which nodes there are is not known"),
        Layout::OneEndpoint => return Finding::ok("there is one endpoint, and no port but the one in use"),
        Layout::Cluster(slots) => slots,
    };
    let nodes: Vec<_> = slots.primaries().into_iter().cloned().collect();
    let transport = match encryption::prepare(&doctor.tls, doctor.host()).await {
        Ok(transport) => transport,
        Err(problem) => return problem.explain(doctor, advice, None).await,
    };
    let tries = nodes.iter().map(async |node| (node, try_node(&transport, node).await));
    let tried: Vec<_> = stream::iter(tries).buffered(AT_ONCE).collect().await;
    let shut: Vec<_> = tried.iter().filter_map(|(node, outcome)| Some((node, outcome.as_ref().err()?))).collect();
    if shut.is_empty() {
        let names: Vec<_> = nodes.iter().take(MOST_NAMED).map(ToString::to_string).collect();
        let more = if nodes.len() > MOST_NAMED { ", …" } else { "" };
        return Finding::ok(format!("all {} nodes let this machine in: {}{more}", nodes.len(), names.join(", ")));
    }
    let names: Vec<_> = shut.iter().take(MOST_NAMED).map(|(node, why)| format!("{node} {why}")).collect();
    let detail = format!(
        "{} of {} nodes cannot be reached ({}): nodes of a cluster listen on ports of their own, 8500 to 8599, which may \
         change; without them, keys of their slots cannot be used",
        shut.len(),
        nodes.len(),
        names.join("; ")
    );
    Finding::failed(Cause::NodePortsClosed, detail, advice.open_ports())
}

async fn try_node(transport: &Transport, node: &NodeAddress) -> Result<(), String> {
    let deadline = Instant::now() + NODE_WITHIN;
    let addresses: Vec<_> = match timeout_at(deadline, lookup_host((node.host(), node.port()))).await {
        Ok(Ok(addresses)) => addresses.collect(),
        _ => Vec::new(),
    };
    try_addresses(transport, &addresses, deadline).await
}

/// Whether one of them lets this machine in.
async fn try_addresses(transport: &Transport, addresses: &[SocketAddr], deadline: Instant) -> Result<(), String> {
    let mut last = "has no address".to_owned();
    for (tried, address) in addresses.iter().enumerate() {
        // One that is silent leaves time for those after it.
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        match encryption::shake(transport, *address, share).await {
            Ok(_) => return Ok(()),
            Err(Some(error)) => last = format!("({error})"),
            Err(None) => last = String::from("does not answer"),
        }
    }
    Err(last)
}

/// Whether all keys that begin with this are in one slot: a part of it in braces is what counts of them.
pub(super) fn is_of_one_slot(prefix: &str) -> bool {
    let slot = |end: &str| Slot::of(format!("{prefix}{end}").as_bytes());
    slot("") == slot("0") && slot("") == slot("1")
}

/// Of each node, a key of its own that begins with this, as far as one is found.
pub(super) fn keys_of_all(prefix: &str, slots: &Topology) -> Vec<String> {
    /// Each one hits a node's share of the slots with that share's probability.
    const TRIES: u32 = 100_000;
    let mut nodes = slots.primaries();
    let mut keys = Vec::new();
    for number in 0..TRIES {
        if nodes.is_empty() {
            break;
        }
        let key = format!("{prefix}:{number}");
        let owner = slots.owner(Slot::of(key.as_bytes()));
        if let Some(at) = nodes.iter().position(|node| Some(*node) == owner) {
            nodes.swap_remove(at);
            keys.push(key);
        }
    }
    keys
}

#[cfg(test)]
mod tests;
