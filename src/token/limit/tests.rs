use super::*;
use std::future::pending;
use tokio::time::{advance, sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(600);

#[tokio::test(start_paused = true)]
async fn a_request_by_hand_ends_as_well() {
    let began = Instant::now();
    let asked = timeout(PATIENCE, in_time("the endpoint", pending::<()>()));
    let error = asked.await.expect("it ends").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(Stage::Token));
    assert!(error.to_string().contains("within 120s (no connection manager"), "{error}");
    assert!(began.elapsed() <= BY_HAND, "{:?}", began.elapsed());
    let limit = RequestLimit::new(Duration::from_secs(2), PATIENCE);
    assert!(limit.known_to(in_time("the endpoint", pending::<()>())).await.is_err());
    assert!(began.elapsed() <= BY_HAND + Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn why_there_was_no_more_time_is_told() {
    let configured = Duration::from_secs(10);
    for (allowed, why) in [
        (10_000, "(`token_request_execution_timeout`)"),
        (7_500, "(a quarter of the last token's life, which is less than `token_request_execution_timeout` (10s))"),
        (1_000, "(the least that a request gets: a quarter of the last token's life is less, "),
    ] {
        let error = RequestLimit::new(Duration::from_millis(allowed), configured).over("it");
        assert!(error.to_string().contains(why), "{error}");
    }
}

/// So that the error is theirs, which says more.
#[tokio::test(start_paused = true)]
async fn those_who_are_asked_give_up_a_little_before_the_one_who_asks() {
    let end_of = |allowed| RequestLimit::new(allowed, PATIENCE).end() - Instant::now();
    assert_eq!(end_of(Duration::from_secs(2)), Duration::from_millis(1980));
    assert_eq!(end_of(Duration::from_millis(100)), Duration::from_millis(90));
    assert_eq!(RequestLimit::new(Duration::from_secs(2), PATIENCE).configured(), PATIENCE);
}

/// It is not silence if nobody ran who could have read the answer.
#[tokio::test(start_paused = true)]
async fn whoever_is_asked_gets_the_time_of_a_standstill_again() {
    let limit = RequestLimit::new(Duration::from_secs(2), PATIENCE);
    let late_answer = async {
        advance(Duration::from_secs(60)).await;
        sleep(Duration::from_secs(1)).await;
    };
    assert!(limit.known_to(in_time("the endpoint", late_answer)).await.is_ok());
    let silence = async {
        advance(Duration::from_secs(60)).await;
        pending::<()>().await;
    };
    let asked = timeout(PATIENCE, limit.known_to(in_time("the endpoint", silence)));
    assert!(asked.await.expect("it ends").is_err());
}
