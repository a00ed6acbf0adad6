//! Several credentials, tried in order until one gives a token.

use super::{hints, tools};
use crate::{
    error::{Error, ErrorKind},
    observe::trace::target,
    token::{AccessToken, TokenFuture, TokenSource},
};
use std::sync::{Arc, OnceLock};

pub(super) struct Member {
    pub(super) name: &'static str,
    /// What gives its tokens, or why it cannot be asked at all.
    pub(super) source: Result<Arc<dyn TokenSource>, Error>,
    /// Whether the environment describes it in full: it is meant then, and nobody else, even if it cannot be used.
    pub(super) described: bool,
    /// Whether it is passed over whatever its error is: developers are signed in with one tool, and not with another.
    pub(super) lenient: bool,
}

pub(super) struct ChainSource {
    members: Vec<Member>,
    /// The first that gave a token is asked alone from then on: a service must not change who it is because of an outage.
    chosen: OnceLock<usize>,
}

/// What one member said.
struct Said {
    name: &'static str,
    error: Error,
    /// Whether there was something to authenticate with, or should have been.
    tried: bool,
}

impl ChainSource {
    pub(super) fn new(members: Vec<Member>) -> Self {
        Self { members, chosen: OnceLock::new() }
    }

    async fn token(&self) -> Result<AccessToken, Error> {
        if let Some(member) = self.chosen.get().and_then(|position| self.members.get(*position)) {
            return member.token().await;
        }
        let mut said = Vec::new();
        let mut asked = Vec::new().into_iter();
        for (position, member) in self.members.iter().enumerate() {
            if asked.len() == 0 {
                // Those that are passed over whatever they say share the time that is left.
                let together = self.members[position..].iter().take_while(|member| member.lenient).count().max(1);
                asked = tools::ask(&self.members[position..position + together]).await.into_iter();
            }
            let error = match asked.next() {
                Some(Ok(token)) => {
                    let credential = member.name;
                    tracing::debug!(name: "credential_chosen", target: target::TOKEN, credential, "credential chosen");
                    _ = self.chosen.set(position);
                    return Ok(token);
                }
                Some(Err(error)) => error,
                None => break,
            };
            let available = member.source.is_ok() && error.kind() != ErrorKind::CredentialUnavailable;
            let tried = member.described || available;
            said.push(Said { name: member.name, error, tried });
            if tried && !member.lenient {
                break;
            }
        }
        Err(summary(&said))
    }
}

impl Member {
    pub(super) async fn token(&self) -> Result<AccessToken, Error> {
        match &self.source {
            Ok(source) => source.fetch().await,
            Err(error) => Err(error.clone()),
        }
    }
}

impl TokenSource for ChainSource {
    fn fetch(&self) -> TokenFuture<'_> {
        Box::pin(self.token())
    }
}

