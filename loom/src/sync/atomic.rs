//! loom's atomics, with a first value that counts as stored in the one order of all `SeqCst` accesses.
//!
//! loom lets a `SeqCst` load see no older value than that of the last `SeqCst` store, as the language does, but not so
//! for the value that an atomic begins with: two threads that store and then look at each other's atomic would both be
//! shown the beginning. `models::sync` watches over this.

use std::sync::atomic::Ordering::{self, SeqCst};

macro_rules! atomic {
    ($name:ident, $value:ty, { $($number:tt)* }) => {
        pub(crate) struct $name(loom::sync::atomic::$name);

        impl $name {
            pub(crate) fn new(value: $value) -> Self {
                let atomic = loom::sync::atomic::$name::new(value);
                atomic.store(value, SeqCst);
                Self(atomic)
            }

            pub(crate) fn load(&self, order: Ordering) -> $value {
                self.0.load(order)
            }

            #[allow(dead_code, reason = "not called of each type")]
            pub(crate) fn store(&self, value: $value, order: Ordering) {
                self.0.store(value, order);
            }

            $($number)*
        }
    };
    ($name:ident, $value:ty) => {
        atomic!($name, $value, {
            pub(crate) fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                self.0.fetch_add(value, order)
            }

            pub(crate) fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                self.0.fetch_sub(value, order)
            }

            #[allow(dead_code, reason = "not called of each type")]
            pub(crate) fn fetch_update(
                &self,
                set: Ordering,
                fetch: Ordering,
                next: impl FnMut($value) -> Option<$value>,
            ) -> Result<$value, $value> {
                self.0.fetch_update(set, fetch, next)
            }
        });
    };
}

atomic!(AtomicBool, bool, {});
atomic!(AtomicU8, u8, {});
atomic!(AtomicU64, u64);
atomic!(AtomicUsize, usize);
