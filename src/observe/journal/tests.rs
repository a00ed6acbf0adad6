use super::*;
use crate::error::ErrorKind;
use std::time::Duration;

#[tokio::test]
async fn a_subscriber_that_never_reads_holds_nobody_up() {
    let journal = Journal::new("events.test:1");
    let mut lazy = journal.subscribe();
    for link in 0..10_000 {
        let node = "events.test:1".into();
        journal.record(Event::LinkUp { node, link, generation: 1, reconnect: false, took: Duration::ZERO });
    }
    assert_eq!(journal.counters().links_opened, 10_000);
    assert!(matches!(lazy.recv().await, Err(broadcast::error::RecvError::Lagged(_))));
    assert!(matches!(lazy.recv().await, Ok(Event::LinkUp { .. })));
}

#[tokio::test(start_paused = true)]
async fn every_answered_token_request_is_counted_once_and_the_last_failure_is_kept() {
    let journal = Journal::new("events.test:2");
    let refreshed = |generation| Event::TokenRefreshed {
        generation,
        lifetime: Duration::from_secs(60),
        next_refresh: Duration::from_secs(40),
    };
    let failed = |text: &str| Event::RefreshFailed {
        error: Error::new(ErrorKind::TokenEndpoint, text),
        attempt: 1,
        retry_in: Duration::ZERO,
    };
    journal.record(refreshed(1));
    assert!(journal.last_token_error().is_none() && journal.last_token_failure().is_none());
    journal.record(failed("first"));
    journal.record(failed("second"));
    assert_eq!(journal.last_token_error().unwrap().message(), "second");
    let ago = Duration::from_secs(5);
    tokio::time::advance(ago).await;
    journal.record(Event::TokenUnchanged { next_refresh: Duration::ZERO });
    journal.record(refreshed(2));
    assert!(journal.last_token_error().is_none());
    let failure = journal.last_token_failure().unwrap();
    assert_eq!((failure.error.message(), failure.ago, failure.overcome), ("second", ago, true));
    let counters = journal.counters();
    assert_eq!((counters.tokens_fetched, counters.tokens_unchanged, counters.token_failures), (2, 1, 2));
}