/// One error that tells what each one said, in order, and is of the kind that matters.
fn summary(said: &[Said]) -> Error {
    let list: Vec<_> = said.iter().map(|said| format!("{}: {}", said.name, said.error.message())).collect();
    let message = format!("no credential of the default chain gave a token: {}", list.join("; "));
    match said.iter().rev().find(|said| said.tried) {
        Some(decisive) => decisive.error.clone().with_message(message),
        None => Error::new(ErrorKind::CredentialUnavailable, message).with_hint(hints::NO_CREDENTIAL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::atomic::{AtomicU32, Ordering::SeqCst},
        time::Duration,
    };

    /// Follows a script of one letter per request: a token, unavailable, rejected.
    struct Scripted {
        script: &'static str,
        asked: Arc<AtomicU32>,
    }

    impl TokenSource for Scripted {
        fn fetch(&self) -> TokenFuture<'_> {
            let number = self.asked.fetch_add(1, SeqCst) as usize;
            let act = self.script.chars().nth(number);
            Box::pin(async move {
                match act {
                    Some('t') => AccessToken::opaque("token", Duration::from_secs(60), "me"),
                    Some('u') => Err(Error::new(ErrorKind::CredentialUnavailable, "nothing here")),
                    _ => Err(Error::new(ErrorKind::CredentialRejected, "refused").with_aadsts(Some(7_000_215))),
                }
            })
        }
    }

    fn chain(scripts: &[(&'static str, bool)]) -> (ChainSource, Vec<Arc<AtomicU32>>) {
        let asked: Vec<_> = scripts.iter().map(|_| Arc::new(AtomicU32::new(0))).collect();
        let members = scripts.iter().zip(&asked).zip(["A", "B", "C"]).map(|(((script, lenient), asked), name)| {
            let source: Arc<dyn TokenSource> = Arc::new(Scripted { script, asked: Arc::clone(asked) });
            Member { name, source: Ok(source), described: false, lenient: *lenient }
        });
        (ChainSource::new(members.collect()), asked)
    }

    fn counts(asked: &[Arc<AtomicU32>]) -> Vec<u32> {
        asked.iter().map(|asked| asked.load(SeqCst)).collect()
    }

    #[tokio::test]
    async fn the_winner_stays_even_when_it_fails() {
        let (chain, asked) = chain(&[("u", false), ("ttrt", false), ("tttt", false)]);
        assert!(chain.fetch().await.is_ok());
        assert!(chain.fetch().await.is_ok());
        let error = chain.fetch().await.unwrap_err();
        assert_eq!(error.to_string(), "refused");
        assert!(chain.fetch().await.is_ok());
        assert_eq!(counts(&asked), [1, 4, 0]);
    }

    #[tokio::test]
    async fn a_rejected_credential_ends_the_search() {
        let (chain, asked) = chain(&[("uu", false), ("rr", false), ("t", false)]);
        let error = chain.fetch().await.unwrap_err();
        assert_eq!((error.kind(), error.aadsts()), (ErrorKind::CredentialRejected, Some(7_000_215)));
        assert!(error.to_string().ends_with("A: nothing here; B: refused"), "{error}");
        assert_eq!(counts(&asked), [1, 1, 0]);
        // Nothing was chosen: the search begins anew.
        _ = chain.fetch().await;
        assert_eq!(counts(&asked), [2, 2, 0]);
    }

    #[tokio::test]
    async fn a_developers_tool_that_fails_is_passed_over() {
        let (chain, asked) = chain(&[("r", true), ("t", true)]);
        assert!(chain.fetch().await.is_ok());
        assert_eq!(counts(&asked), [1, 1]);
        let (chain, _) = self::chain(&[("r", true), ("u", true)]);
        let error = chain.fetch().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CredentialRejected);
        assert!(error.to_string().ends_with("A: refused; B: nothing here"), "{error}");
    }

    #[tokio::test]
    async fn what_is_described_in_full_ends_the_search_even_if_it_cannot_be_used() {
        for unusable in [false, true] {
            let (mut chain, asked) = chain(&[("u", false), ("t", false)]);
            chain.members[0].described = true;
            if unusable {
                chain.members[0].source = Err(Error::config("x", "cannot be read"));
            }
            let error = chain.fetch().await.unwrap_err();
            let kind = if unusable { ErrorKind::Configuration } else { ErrorKind::CredentialUnavailable };
            assert_eq!((error.kind(), error.hint()), (kind, None), "{error}");
            assert_eq!(asked[1].load(SeqCst), 0);
        }
    }

    #[tokio::test]
    async fn when_nothing_is_there_all_of_it_is_listed() {
        let (mut chain, _) = chain(&[("u", false), ("u", true)]);
        let source = Err(Error::config("x", "is missing"));
        chain.members.push(Member { name: "C", source, described: false, lenient: false });
        let error = chain.fetch().await.unwrap_err();
        assert_eq!((error.kind(), error.hint()), (ErrorKind::CredentialUnavailable, Some(hints::NO_CREDENTIAL)));
        assert!(error.to_string().contains("A: nothing here; B: nothing here; C: `x` is missing"), "{error}");
    }
}
