//! `entra-redis` as people use it: its help, its errors, its colours, and how it ends.

mod commands;
mod errors;
#[cfg(unix)]
mod on_a_terminal;
