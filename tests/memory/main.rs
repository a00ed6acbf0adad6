//! What commands cost in memory.
//!
//! A program of its own: the allocator counts what is allocated, and the process's memory must be that of these tests
//! alone.

mod allocations;
#[cfg(target_os = "linux")]
mod overload;
