//! One call, from its handle to its reply.

pub(crate) mod call;
pub(crate) mod core;
mod exec_abort;
pub(crate) mod lease;
pub(crate) mod order;
mod redirects;
pub(crate) mod request;
mod retry;
pub(crate) mod scatter;
mod slow_path;
mod waiting;
