//! The nodes that commands are sent to. A single endpoint is one node.

pub(crate) mod node;
