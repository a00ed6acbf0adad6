//! The primitives of code in which a wrong order of statements would leave a task asleep for ever: `loom/` puts its own
//! in their place, and runs that code in every order.

pub(crate) use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize},
};
pub(crate) use tokio::sync::Notify;
