use super::*;
use crate::{lock::lock, retry::RetryPolicy, token::AccessToken};
use futures_util::StreamExt;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::timeout;

/// Tokens of a second each, named as scripted; an empty name is a failure.
fn start(script: &[&'static str]) -> EntraCredentials {
    let script: Arc<Mutex<VecDeque<&str>>> = Arc::new(Mutex::new(script.iter().copied().collect()));
    let credential = Credential::custom(move || {
        let name = lock(&script).pop_front().unwrap_or_default();
        async move {
            if name.is_empty() {
                // Of a kind that would be a lost connection if it were a command's.
                return Err(Error::new(ErrorKind::Connect, "refused").with_transient(false));
            }
            AccessToken::opaque(name, Duration::from_secs(1), "me")
        }
    });
    let config = TokenManagerConfig::new()
        .lower_refresh_bound(Duration::ZERO)
        .min_refresh_interval(Duration::from_millis(100))
        .retry_policy(RetryPolicy::new().max_attempts(1));
    EntraCredentials::start(credential, config).unwrap()
}

type Credentials = Pin<Box<dyn Stream<Item = RedisResult<BasicAuth>> + Send>>;

async fn next(stream: &mut Credentials) -> RedisResult<BasicAuth> {
    timeout(Duration::from_secs(10), stream.next()).await.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_subscriber_gets_the_current_token_and_each_new_one() {
    let credentials = start(&["one", "two", "three"]);
    let (mut early, mut other) = (credentials.subscribe(), credentials.subscribe());
    for expected in ["one", "two"] {
        for stream in [&mut early, &mut other] {
            let auth = next(stream).await.unwrap();
            assert_eq!((auth.username(), auth.password()), ("me", expected));
        }
    }
    // One that comes late starts with what is in use; the provider itself is not needed for what follows.
    let mut late = credentials.subscribe();
    drop((credentials, other));
    assert_eq!(next(&mut late).await.unwrap().password(), "two");
    for stream in [&mut early, &mut late] {
        assert_eq!(next(stream).await.unwrap().password(), "three");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_token_that_does_not_come() {
    let credentials = start(&["", "", "after all"]);
    let mut stream = credentials.subscribe();
    let error = next(&mut stream).await.unwrap_err();
    assert_eq!(error.kind(), redis::ErrorKind::AuthenticationFailed);
    assert!(error.to_string().contains("refused"), "{error}");
    assert_eq!(next(&mut stream).await.unwrap().password(), "after all");
    // The script is at its end: told once the token has died, not before.
    assert!(next(&mut stream).await.is_err());
}

#[test]
fn without_a_runtime_it_is_an_error_and_no_panic() {
    let credential = Credential::custom(|| async { AccessToken::opaque("t", Duration::from_secs(1), "me") });
    let error = EntraCredentials::start(credential, TokenManagerConfig::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let nonsense = TokenManagerConfig::new().expiration_refresh_ratio(0.0);
    let credential = Credential::custom(|| async { AccessToken::opaque("t", Duration::from_secs(1), "me") });
    assert!(EntraCredentials::start(credential, nonsense).unwrap_err().to_string().contains("ratio"));
}
