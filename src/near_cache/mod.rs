//! What is kept of a server's values in memory: which replies, for how long, and what makes them invalid. It does no
//! I/O: `client/cached` asks the servers, and chooses the connection.

mod clock;
mod coverage;
mod flights;
mod form;
mod kept;
mod store;
mod tally;
mod weight;

pub(crate) use clock::Both;
pub(crate) use coverage::Coverage;
pub(crate) use flights::{Came, Flight};
pub(crate) use form::{Query, Read};
pub(crate) use store::{Limits, Store};
