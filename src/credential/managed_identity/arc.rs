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
mod tests {
    use super::*;

    #[test]
    fn the_realm_is_the_path() {
        for challenge in ["Basic realm=/a/b.key", "basic realm=\"/a/b.key\"", " BASIC REALM=/a/b.key "] {
            assert_eq!(realm(challenge), Some(PathBuf::from("/a/b.key")), "{challenge}");
        }
        for nonsense in ["", "Basic", "Basic realm=", "Bearer realm=/a/b.key", "Basic realm=\"\"", "é"] {
            assert_eq!(realm(nonsense), None, "{nonsense}");
        }
    }

    struct Agent {
        root: tempfile::TempDir,
        tokens: PathBuf,
    }

    impl Agent {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let tokens = root.path().join("tokens");
            fs::create_dir_all(tokens.join("deeper")).unwrap();
            Self { root, tokens }
        }

        fn file(&self, path: &str, bytes: usize) -> PathBuf {
            let path = self.root.path().join(path);
            fs::write(&path, "k".repeat(bytes)).unwrap();
            path
        }

        fn refuses(&self, path: &Path, why: &str) {
            let error = read_key(path, &self.tokens).unwrap_err();
            assert_eq!((error.kind(), error.is_transient()), (ErrorKind::TokenEndpoint, false), "{}", path.display());
            let text = error.to_string();
            assert!(text.contains(why) && !text.contains("kkkk"), "{}: {text}", path.display());
        }
    }

    #[test]
    fn a_challenge_file_is_read() {
        let agent = Agent::new();
        assert_eq!(read_key(&agent.file("tokens/a.key", 4096), &agent.tokens).unwrap().expose().len(), 4096);
        let path = agent.file("tokens/b.key", 0);
        fs::write(&path, "content\n").unwrap();
        assert_eq!(read_key(&path, &agent.tokens).unwrap().expose(), "content");
    }

    #[test]
    fn hostile_paths_are_refused_unread() {
        let agent = Agent::new();
        let elsewhere = "outside of the agent's directory";
        agent.refuses(&agent.file("secret.key", 10), elsewhere);
        agent.refuses(&agent.file("tokens/deeper/a.key", 10), elsewhere);
        _ = agent.file("tokens/a.key", 10);
        agent.refuses(&agent.tokens.join("../secret.key"), elsewhere);
        agent.refuses(&agent.tokens.join("../tokens/a.key"), elsewhere);
        agent.refuses(&agent.tokens.join("deeper/../a.key"), elsewhere);
        agent.refuses(Path::new("a.key"), elsewhere);
        agent.refuses(&agent.tokens, elsewhere);
        agent.refuses(&agent.file("tokens/a.txt", 10), "`.key`");
        agent.refuses(&agent.file("tokens/key", 10), "`.key`");
        agent.refuses(&agent.file("tokens/large.key", 5 * 1024), "4096 bytes");
        let directory = agent.tokens.join("d.key");
        fs::create_dir(&directory).unwrap();
        agent.refuses(&directory, "not a plain file");
    }

    #[cfg(unix)]
    #[test]
    fn a_symlink_is_refused_wherever_it_leads() {
        let agent = Agent::new();
        for (name, target) in [("out.key", agent.file("secret.key", 10)), ("in.key", agent.file("tokens/a.key", 10))] {
            let link = agent.tokens.join(name);
            std::os::unix::fs::symlink(&target, &link).unwrap();
            agent.refuses(&link, "not a plain file");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_names_the_group() {
        let agent = Agent::new();
        let error = read_key(&agent.tokens.join("missing.key"), &agent.tokens).unwrap_err();
        assert_eq!((error.kind(), error.hint()), (ErrorKind::CredentialUnavailable, Some(hints::KEY_GROUP)));
    }
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_challenge_is_a_reason_to_panic(text in any::<String>()) {
            for challenge in [text.clone(), format!("Basic realm={text}"), format!("Basic realm=\"{text}")] {
                _ = super::realm(&challenge);
            }
        }
    }
}
