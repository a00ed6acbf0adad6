//! One call, from its handle to its reply.

pub(crate) mod again;
pub(crate) mod blocking;
pub(crate) mod call;
pub(crate) mod core;
mod course;
mod exec_abort;
mod finding;
pub(crate) mod iteration;
mod last_ids;
pub(crate) mod lease;
pub(crate) mod order;
mod permits;
mod record;
mod redirects;
mod replicas;
pub(crate) mod request;
mod retry;
pub(crate) mod scatter;
pub(crate) mod session;
mod slices;
mod slow_path;
mod texts;
mod waiting;
