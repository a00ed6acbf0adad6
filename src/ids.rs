//! Ids of Microsoft Entra ID, and what stands in the place of one: a secret may have been put there by mistake, such as
//! an access key as the user name of a URL. An id that has not the form of one is shown nowhere, nor is a user name
//! that may be a key.

use crate::secret::Secret;
use std::{fmt, sync::Arc};

/// What is shown in the place of something that is no id.
pub(crate) const NO_ID: &str = "(no id, and not shown)";

/// No key or secret of Azure's is shorter. What is shorter is blanked as a whole, and not in parts: half a word such as
/// `app` is in many others.
const SHORTEST_SECRET: usize = 16;

/// What is shorter is not blanked: it is no secret, and any text has such letters in its words.
const SHORTEST_WORD: usize = 4;

/// Keys of caches and client secrets have 40 characters and more. A user name of Redis may be anything, and whoever
/// reads an error has to know which one was refused, so one that is much shorter is shown.
const SHORTEST_KEY: usize = 24;

/// Whether it has the form of an object id, a client id or a tenant id.
pub(crate) fn is_id(text: &str) -> bool {
    let is_fit = |(at, c): (usize, char)| if matches!(at, 8 | 13 | 18 | 23) { c == '-' } else { c.is_ascii_hexdigit() };
    text.len() == 36 && text.char_indices().all(is_fit)
}

/// A client id or an object id, as it may be shown.
pub(crate) fn shown(id: &str) -> &str {
    if is_id(id) { id } else { NO_ID }
}

/// A tenant, which is named by its id or by a domain, as it may be shown.
pub(crate) fn shown_tenant(tenant: &str) -> &str {
    let is_domain = tenant.contains('.') && tenant.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
    if is_domain { tenant } else { shown(tenant) }
}

/// A managed identity's Azure resource id, as it may be shown.
pub(crate) fn shown_resource(id: &str) -> &str {
    if id.starts_with("/subscriptions/") { id } else { NO_ID }
}

/// The text of a server that was sent these secrets, and `id` in the place of an id, without any part of them. If `id`
/// has the form of one, it is left in.
pub(crate) fn scrub<'a>(secrets: impl IntoIterator<Item = &'a Secret>, id: &str, text: &str) -> String {
    // An id with quotes or white space around it, such as the newline at the end of a file, is still no secret.
    let is_id = is_id(id.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')));
    if is_id || id.len() < SHORTEST_SECRET {
        let text = Secret::scrub_all(secrets, text);
        return if is_id || id.len() < SHORTEST_WORD { text } else { text.replace(id, NO_ID) };
    }
    let mut all: Vec<Secret> = secrets.into_iter().cloned().collect();
    all.push(Secret::new(id));
    Secret::scrub_all(&all, text)
}

/// A Redis user name: the object id of a principal, if all is right. It shows itself unless it may be a key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct UserName(Arc<str>);

impl UserName {
    pub(crate) fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name itself, for the place that has to send it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_blank(&self) -> bool {
        self.0.trim().is_empty()
    }

    /// Whether it may be shown.
    pub(crate) fn is_shown(&self) -> bool {
        is_id(&self.0) || self.0.len() < SHORTEST_KEY
    }

    /// The name, or what is shown in its place.
    pub(crate) fn shown(&self) -> &str {
        if self.is_shown() { &self.0 } else { NO_ID }
    }

    /// The text of a server that was sent this name and this secret, without any part of them that must not be shown.
    pub(crate) fn scrub(&self, secret: &Secret, text: &str) -> String {
        if self.is_shown() { secret.scrub(text) } else { scrub([secret], &self.0, text) }
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.shown())
    }
}

impl fmt::Debug for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.shown())
    }
}

#[cfg(test)]
mod tests;
