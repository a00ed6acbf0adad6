//! Many nodes behind one handle: which node owns a key's slot, how that is learned, and how one request becomes
//! several.
//!
//! - `discovery`: whether it is a cluster, found out at `connect`; `routing`: what was found;
//! - `node`: an address, its links and their keeper; a single endpoint is one node; `nodes`: those that there are;
//! - `slot`: the slot of a key; `address`: the name of a node; `endpoint`: where that is dialled;
//! - `router`: the cluster as commands see it; `map`: the snapshot that they read; `watch`: the task that keeps that
//!   right;
//! - `ask`: the question for the topology; `pace`, `outage`: when nodes, and the configured name, are asked;
//! - `topology`: the answer to `CLUSTER SLOTS`; `reconcile`: what of it is believed;
//! - `redirect`: answers that send a command elsewhere;
//! - `split`: one command or pipeline in parts; `cross_slot`: those that may not be; `gather`: the replies of several
//!   nodes as one; `partial`: a write that some of its keys have seen; `scan`: one cursor over all nodes.

pub(crate) mod address;
mod ask;
pub(crate) mod cross_slot;
pub(crate) mod discovery;
pub(crate) mod endpoint;
pub(crate) mod gather;
pub(crate) mod map;
pub(crate) mod node;
pub(crate) mod nodes;
mod outage;
#[cfg(feature = "near-cache")]
pub(crate) mod owned;
pub(crate) mod pace;
#[cfg(feature = "bench-api")]
pub(crate) mod parsers;
pub(crate) mod partial;
pub(crate) mod reconcile;
pub(crate) mod redirect;
pub(crate) mod router;
pub(crate) mod routing;
pub(crate) mod scan;
pub(crate) mod slot;
pub(crate) mod split;
pub(crate) mod topology;
pub(crate) mod watch;
