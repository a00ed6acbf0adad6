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
}

pub(super) struct ChainSource {
    /// Asked one by one; the first that is there at all decides.
    strict: Vec<Member>,
    /// Asked together after them, and passed over whatever their errors are: developers are signed in with one tool,
    /// and not with another.
    tools: Vec<Member>,
    /// The first that gave a token is asked alone from then on: a service must not change who it is because of an
    /// outage.
    chosen: OnceLock<Arc<dyn TokenSource>>,
}

/// What one member said.
struct Said {
    name: &'static str,
    error: Error,
    /// Whether there was something to authenticate with, or should have been.
    tried: bool,
}

impl ChainSource {
    pub(super) fn new(strict: Vec<Member>, tools: Vec<Member>) -> Self {
        Self { strict, tools, chosen: OnceLock::new() }
    }

    async fn token(&self) -> Result<AccessToken, Error> {
        if let Some(source) = self.chosen.get() {
            return source.fetch().await;
        }
        let mut said = Vec::new();
        for member in &self.strict {
            match member.token().await {
                Ok(token) => return Ok(self.choose(member, token)),
                Err(error) => said.push(member.said(error)),
            }
            if said.last().is_some_and(|last| last.tried) {
                return Err(summary(&said));
            }
        }
        for (member, outcome) in self.tools.iter().zip(tools::ask(&self.tools).await) {
            match outcome {
                Ok(token) => return Ok(self.choose(member, token)),
                Err(error) => said.push(member.said(error)),
            }
        }
        Err(summary(&said))
    }

    fn choose(&self, member: &Member, token: AccessToken) -> AccessToken {
        let credential = member.name;
        tracing::debug!(name: "credential_chosen", target: target::TOKEN, credential, "credential chosen");
        if let Ok(source) = &member.source {
            _ = self.chosen.set(Arc::clone(source));
        }
        token
    }
}

impl Member {
    pub(super) async fn token(&self) -> Result<AccessToken, Error> {
        match &self.source {
            Ok(source) => source.fetch().await,
            Err(error) => Err(error.clone()),
        }
    }

    fn said(&self, error: Error) -> Said {
        let available = self.source.is_ok() && error.kind() != ErrorKind::CredentialUnavailable;
        Said { name: self.name, error, tried: self.described || available }
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
    let error = match said.iter().rev().find(|said| said.tried) {
        Some(decisive) => decisive.error.clone().with_message(message),
        None => Error::new(ErrorKind::CredentialUnavailable, message).with_hint(hints::NO_CREDENTIAL),
    };
    // What was not there, such as an IMDS that was busy, may be there the next time.
    let absent = said.iter().filter(|said| !said.tried && said.error.is_transient()).map(|said| &said.error);
    absent.fold(error, |error, absent| {
        let longest = error.retry_after().max(absent.retry_after());
        longest.into_iter().fold(error.with_transient(true), Error::with_retry_after)
    })
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
                    Some('b') => Err(Error::new(ErrorKind::CredentialUnavailable, "busy")
                        .with_transient(true)
                        .with_retry_after(Duration::from_secs(7))),
                    _ => Err(Error::new(ErrorKind::CredentialRejected, "refused").with_aadsts(Some(7_000_215))),
                }
            })
        }
    }

    fn chain(scripts: &[(&'static str, bool)]) -> (ChainSource, Vec<Arc<AtomicU32>>) {
        let asked: Vec<_> = scripts.iter().map(|_| Arc::new(AtomicU32::new(0))).collect();
        let (mut strict, mut tools) = (Vec::new(), Vec::new());
        for (((script, is_tool), asked), name) in scripts.iter().zip(&asked).zip(["A", "B", "C"]) {
            let source: Arc<dyn TokenSource> = Arc::new(Scripted { script, asked: Arc::clone(asked) });
            let members = if *is_tool { &mut tools } else { &mut strict };
            members.push(Member { name, source: Ok(source), described: false });
        }
        (ChainSource::new(strict, tools), asked)
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
    async fn what_is_busy_may_be_there_later() {
        for scripts in [&[("b", false), ("u", true)][..], &[("b", false), ("r", true)], &[("b", false), ("u", false)]] {
            let (chain, _) = chain(scripts);
            let error = chain.fetch().await.unwrap_err();
            assert!(error.is_transient(), "{error}");
            assert_eq!(error.retry_after(), Some(Duration::from_secs(7)), "{error}");
        }
        let (chain, _) = chain(&[("u", false), ("u", true)]);
        assert!(!chain.fetch().await.unwrap_err().is_transient());
    }

    #[tokio::test]
    async fn what_is_described_in_full_ends_the_search_even_if_it_cannot_be_used() {
        for unusable in [false, true] {
            let (mut chain, asked) = chain(&[("u", false), ("t", false)]);
            chain.strict[0].described = true;
            if unusable {
                chain.strict[0].source = Err(Error::config("x", "cannot be read"));
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
        chain.tools.push(Member { name: "C", source, described: false });
        let error = chain.fetch().await.unwrap_err();
        assert_eq!((error.kind(), error.hint()), (ErrorKind::CredentialUnavailable, Some(hints::NO_CREDENTIAL)));
        assert!(error.to_string().contains("A: nothing here; B: nothing here; C: `x` is missing"), "{error}");
    }
}
