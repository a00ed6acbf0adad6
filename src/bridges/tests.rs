use super::*;
use crate::{lock::lock, retry::RetryPolicy, token::AccessToken};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

/// Tokens of a second each, named as scripted; an empty name is a failure.
pub(super) fn start(script: &[&'static str]) -> EntraCredentials {
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

#[test]
fn without_a_runtime_it_is_an_error_and_no_panic() {
    let credential = Credential::custom(|| async { AccessToken::opaque("t", Duration::from_secs(1), "me") });
    let error = EntraCredentials::start(credential, TokenManagerConfig::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let nonsense = TokenManagerConfig::new().expiration_refresh_ratio(0.0);
    let credential = Credential::custom(|| async { AccessToken::opaque("t", Duration::from_secs(1), "me") });
    assert!(EntraCredentials::start(credential, nonsense).unwrap_err().to_string().contains("ratio"));
}
