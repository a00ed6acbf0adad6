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
    // Nothing was chosen: the search begins again.
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
