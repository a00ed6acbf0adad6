//! Many nodes behind one handle: which node owns a key's slot, how that is learned, and how one request becomes several.
//!
//! - `slot`: the slot of a key; `address`: the name of a node;
//! - `topology`: the answer to `CLUSTER SLOTS`; `reconcile`: what of it is believed; `map`: the snapshot that commands
//!   read.

// The parts stand before the router that uses them.
#![cfg_attr(not(test), expect(dead_code, reason = "nothing calls it before the router does"))]

pub(crate) mod address;
pub(crate) mod map;
pub(crate) mod reconcile;
pub(crate) mod slot;
pub(crate) mod topology;
