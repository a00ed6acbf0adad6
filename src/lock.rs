//! Short critical sections around plain data.

use crate::sync::{Mutex, MutexGuard};
use std::sync::PoisonError;

/// Locks `mutex`. What these locks protect is valid after every single statement, so a panic elsewhere spoils nothing.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
