//! placeholder docs

mod client;
mod config;
mod config_check;
mod credential;
#[cfg(feature = "emulator")]
pub mod emulator;
mod error;
mod event;
mod guard;
mod link;
mod manager;
mod pool;
mod retry;
mod secret;
mod tls;
mod token;

pub use client::EntraRedis;
pub use config::Config;
pub use credential::{Credential, ManagedIdentity};
pub use error::{Error, ErrorKind, Stage};
pub use event::{Counters, Event};
pub use manager::{ConnectionManager, LinkStats, Stats, TokenStats};
pub use retry::RetryPolicy;
pub use secret::Secret;
pub use tls::Tls;
pub use token::{AccessToken, TokenFuture, TokenManagerConfig, TokenSource};

pub use redis;
