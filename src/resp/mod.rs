//! The Redis protocol as bytes and values; nothing here knows of connections.

pub(crate) mod claims;
pub(crate) mod line;
pub(crate) mod pack;
pub(crate) mod parse;
pub(crate) mod scan;
