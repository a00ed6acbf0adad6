//! `entra-redis` as people use it: its help, its errors, its colours, how it ends, and what its load checks.

mod commands;
mod errors;
#[cfg(unix)]
mod on_a_terminal;
mod soak;
mod soak_checks;
