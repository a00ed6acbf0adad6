//! From a host name to an encrypted stream.

pub(crate) mod dialer;
pub(crate) mod pem;
pub(crate) mod resolve;
pub(crate) mod tcp;
pub(crate) mod tls;
