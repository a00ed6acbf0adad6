//! How long to wait before trying again.

mod backoff;
mod policy;

pub(crate) use backoff::Backoff;
pub use policy::RetryPolicy;

#[cfg(test)]
mod tests;
