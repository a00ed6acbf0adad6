//! What stands in for `src/sync.rs`: loom's primitives, and on them a `Notify` that does what tokio's documentation
//! says of tokio's, which knows loom only in tokio's own tests.

mod atomic;
mod notify;

pub(crate) use atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize};
pub(crate) use loom::sync::{Arc, Mutex, MutexGuard};
pub(crate) use notify::Notify;
