//! What nodes say of a cluster, as it is read: for the fuzz targets.

use super::{
    address::NodeAddress,
    redirect::{Redirect, Sent, explain_moved},
    slot::Slot,
    topology::Topology,
};
use redis::{ServerError, Value};

/// The node that has given an answer.
const ANSWERED_BY: (&str, u16) = ("10.0.0.4", 8500);

fn answered_by() -> NodeAddress {
    NodeAddress::new(ANSWERED_BY.0, ANSWERED_BY.1)
}

/// A node, as it is dialled: the host and the port; and as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedNode {
    /// A name or an address, without brackets.
    pub host: String,
    /// Never 0.
    pub port: u16,
    /// Both, as they are shown.
    pub shown: String,
}

impl From<&NodeAddress> for ParsedNode {
    fn from(address: &NodeAddress) -> Self {
        Self { host: address.host().to_owned(), port: address.port(), shown: address.to_string() }
    }
}

/// Slots from the first to the last one, and their primary.
pub type ParsedRange = (u16, u16, ParsedNode);

/// The answer of 10.0.0.4:8500 to `CLUSTER SLOTS`.
///
/// # Errors
///
/// What is wrong with it.
pub fn topology(reply: &Value) -> Result<Vec<ParsedRange>, String> {
    let topology = Topology::parse(reply, &answered_by())?;
    let range = |range: &super::topology::SlotRange| {
        (range.start.number(), range.end.number(), ParsedNode::from(&range.primary))
    };
    Ok(topology.ranges().iter().map(range).collect())
}

/// The address in a text of 10.0.0.4:8500's.
#[must_use]
pub fn node_address(text: &str) -> Option<ParsedNode> {
    NodeAddress::parse(text, &answered_by()).as_ref().map(ParsedNode::from)
}

/// What an error of 10.0.0.4:8500's says of a command on this slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParsedRedirect {
    /// `MOVED` to this node.
    Moved(ParsedNode),
    /// `ASK` this node.
    Ask(ParsedNode),
    /// It is to be sent again later.
    Later,
    /// Its keys are in several slots.
    CrossSlot,
}

/// As [`ParsedRedirect`]; none if it is an answer. `slot` is that of the command's keys, if it has any.
#[must_use]
pub fn redirect(error: &ServerError, slot: Option<u16>, runs_script: bool) -> Option<ParsedRedirect> {
    let slot = slot.and_then(Slot::new);
    let redirect = Redirect::of(error, Sent { slot, runs_script, to: &answered_by() })?;
    Some(match redirect {
        Redirect::Moved { to, .. } => ParsedRedirect::Moved((&to).into()),
        Redirect::Ask { to, .. } => ParsedRedirect::Ask((&to).into()),
        Redirect::TryAgain | Redirect::ClusterDown => ParsedRedirect::Later,
        Redirect::CrossSlot => ParsedRedirect::CrossSlot,
    })
}

/// An answer as somebody gets it who takes a cluster for a single endpoint.
#[must_use]
pub fn explained(reply: Value) -> Value {
    explain_moved(reply)
}
