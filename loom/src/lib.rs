//! Models of `entra-redis`: the crate's own files over loom's primitives, run in every order of their threads' steps.
//!
//! The files are taken from `src/` by their paths. What they share between threads comes from `crate::sync`, which is
//! [`sync`] here.

#![forbid(unsafe_code)]

#[allow(dead_code, reason = "the crate's own files have more than models call")]
#[path = "../../src/admission.rs"]
mod admission;
#[allow(
    dead_code,
    clippy::missing_errors_doc,
    clippy::must_use_candidate,
    reason = "what is public there is private here"
)]
#[path = "../../src/error.rs"]
mod error;
#[path = "../../src/lock.rs"]
mod lock;

#[allow(dead_code, reason = "the crate's own files have more than models call")]
mod link;
mod sync;

pub mod models;
