//! An async connection manager for [Azure Managed Redis](https://learn.microsoft.com/azure/redis/) with Microsoft Entra
//! ID authentication.
//!
//! [`EntraRedis::connect`] gives a handle that all tasks of a service share for its whole life. Behind it, a
//! [`ConnectionManager`] keeps a pool of multiplexed TLS connections and a valid token: it fetches a token, renews it
//! in time, and re-authenticates every live connection, so that no command fails or waits because a token rotated.
//!
//! ```
//! use entra_redis::{Config, Credential, EntraRedis, emulator::Emulator};
//! use redis::AsyncCommands;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // The emulator plays Azure here; in production it is your tenant and your cache's host name, port 10000.
//! let azure = Emulator::builder().start().await?;
//! let credential = Credential::service_principal(azure.client_id(), azure.client_secret(), azure.tenant_id())
//!     .authority_host(azure.authority_host());
//! let config = Config::new(credential).tls(azure.tls());
//! let redis = EntraRedis::connect(azure.host(), azure.port(), config).await?;
//!
//! let mut con = redis.clone(); // cheap; one per task
//! let _: () = con.set("greeting", "hello").await?;
//! assert_eq!(con.get::<_, String>("greeting").await?, "hello");
//! # Ok(())
//! # }
//! ```
//!
//! The handle implements the `redis` crate's [`ConnectionLike`](redis::aio::ConnectionLike), so that `AsyncCommands`,
//! `pipe()`, `Script` and SCAN iterators work on it.
//!
//! The [`guide`] leads from an empty subscription to a service that runs: Azure set-up, credentials, Kubernetes, what
//! happens when tokens rotate and connections fail, migration, and errors by their text.
//!
//! # Features
//!
//! - `pkcs12`: certificates of app registrations in PKCS#12 (PFX) files, besides PEM. It is not on by default, because
//!   it brings 70 crates.
//! - `emulator`: a local Entra ID, IMDS and Azure Managed Redis, for examples and tests, in the module of that name.
//! - `cli`: the program `entra-redis`, with a demo, a doctor, tokens, the emulator and load. A program that uses the
//!   library does not need it.
//! - `metrics`: connections, commands and tokens in figures for the `metrics` facade, from which exporters for
//!   Prometheus and others take them. They go to the recorder that is installed when [`EntraRedis::connect`] is called:
//!   durations as they are measured, the rest once a second.
//! - `near-cache`: `EntraRedis::cached`, a handle whose reads come from memory while Redis says that they have not
//!   changed.
//! - `azure-core`: `Credential::azure_core` takes a credential of the Azure SDK for Rust, of `azure_identity` for
//!   example.
//! - `serde`: a [`Config`] from a file of settings, by `serde::Deserialize`.
//! - `streaming-credentials`, `fred`, `rustis`: `EntraCredentials`, this crate's tokens for connections of other
//!   clients: as a `StreamingCredentialsProvider` of the `redis` crate, a `CredentialProvider` of fred 10, and a
//!   `CredentialsProvider` of rustis 0.27. What each of them cannot do is in [`guide::bridges`].
//!
//! `bench-api` is what the benches and the fuzz targets reach for; it is no part of the API, and may change or go in
//! any version. Nor is the module `doctor`, which the program reaches for.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(unreachable_pub, clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod admission;
#[cfg(test)]
mod architecture;
#[cfg(feature = "bench-api")]
#[doc(hidden)]
pub mod bench_api;
#[cfg(any(feature = "fred", feature = "rustis", feature = "streaming-credentials"))]
mod bridges;
mod client;
mod cluster;
mod command;
mod config_check;
mod credential;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod doctor;
#[cfg(feature = "emulator")]
pub mod emulator;
mod error;
mod exec;
#[cfg(any(doc, doctest))]
pub mod guide;
mod ids;
mod link;
mod lock;
#[cfg(feature = "near-cache")]
mod near_cache;
mod observe;
mod pool;
mod resp;
mod retry;
mod secret;
mod sync;
mod timer;
mod token;
mod transport;
mod uuid;

pub use admission::{CommandStats, FailedCommands, Overload};
#[cfg(any(feature = "fred", feature = "rustis", feature = "streaming-credentials"))]
pub use bridges::EntraCredentials;
#[cfg(feature = "near-cache")]
pub use client::{CacheOptions, CachedRedis};
pub use client::{
    Config, ConnectionManager, Dedicated, Delivery, EntraRedis, GapReason, PubSub, PubSubSink, PubSubStream, Topic,
};
pub use cluster::{
    discovery::{Startup, Topology},
    endpoint::NodeEndpoint,
};
pub use credential::{ClientCertificate, Cloud, Credential, ManagedIdentity};
pub use error::{Error, ErrorKind, Stage};
pub use observe::{
    event::{Counters, Event},
    health::Health,
    stats::{CacheStats, LinkPurpose, LinkState, LinkStats, NodeStats, Stats, TokenFailure, TokenStats, TrackingStats},
};
pub use retry::RetryPolicy;
pub use secret::Secret;
pub use token::{AccessToken, TokenFuture, TokenManagerConfig, TokenSource};
pub use transport::tls::Tls;

/// The version of the `redis` crate whose types are in this crate's public API.
pub use redis;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
