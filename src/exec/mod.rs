//! One call, from its handle to its reply.

pub(crate) mod call;
mod exec_abort;
pub(crate) mod order;
pub(crate) mod request;
mod retry;
