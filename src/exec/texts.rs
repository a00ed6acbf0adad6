//! What the errors of several kinds of requests say alike.

use super::core::Core;
use crate::error::{Error, ErrorKind, Stage};
use std::fmt::Display;

/// Whom a link leads to, in words: on a single endpoint there is no other node.
pub(super) fn server(core: &Core, node: Option<impl Display>) -> String {
    let node = node.filter(|_| core.cluster().is_some());
    node.map_or_else(|| "Redis".to_owned(), |node| format!("Redis at {node}"))
}

/// The error of what was not sent in time, as `text` says, with the reason why it could not be, if that is known.
pub(super) fn not_sent_in_time(text: impl Into<String>, reason: Option<Error>) -> Error {
    let (kind, text) = (ErrorKind::Timeout(Stage::Command), text.into());
    match reason {
        Some(source) => Error::new(kind, format!("{text}; the last attempt: {source}")).not_run().with_source(source),
        None => Error::new(kind, text).not_run(),
    }
}
