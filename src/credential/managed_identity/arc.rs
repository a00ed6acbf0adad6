//! Azure Arc, for servers outside of Azure: its agent wants to see that the caller can read a file of its own.

use super::{
    Request,
    endpoint::{Endpoint, sensitive},
};
use crate::{
    credential::{hints, http, process_env::ProcessEnv},
    error::{Error, ErrorKind},
    secret::Secret,
    token::{AccessToken, TokenFuture, TokenSource},
};
use std::{
    fs::{self, File},
    io::Read,
    path::{Component, Path, PathBuf},
};

/// Where the agent listens, if no variable says otherwise.
pub(super) const ENDPOINT: &str = "http://127.0.0.1:40342/metadata/identity/oauth2/token";

/// The largest challenge file that the agent writes.
const LARGEST_KEY: u64 = 4096;

pub(super) struct ArcSource {
    endpoint: Endpoint,
    /// The only directory that challenge files may lie in.
    tokens: PathBuf,
}

impl ArcSource {
    pub(super) fn new(request: &Request<'_>, endpoint: &str, env: &ProcessEnv) -> Result<Self, Error> {
        request.identity.must_be_system_assigned("Azure Arc has no user-assigned identities")?;
        let endpoint = Endpoint::new("IDENTITY_ENDPOINT", endpoint, "arc")?
            .parameter("api-version", "2020-06-01")
            .parameter("resource", request.resource)
            .header("metadata", "true");
        Ok(Self { endpoint, tokens: env.arc_tokens.clone() })
    }

    async fn token(&self) -> Result<AccessToken, Error> {
        let url = self.endpoint.url();
        let answer = http::send(self.endpoint.request(), url).await?;
        if answer.is_success() {
            return Err(refused("gave an answer without a challenge"));
        }
        if answer.status != 401 {
            return self.endpoint.read(answer);
        }
        let path =
            answer.challenge.as_deref().and_then(realm).ok_or_else(|| refused("sent no challenge with its 401"))?;
        let tokens = self.tokens.clone();
        let key = tokio::task::spawn_blocking(move || read_key(&path, &tokens))
            .await
            .map_err(|_| refused("sent a challenge that could not be read"))??;
        let authorization = sensitive(&format!("Basic {}", key.expose()), "the challenge file of Azure Arc")?;
        let answer = http::send(self.endpoint.request().header("authorization", authorization), url).await?;
        self.endpoint.read(answer.to(&key))
    }
}

impl TokenSource for ArcSource {
    fn fetch(&self) -> TokenFuture<'_> {
        Box::pin(self.token())
    }
}

/// The agent, or whoever answers in its place, did what it must not; trying again changes nothing.
fn refused(what: &str) -> Error {
    Error::new(ErrorKind::TokenEndpoint, format!("the endpoint of Azure Arc {what}")).with_transient(false)
}

/// The path in `Basic realm=PATH`.
pub(in crate::credential) fn realm(challenge: &str) -> Option<PathBuf> {
    const PREFIX: &str = "basic realm=";
    let challenge = challenge.trim();
    let start = challenge.get(..PREFIX.len())?;
    if !start.eq_ignore_ascii_case(PREFIX) {
        return None;
    }
    let path = challenge[PREFIX.len()..].trim().trim_matches('"');
    (!path.is_empty()).then(|| PathBuf::from(path))
}

/// The content of a challenge file, once it is certain to be one: whoever answers on the endpoint's port must not be
/// able to have any other file sent to it.
pub(in crate::credential) fn read_key(path: &Path, tokens: &Path) -> Result<Secret, Error> {
    let named = |what: &str| refused(&format!("names a challenge file {what}; it is not read"));
    let plain = |part: Component<'_>| !matches!(part, Component::ParentDir | Component::CurDir);
    if !path.is_absolute() || !path.components().all(plain) || path.parent() != Some(tokens) {
        return Err(named("outside of the agent's directory"));
    }
    if path.extension().is_none_or(|extension| extension != "key") {
        return Err(named("that does not end in `.key`"));
    }
    let unreadable = |source: std::io::Error| {
        Error::new(ErrorKind::CredentialUnavailable, "the challenge file of Azure Arc's agent cannot be read")
            .with_hint(hints::KEY_GROUP)
            .with_source(source)
    };
    // Of the link itself, if it is one.
    let kind = fs::symlink_metadata(path).map_err(unreadable)?;
    if !kind.is_file() {
        return Err(named("that is not a plain file"));
    }
    if kind.len() > LARGEST_KEY {
        return Err(named("of more than 4096 bytes"));
    }
    // It may have grown meanwhile.
    let mut key = zeroize::Zeroizing::new(String::new());
    File::open(path).and_then(|file| file.take(LARGEST_KEY + 1).read_to_string(&mut key)).map_err(unreadable)?;
    if key.len() as u64 > LARGEST_KEY {
        return Err(named("of more than 4096 bytes"));
    }
    Ok(Secret::new(key.trim()))
}

#[cfg(test)]
mod tests;
