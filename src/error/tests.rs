//! What an error shows.

use super::*;

#[test]
fn shows_message_hint_and_source_chain() {
    let error = Error::new(ErrorKind::Connect, "no connection to cache:10000")
        .with_hint("check the host name")
        .with_source(std::io::Error::other("refused"));
    assert_eq!(error.to_string(), "no connection to cache:10000 (hint: check the host name)");
    assert_eq!(error.source().expect("source").to_string(), "refused");
    assert!(format!("{error:?}").ends_with("refused"));
}

#[test]
fn what_explains_an_error_can_be_read_from_it() {
    let cause = Error::new(ErrorKind::TokenEndpoint, "busy")
        .with_hint("wait")
        .with_status(503)
        .with_aadsts(Some(90_033))
        .with_correlation_id(Some("c-1".to_owned()));
    let error = Error::new(ErrorKind::Timeout(Stage::Startup), "not connected: busy").explained_by(cause);
    assert_eq!((error.hint(), error.status(), error.aadsts()), (Some("wait"), Some(503), Some(90_033)));
    assert_eq!(error.to_string(), "not connected: busy [correlation id c-1] (hint: wait)");
    assert_eq!(error.source().unwrap().to_string(), "busy [correlation id c-1] (hint: wait)");
}

#[test]
fn comes_back_out_of_a_redis_error() {
    let error = redis::RedisError::from(Error::new(ErrorKind::Overloaded, "full"));
    assert_eq!(Error::from_redis(&error).expect("it is in there").kind(), ErrorKind::Overloaded);
    let other = redis::RedisError::from(std::io::Error::other("x"));
    assert!(Error::from_redis(&other).is_none());
}

#[test]
fn keeps_the_kinds_redis_users_match_on() {
    let redis = |kind| redis::RedisError::from(Error::new(kind, "x"));
    assert!(redis(ErrorKind::Timeout(Stage::Command)).is_timeout());
    assert!(redis(ErrorKind::Connect).is_connection_dropped());
    assert_eq!(redis(ErrorKind::CredentialRejected).kind(), redis::ErrorKind::AuthenticationFailed);
}

#[test]
fn whatever_its_kind_the_reason_for_having_no_token_is_a_failed_authentication() {
    for kind in [
        ErrorKind::Configuration,
        ErrorKind::CredentialUnavailable,
        ErrorKind::CredentialRejected,
        ErrorKind::TokenEndpoint,
        ErrorKind::MalformedToken,
        ErrorKind::Connect,
        ErrorKind::Tls,
        ErrorKind::AuthenticationRejected,
        ErrorKind::Server,
        ErrorKind::Timeout(Stage::Token),
        ErrorKind::Timeout(Stage::Command),
        ErrorKind::Overloaded,
        ErrorKind::Closed,
    ] {
        let error = redis::RedisError::from(Error::new(kind, CLOSED).for_want_of_a_token());
        assert_eq!(error.kind(), redis::ErrorKind::AuthenticationFailed, "{kind:?}");
        assert!(!error.is_connection_dropped() && !error.is_timeout() && !error.is_io_error(), "{kind:?}");
        assert_eq!((Error::kind_of(&error), error.detail()), (None, Some(CLOSED)), "{kind:?}");
    }
}
