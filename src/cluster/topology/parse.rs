//! From a reply to a topology. Servers, proxies and test doubles write it; whatever comes, it is read or refused.

use super::{SlotRange, Topology};
use crate::cluster::{address::NodeAddress, slot::Slot};
use redis::Value;

impl Topology {
    /// Reads the reply to `CLUSTER SLOTS` that the node `answered_by` gave.
    ///
    /// A node without a usable port is left out: its slots are without an owner, and the rest of the answer counts.
    ///
    /// # Errors
    ///
    /// What is wrong with the reply, in words without any of its text.
    pub(crate) fn parse(reply: &Value, answered_by: &NodeAddress) -> Result<Self, String> {
        if let Value::ServerError(error) = plain(reply) {
            return Err(format!("Redis refused CLUSTER SLOTS ({})", code(error.code())));
        }
        let entries = list(reply).ok_or_else(|| wrong("is not a list"))?;
        let mut ranges = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            let range = range(entry, answered_by).map_err(|what| wrong(&format!("has an entry ({index}) {what}")))?;
            ranges.extend(range);
        }
        Ok(Self::new(&ranges))
    }
}

fn wrong(what: &str) -> String {
    format!("the reply to CLUSTER SLOTS {what}")
}

/// The code of an error if it looks like one; else it may be anything.
fn code(code: &str) -> &str {
    let is_one = !code.is_empty() && code.len() <= 20 && code.bytes().all(|byte| byte.is_ascii_uppercase());
    if is_one { code } else { "an error without a code" }
}

/// One entry; none if its primary cannot be reached by any port. What follows the primary, its replicas, is sent
/// nothing, so that nothing there is a reason to refuse the rest.
fn range(entry: &Value, answered_by: &NodeAddress) -> Result<Option<SlotRange>, &'static str> {
    let [start, end, primary, ..] = list(entry).ok_or("that is not a list")? else {
        return Err("with less than two slots and a node");
    };
    let slot = |value| number(value).and_then(|number| u16::try_from(number).ok()).and_then(Slot::new);
    let (Some(start), Some(end)) = (slot(start), slot(end)) else {
        return Err("whose slots are no numbers from 0 to 16383");
    };
    if start > end {
        return Err("that ends before it starts");
    }
    let primary = node(primary, answered_by)?;
    Ok(primary.map(|primary| SlotRange { start, end, primary }))
}

/// One node: host, port, id (Redis 4 and later), and a list or map of other names (Redis 7 and later).
fn node(value: &Value, answered_by: &NodeAddress) -> Result<Option<NodeAddress>, &'static str> {
    let [host, port, more @ ..] = list(value).ok_or("with a node that is not a list")? else {
        return Err("with a node that lacks a host or a port");
    };
    let port = number(port).and_then(|port| u16::try_from(port).ok()).ok_or("with a port that is not one")?;
    if port == 0 {
        return Ok(None);
    }
    let host = match plain(host) {
        // The cluster hides its hosts, and wants the one used that was asked.
        Value::Nil => "",
        host => text(host).ok_or("with a host that is not a text")?,
    };
    // The node has no host name, which is what this cluster is set to name; its address may be given beside.
    let host = if host == "?" { more.get(1).and_then(ip).unwrap_or(host) } else { host };
    NodeAddress::from_host(host, port, answered_by).map(Some).ok_or("with a host that is not one")
}

/// The field `ip` of a node's other names.
fn ip(names: &Value) -> Option<&str> {
    let is_ip = |name| text(name) == Some("ip");
    match plain(names) {
        Value::Map(pairs) => pairs.iter().find(|(name, _)| is_ip(name)).and_then(|(_, ip)| text(ip)),
        names => list(names)?.chunks_exact(2).find(|pair| is_ip(&pair[0])).and_then(|pair| text(&pair[1])),
    }
}

/// Without the attributes that RESP3 may put before any value.
fn plain(mut value: &Value) -> &Value {
    while let Value::Attribute { data, .. } = value {
        value = data;
    }
    value
}

fn list(value: &Value) -> Option<&[Value]> {
    match plain(value) {
        Value::Array(values) | Value::Set(values) => Some(values),
        _ => None,
    }
}

fn text(value: &Value) -> Option<&str> {
    match plain(value) {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text),
        _ => None,
    }
}

fn number(value: &Value) -> Option<i64> {
    match plain(value) {
        Value::Int(number) => Some(*number),
        value => text(value)?.parse().ok(),
    }
}
