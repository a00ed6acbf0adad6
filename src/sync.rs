//! What tasks share, where the order of statements decides whether somebody is forgotten: `loom/` puts its own
//! primitives here, and runs the code above them in every order.

pub(crate) use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize},
};
pub(crate) use tokio::sync::Notify;
