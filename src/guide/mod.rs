//! The guide: from an empty subscription to a service that runs, page by page.
//!
//! | you want to | page |
//! |---|---|
//! | create a cache that your service may use | [`azure_setup`] |
//! | know which credential fits where your code runs | [`credentials`] |
//! | deploy to Kubernetes | [`kubernetes`] |
//! | look up a setting, or set up TLS | [`settings`] |
//! | know what happens when a token is renewed | [`rotation`] |
//! | know what a command's error means, and what is sent again | [`failures`] |
//! | use a cache of several nodes | [`clusters`] |
//! | subscribe to channels, and know what may have been missed | [`pubsub`] |
//! | have reads come from memory | [`near_cache`] |
//! | wait for elements, or write only what nobody else has changed | [`blocking`] |
//! | watch it: figures, events, probes, a dashboard and alerts | [`observability`] |
//! | test your own code without Azure | [`testing`] |
//! | know how fast it is, and how that was measured | [`performance`] |
//! | stay with fred, rustis, deadpool-redis or another client, on tokens of this crate | [`bridges`] |
//! | come from another client, from access keys, or from Azure Cache for Redis | [`migration`] |
//! | let the doctor look, and know what it found | [`doctor`] |
//! | look up an error by its text | [`troubleshooting`] |
//! | ask what others have asked | [`faq`] |
//!
//! A few words are used throughout. A *token* is what Microsoft Entra ID gives out in place of a password; it is good
//! for an hour to a day. A *credential* is how your code proves to Microsoft Entra ID who it is. The *object id* is
//! what a user, a service principal or a managed identity is called in a tenant; it is the Redis user name. An *access
//! policy assignment* is the cache's permission for one object id. A *link* is one connection to Redis. A *rotation* is
//! a new token reaching every link.
//!
//! This module is there in the documentation only: it is not compiled into your program.

// A page is a Markdown file beside this one, a module below and a row above; `tests/guide` notices when one of them is
// missing.

#[doc = include_str!("azure_setup.md")]
pub mod azure_setup {}

#[doc = include_str!("credentials.md")]
pub mod credentials {}

#[doc = include_str!("kubernetes.md")]
pub mod kubernetes {}

#[doc = include_str!("settings.md")]
pub mod settings {}

#[doc = include_str!("rotation.md")]
#[doc = include_str!("pictures/rotation.svg")]
#[doc = ""]
#[doc = include_str!("pictures/pool.svg")]
pub mod rotation {}

#[doc = include_str!("failures.md")]
pub mod failures {}

#[doc = include_str!("clusters.md")]
pub mod clusters {}

#[doc = include_str!("pubsub.md")]
pub mod pubsub {}

#[doc = include_str!("near_cache.md")]
pub mod near_cache {}

#[doc = include_str!("blocking.md")]
pub mod blocking {}

#[doc = include_str!("observability.md")]
pub mod observability {}

#[doc = include_str!("testing.md")]
pub mod testing {}

#[doc = include_str!("performance.md")]
pub mod performance {}

#[doc = include_str!("migration.md")]
pub mod migration {}

#[doc = include_str!("bridges.md")]
pub mod bridges {}

#[doc = include_str!("doctor.md")]
pub mod doctor {}

#[doc = include_str!("troubleshooting.md")]
pub mod troubleshooting {}

#[doc = include_str!("faq.md")]
pub mod faq {}
