//! A handle from its settings to its end: what is refused at once, how it connects, whose runtime it lives on, and that
//! it leaves nothing behind.

mod bad_input;
mod connecting;
mod handles;
mod public_types;
mod runtimes;
mod set_up;
mod shutdown;
mod tls_settings;
