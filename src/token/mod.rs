//! Tokens: what they are, where they come from, when they are renewed.

mod access_token;
mod actor;
mod limit;
mod manager_config;
mod schedule;
mod source;
mod view;

pub use access_token::AccessToken;
pub(crate) use access_token::{Hints, wall_time};
pub(crate) use actor::TokenActor;
pub(crate) use limit::{RequestLimit, in_time};
pub use manager_config::TokenManagerConfig;
pub use source::{TokenFuture, TokenSource};
pub(crate) use view::{Current, Tokens};
