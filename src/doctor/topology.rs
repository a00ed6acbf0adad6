//! The cluster policy, and on a cluster the ports of its nodes.

use super::{Doctor, advice::Advice, cause::Cause, encryption, login::Session, report::Finding, wire::words};
use crate::cluster::{
    address::NodeAddress,
    discovery::Topology as Policy,
    slot::{SLOTS, Slot},
    topology::Topology,
};
use futures_util::{StreamExt, stream};
use redis::Value;
use std::time::Duration;
use tokio::{net::lookup_host, time::timeout};

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
    let tries = nodes.iter().map(|node| async move { (node, try_node(doctor, advice, node).await) });
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

async fn try_node(doctor: &Doctor, advice: &Advice, node: &NodeAddress) -> Result<(), String> {
    let host = doctor.host();
    let work = async {
        let addresses = lookup_host((node.host(), node.port())).await.map_err(|_| "has no address".to_owned())?;
        let mut last = "has no address".to_owned();
        for address in addresses {
            match encryption::open(&doctor.tls, host, address, advice).await {
                Ok(_) => return Ok(()),
                Err(encryption::Problem::Handshake { error: Some(error), .. }) => last = format!("({error})"),
                Err(_) => last = String::from("does not answer"),
            }
        }
        Err(last)
    };
    timeout(NODE_WITHIN, work).await.unwrap_or_else(|_| Err("does not answer".to_owned()))
}

/// A number that makes `{prefix}…{number}` a key of one of the slots of this node.
pub(super) fn key_of(prefix: &str, node: &NodeAddress, slots: &Topology) -> Option<String> {
    /// Each one hits a node's share of the slots with that share's probability.
    const TRIES: u32 = 100_000;
    let key = |number: u32| format!("{prefix}:{number}");
    (0..TRIES).map(key).find(|key| slots.owner(Slot::of(key.as_bytes())) == Some(node))
}
