//! The actor on a paused clock: hours pass in milliseconds, and every request is counted.

use super::*;
use crate::{error::Stage, retry::RetryPolicy, secret::Secret, token::TokenFuture};
use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};
use tokio::time::{advance, sleep};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// What the source does with one request.
#[derive(Clone, Debug)]
enum Act {
    Token(Duration),
    Same(Duration),
    Transient,
    RetryAfter(Duration),
    Permanent,
    Hang,
    /// A token for an hour, in two steps that take this long each.
    Slow(Duration),
    /// A failure that takes this long: a transient one, or none that can pass.
    LateFailure(Duration, bool),
    Panic,
}

/// A token source that follows a script, then repeats its last act, and notes when it was asked.
struct Script {
    acts: Mutex<VecDeque<Act>>,
    asked: Mutex<Vec<Instant>>,
    issued: AtomicU64,
}

impl Script {
    fn new(acts: impl IntoIterator<Item = Act>) -> Arc<Self> {
        Arc::new(Self {
            acts: Mutex::new(acts.into_iter().collect()),
            asked: Mutex::default(),
            issued: AtomicU64::new(0),
        })
    }

    fn replace(&self, acts: impl IntoIterator<Item = Act>) {
        *self.acts.lock().unwrap() = acts.into_iter().collect();
    }

    fn requests(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// Times between requests, from the first on.
    fn gaps(&self) -> Vec<Duration> {
        let asked = self.asked.lock().unwrap();
        asked.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    fn next(&self) -> Act {
        let mut acts = self.acts.lock().unwrap();
        if acts.len() > 1 { acts.pop_front().unwrap() } else { acts.front().cloned().unwrap() }
    }
}

struct Source(Arc<Script>);

impl TokenSource for Source {
    fn fetch(&self) -> TokenFuture<'_> {
        self.0.asked.lock().unwrap().push(Instant::now());
        let act = self.0.next();
        let new = !matches!(act, Act::Same(_));
        let number = self.0.issued.load(SeqCst) + u64::from(new);
        Box::pin(async move {
            let failed = || Error::new(ErrorKind::TokenEndpoint, "scripted failure");
            match act {
                Act::Token(life) | Act::Same(life) => {
                    self.0.issued.store(number, SeqCst);
                    AccessToken::opaque(Secret::new(format!("token-{number}")), life, "me")
                }
                Act::Transient => Err(failed().with_transient(true)),
                Act::RetryAfter(delay) => Err(failed().with_transient(true).with_retry_after(delay)),
                Act::Permanent => Err(Error::new(ErrorKind::CredentialRejected, "wrong secret")),
                Act::LateFailure(delay, transient) => {
                    sleep(delay).await;
                    Err(failed().with_transient(transient))
                }
                Act::Panic => panic!("scripted panic"),
                Act::Hang => std::future::pending().await,
                Act::Slow(step) => {
                    sleep(step).await;
                    sleep(step).await;
                    self.0.issued.store(number, SeqCst);
                    AccessToken::opaque(Secret::new(format!("token-{number}")), HOUR, "me")
                }
            }
        })
    }
}

fn config() -> TokenManagerConfig {
    TokenManagerConfig::new().lower_refresh_bound(Duration::ZERO)
}

fn start(script: &Arc<Script>, config: TokenManagerConfig) -> (Tokens, Journal) {
    start_with_clock(script, config, SystemTime::now)
}

fn start_with_clock(
    script: &Arc<Script>,
    config: TokenManagerConfig,
    wall_clock: fn() -> SystemTime,
) -> (Tokens, Journal) {
    let journal = Journal::new("actor.test:1");
    let source = Arc::new(Source(Arc::clone(script)));
    let (mut actor, tokens) = TokenActor::new(source, config, None, journal.clone());
    actor.wall_clock = wall_clock;
    tokio::spawn(actor.run());
    (tokens, journal)
}

fn generation(tokens: &Tokens) -> Option<u64> {
    tokens.live().map(|current| current.generation)
}

/// Lets the actor run without moving the clock.
async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn refreshes_at_the_ratio_of_the_lifetime() {
    for ratio in [0.01, 0.7, 0.99] {
        let script = Script::new([Act::Token(HOUR)]);
        let (mut tokens, _) = start(&script, config().expiration_refresh_ratio(ratio));
        tokens.current().await.unwrap();
        sleep(HOUR.mul_f64(ratio).saturating_sub(SECOND)).await;
        assert_eq!(script.requests(), 1, "ratio {ratio}: too early");
        sleep(2 * SECOND).await;
        assert_eq!(generation(&tokens), Some(2), "ratio {ratio}: too late");
    }
}

/// A managed identity's token lives for a day, and is the same one when it is asked for before it is old.
#[tokio::test(start_paused = true)]
async fn tokens_of_a_day_are_renewed_for_a_week() {
    let script = Script::new([Act::Token(24 * HOUR)]);
    let (mut tokens, journal) = start(&script, TokenManagerConfig::new());
    tokens.current().await.unwrap();
    for hour in 0..7 * 24 {
        assert!(tokens.live().is_some(), "no token after {hour} hours");
        sleep(HOUR).await;
    }
    // Each after 0.7 of a day.
    let days = f64::from(u32::try_from(script.requests()).unwrap()) * 0.7;
    assert!((7.0..8.0).contains(&days), "{days}");
    assert_eq!(journal.counters().token_failures, 0);
}

#[tokio::test(start_paused = true)]
async fn short_tokens_never_make_a_hot_loop() {
    for life in [Duration::from_millis(1), SECOND, MINUTE] {
        let script = Script::new([Act::Token(life)]);
        let (_tokens, _) = start(&script, TokenManagerConfig::new());
        sleep(MINUTE).await;
        let requests = script.requests();
        assert!((55..=61).contains(&requests), "{requests} requests in a minute for tokens of {life:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn two_failures_then_success_are_three_requests_and_no_error() {
    let script = Script::new([Act::Transient, Act::Transient, Act::Token(HOUR)]);
    let (mut tokens, _) = start(&script, config());
    assert_eq!(tokens.current().await.unwrap().generation, 1);
    assert_eq!(script.requests(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_hung_request_times_out_and_the_retry_succeeds() {
    let script = Script::new([Act::Hang, Act::Token(HOUR)]);
    let (mut tokens, _) = start(&script, config().token_request_execution_timeout(2 * SECOND));
    let began = Instant::now();
    tokens.current().await.unwrap();
    assert!(began.elapsed() <= 4 * SECOND, "{:?}", began.elapsed());
    assert_eq!(script.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn every_waiter_gets_the_error_of_a_failed_start() {
    let script = Script::new([Act::Hang]);
    let retries = RetryPolicy::new().max_attempts(3);
    let config = config().retry_policy(retries).token_request_execution_timeout(SECOND);
    let (tokens, _) = start(&script, config);
    let waiters = (0..10).map(|_| {
        let mut tokens = tokens.clone();
        tokio::spawn(async move { tokens.current().await.err().map(|error| error.kind()) })
    });
    for waiter in waiters.collect::<Vec<_>>() {
        let kind = waiter.await.unwrap();
        assert_eq!(kind, Some(ErrorKind::Timeout(Stage::Token)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_permanent_error_is_reported_at_once_and_healed_without_a_restart() {
    let script = Script::new([Act::Permanent]);
    let (mut tokens, _) = start(&script, config());
    let Err(error) = tokens.current().await else { panic!("a token") };
    assert_eq!((error.kind(), script.requests()), (ErrorKind::CredentialRejected, 1));

    sleep(24 * HOUR).await;
    let requests = script.requests();
    // Full jitter up to 30 s: every 15 s on average.
    assert!(requests < 24 * 3600 / 10, "{requests} requests in a day");
    assert!(requests > 24 * 3600 / 30, "{requests} requests in a day");
    script.replace([Act::Token(HOUR)]);
    sleep(31 * SECOND).await;
    assert_eq!(generation(&tokens), Some(1));
}

#[tokio::test(start_paused = true)]
async fn the_loop_goes_on_after_the_attempts_are_spent() {
    let script = Script::new([Act::Token(HOUR), Act::Transient]);
    let (mut tokens, journal) = start(&script, config());
    tokens.current().await.unwrap();
    // Refresh is due after 42 minutes; far more than five attempts fail by the 50th, and nobody notices.
    sleep(50 * MINUTE).await;
    assert!(script.requests() > 10);
    assert_eq!(generation(&tokens), Some(1));
    assert!(tokens.dead().is_none(), "errors are nobody's business while the token is good");
    assert!(journal.last_token_error().is_some());
    // The token expires: now everybody gets the error.
    sleep(11 * MINUTE).await;
    assert_eq!(generation(&tokens), None);
    assert!(tokens.dead().unwrap().to_string().contains("scripted failure"));
    // And the loop still heals, at once now that commands wait for it.
    script.replace([Act::Token(HOUR)]);
    sleep(2 * SECOND).await;
    assert_eq!(generation(&tokens), Some(2));
    assert!(tokens.dead().is_none());
}

/// Three lifetimes long the provider answers nothing or nonsense; a second and a half after its return there is a
/// token.
#[tokio::test(start_paused = true)]
async fn without_a_valid_token_an_outage_is_over_when_the_provider_is_back() {
    for outage in [Act::Transient, Act::Hang] {
        let script = Script::new([Act::Token(HOUR), outage.clone()]);
        let patience = config().token_request_execution_timeout(SECOND);
        let (mut tokens, _) = start(&script, patience);
        tokens.current().await.unwrap();
        sleep(HOUR).await;
        let before = script.requests();
        sleep(3 * HOUR).await;
        let requests = script.requests() - before;
        // One each second on average, neither more nor much less.
        assert!((9_000..=3 * 3600 + 10).contains(&requests), "{outage:?}: {requests} requests in three hours");
        script.replace([Act::Token(HOUR)]);
        sleep(SECOND + SECOND / 2).await;
        assert_eq!(generation(&tokens), Some(2), "{outage:?}");
    }
}

/// The settings' own delays, which are longer, count no more; what is drawn spreads the clients that wait.
#[tokio::test(start_paused = true)]
async fn without_a_valid_token_nobody_waits_longer_than_the_refresh_interval_and_a_quarter() {
    let script = Script::new([Act::Token(MINUTE), Act::Transient]);
    let slow = RetryPolicy::new().delay(HOUR).max_delay(HOUR);
    let (mut tokens, _) = start(&script, config().min_refresh_interval(8 * SECOND).retry_policy(slow));
    tokens.current().await.unwrap();
    sleep(MINUTE + 30 * SECOND).await;
    let before = script.gaps().len();
    sleep(HOUR).await;
    let longest = script.gaps()[before..].iter().copied().max().unwrap();
    assert!(longest > 9 * SECOND && longest < 10 * SECOND + SECOND / 100, "{longest:?}");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_dies_during_a_hanging_request_is_announced_in_time() {
    let script = Script::new([Act::Token(10 * SECOND), Act::Hang]);
    let (mut tokens, _) = start(&script, config().token_request_execution_timeout(MINUTE));
    tokens.current().await.unwrap();
    sleep(10 * SECOND + Duration::from_millis(5)).await;
    assert!(tokens.dead().is_some());
}

/// Nobody has said that there is no token to be had: whoever needs one waits.
#[tokio::test(start_paused = true)]
async fn a_token_that_is_late_is_waited_for_until_its_renewal_fails() {
    let script = Script::new([Act::Token(10 * SECOND), Act::Hang, Act::Token(HOUR)]);
    let (mut tokens, journal) = start(&script, config().expiration_refresh_ratio(1.0));
    tokens.current().await.unwrap();
    // Asked for after nine seconds, given up after two and a half.
    sleep(10 * SECOND).await;
    assert!(tokens.live().is_none() && tokens.dead().is_none());
    assert!(tokens.late().unwrap().to_string().contains("has not been answered yet"));
    let mut waiting = tokens.clone();
    let waiting = tokio::spawn(async move { waiting.current().await.err().map(|error| error.kind()) });
    sleep(SECOND).await;
    assert!(!waiting.is_finished() && journal.last_token_error().is_none());
    assert_eq!(waiting.await.unwrap(), Some(ErrorKind::Timeout(Stage::Token)));
    assert!(tokens.late().is_none() && tokens.dead().is_some() == tokens.live().is_none());
    sleep(2 * SECOND).await;
    assert_eq!(generation(&tokens), Some(2));
}

/// A failure from before a standstill does not mean that there is no token to be had after it.
#[tokio::test(start_paused = true)]
async fn after_a_standstill_only_a_new_failure_counts() {
    let after = async |next: Act| {
        let script = Script::new([Act::Token(MINUTE), Act::Transient, next]);
        let slow = RetryPolicy::new().delay(10 * SECOND).max_delay(10 * SECOND);
        let (mut tokens, _) = start(&script, config().retry_policy(slow));
        tokens.current().await.unwrap();
        while script.requests() < 2 {
            sleep(Duration::from_millis(1)).await;
        }
        // No timer goes off meanwhile.
        advance(HOUR).await;
        tokens
    };
    let mut tokens = after(Act::Slow(SECOND)).await;
    assert!(tokens.dead().is_none() && tokens.live().is_none());
    assert_eq!(tokens.current().await.unwrap().generation, 2);

    let mut tokens = after(Act::Permanent).await;
    assert!(tokens.current().await.is_err());
    assert!(tokens.dead().unwrap().to_string().contains("wrong secret"));
}

/// A request gets the time in which nobody ran it.
#[tokio::test(start_paused = true)]
async fn a_request_under_way_survives_a_standstill() {
    let script = Script::new([Act::Token(10 * SECOND), Act::Slow(SECOND)]);
    let (mut tokens, journal) = start(&script, config());
    tokens.current().await.unwrap();
    sleep(7 * SECOND + SECOND / 2).await;
    assert_eq!(script.requests(), 2);
    advance(HOUR).await;
    assert!(tokens.dead().is_none() && tokens.live().is_none());
    assert_eq!(tokens.current().await.unwrap().generation, 2);
    assert_eq!((script.requests(), journal.counters().token_failures), (2, 0));
}

/// A request that failed because it had no time to run says nothing of its provider; one that was refused does.
#[tokio::test(start_paused = true)]
async fn a_request_that_fails_over_a_standstill_counts_only_if_it_was_refused() {
    for transient in [true, false] {
        let script = Script::new([Act::Token(10 * SECOND), Act::LateFailure(SECOND, transient), Act::Token(HOUR)]);
        let (mut tokens, journal) = start(&script, config());
        tokens.current().await.unwrap();
        sleep(7 * SECOND + SECOND / 2).await;
        assert_eq!(script.requests(), 2);
        advance(HOUR).await;
        settle().await;
        assert_eq!(journal.counters().token_failures, 1);
        assert!(tokens.live().is_none() && tokens.dead().is_some() != transient, "transient: {transient}");
    }
}

/// The first to look after a standstill may look before the actor has run.
#[tokio::test(start_paused = true)]
async fn what_was_certain_is_not_while_the_actor_is_kept_from_running() {
    let (tokens, state, _wishes, plan) = Tokens::new();
    let error = Error::new(ErrorKind::CredentialRejected, "refused");
    state.send_replace(State::Dead(error, None));
    *lock(&plan) = Plan::at(Instant::now() + SECOND);
    assert!(tokens.dead().is_some());
    sleep(SECOND).await;
    assert!(tokens.dead().is_some());
    sleep(STALL).await;
    assert!(tokens.dead().is_none() && tokens.is_dead());
}

/// A token that died by our clock, and that its issuer gives once more, is good.
#[tokio::test(start_paused = true)]
async fn a_late_token_may_come_back() {
    let script = Script::new([Act::Token(10 * SECOND), Act::Slow(SECOND)]);
    let (mut tokens, _) = start(&script, config().expiration_refresh_ratio(1.0));
    tokens.current().await.unwrap();
    script.replace([Act::Same(HOUR)]);
    advance(MINUTE).await;
    assert_eq!(tokens.current().await.unwrap().generation, 1);
}

#[tokio::test(start_paused = true)]
async fn retry_after_wins_over_the_backoff() {
    let script = Script::new([Act::RetryAfter(MINUTE), Act::RetryAfter(90 * SECOND), Act::Token(HOUR)]);
    let (mut tokens, _) = start(&script, config());
    tokens.current().await.unwrap();
    let gaps = script.gaps();
    assert!(gaps[0] >= MINUTE && gaps[0] < MINUTE + SECOND, "{gaps:?}");
    assert!(gaps[1] >= 90 * SECOND && gaps[1] < 91 * SECOND, "{gaps:?}");
}

/// The Instance Metadata Service is updated for 70 seconds at most, and its source asks for 18 after each failure.
#[tokio::test(start_paused = true)]
async fn the_attempts_of_a_start_outlast_an_update_of_imds() {
    let gone = Act::RetryAfter(18 * SECOND);
    let script = Script::new([gone.clone(), gone.clone(), gone.clone(), gone, Act::Token(HOUR)]);
    let began = Instant::now();
    let (mut tokens, _) = start(&script, TokenManagerConfig::new());
    tokens.current().await.unwrap();
    assert!(began.elapsed() >= 70 * SECOND, "{:?}", began.elapsed());
    assert_eq!(script.requests(), 5);
}

#[tokio::test(start_paused = true)]
async fn an_endless_retry_after_is_capped_at_an_hour() {
    let script = Script::new([Act::RetryAfter(Duration::MAX), Act::Token(HOUR)]);
    let (mut tokens, _) = start(&script, config());
    tokens.current().await.unwrap();
    assert!(script.gaps()[0] <= HOUR + SECOND);
}

#[tokio::test(start_paused = true)]
async fn nobody_left_to_fetch_for_ends_the_loop_even_in_a_backoff() {
    let script = Script::new([Act::Transient]);
    let (tokens, _) = start(&script, config());
    settle().await;
    let before = script.requests();
    drop(tokens);
    sleep(HOUR).await;
    assert_eq!(script.requests(), before);
}

#[tokio::test(start_paused = true)]
async fn a_valid_token_is_served_without_a_request_and_demands_share_one() {
    let script = Script::new([Act::Token(HOUR)]);
    let (mut tokens, _) = start(&script, config());
    for _ in 0..100 {
        tokens.current().await.unwrap();
    }
    assert_eq!(script.requests(), 1);

    sleep(MINUTE).await;
    (0..100).for_each(|_| tokens.refused(1));
    settle().await;
    assert_eq!((script.requests(), generation(&tokens)), (2, Some(2)));
    // A late complaint about the first token does not throw the second away.
    sleep(MINUTE).await;
    tokens.refused(1);
    settle().await;
    assert_eq!(script.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn refusals_of_every_token_do_not_make_a_hot_loop() {
    let script = Script::new([Act::Token(HOUR)]);
    let (mut tokens, _) = start(&script, config());
    let end = Instant::now() + MINUTE;
    while Instant::now() < end {
        let current = tokens.current().await.unwrap();
        tokens.refused(current.generation);
        settle().await;
    }
    // After 1, 2, 4, 8, 16 s, then every 30 s.
    assert!(script.requests() <= 7, "{} requests in a minute", script.requests());
}

#[tokio::test(start_paused = true)]
async fn a_source_that_panics_is_a_source_that_failed() {
    let script = Script::new([Act::Token(HOUR), Act::Panic, Act::Token(HOUR)]);
    let (mut tokens, journal) = start(&script, config());
    tokens.current().await.unwrap();
    sleep(HOUR.mul_f64(0.7) + MINUTE).await;
    assert_eq!((script.requests(), generation(&tokens)), (3, Some(2)));
    assert_eq!(journal.counters().token_failures, 1);
}

#[tokio::test(start_paused = true)]
async fn retries_without_delay_do_not_make_a_hot_loop() {
    let script = Script::new([Act::Transient]);
    let none = Duration::from_nanos(1);
    let (_tokens, _) = start(&script, config().retry_policy(RetryPolicy::new().delay(none).max_delay(none)));
    sleep(10 * SECOND).await;
    // Ten at once, and one a second.
    assert!((19..=21).contains(&script.requests()), "{} requests in 10 s", script.requests());
}

#[tokio::test(start_paused = true)]
async fn somebodys_wish_cuts_a_retry_delay_short_but_not_retry_after() {
    let slow = config().retry_policy(RetryPolicy::new().delay(HOUR).max_delay(HOUR));
    let script = Script::new([Act::Transient, Act::Token(HOUR)]);
    let (tokens, _) = start(&script, slow.clone());
    settle().await;
    tokens.request_refresh();
    sleep(2 * SECOND).await;
    assert_eq!(generation(&tokens), Some(1));

    let script = Script::new([Act::RetryAfter(5 * MINUTE), Act::Token(HOUR)]);
    let (tokens, _) = start(&script, slow);
    settle().await;
    tokens.request_refresh();
    sleep(4 * MINUTE + 59 * SECOND).await;
    assert_eq!(script.requests(), 1);
    sleep(2 * SECOND).await;
    assert_eq!(generation(&tokens), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_does_not_override_retry_after() {
    let script = Script::new([Act::Token(HOUR), Act::RetryAfter(5 * MINUTE), Act::Token(HOUR)]);
    let (mut tokens, _) = start(&script, config());
    tokens.current().await.unwrap();
    sleep(MINUTE).await;
    for _ in 0..100 {
        tokens.refused(1);
        sleep(SECOND).await;
    }
    assert_eq!(script.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_does_not_bring_a_retry_forward() {
    let script = Script::new([Act::Token(HOUR), Act::Transient]);
    let slow = RetryPolicy::new().delay(10 * MINUTE).max_delay(10 * MINUTE);
    let (mut tokens, _) = start(&script, config().retry_policy(slow));
    tokens.current().await.unwrap();
    sleep(HOUR.mul_f64(0.7) + SECOND).await;
    let (requests, planned) = (script.requests(), tokens.next_request());
    tokens.refused(1);
    settle().await;
    assert_eq!((script.requests(), tokens.next_request()), (requests, planned));
}

#[tokio::test(start_paused = true)]
async fn the_same_token_again_is_no_rotation_and_asked_for_ever_more_slowly() {
    let script = Script::new([Act::Token(MINUTE), Act::Same(MINUTE)]);
    let (mut tokens, journal) = start(&script, TokenManagerConfig::new());
    tokens.current().await.unwrap();
    sleep(50 * SECOND).await;
    assert_eq!(generation(&tokens), Some(1));
    assert_eq!(journal.counters().tokens_fetched, 1);
    let gaps: Vec<_> = script.gaps().iter().map(Duration::as_secs).collect();
    assert_eq!(gaps, [1, 2, 4, 8, 16]);
}

/// A cache below that renews in the token's last seconds is asked before those are over.
#[tokio::test(start_paused = true)]
async fn the_same_token_again_is_asked_for_before_its_last_half_is_over() {
    let script = Script::new([Act::Token(MINUTE), Act::Same(8 * SECOND)]);
    let (mut tokens, _) = start(&script, TokenManagerConfig::new());
    tokens.current().await.unwrap();
    sleep(50 * SECOND).await;
    let longest = script.gaps().into_iter().max().unwrap();
    assert!(longest <= 4 * SECOND + SECOND / 2, "{longest:?} between requests for a token with 8 s to live");
}

#[tokio::test(start_paused = true)]
async fn an_expired_token_is_never_handed_out() {
    struct Stale(AccessToken);
    impl TokenSource for Stale {
        fn fetch(&self) -> TokenFuture<'_> {
            Box::pin(async { Ok(self.0.clone()) })
        }
    }
    let stale = AccessToken::opaque("old", SECOND, "me").unwrap();
    sleep(MINUTE).await;
    let retries = RetryPolicy::new().max_attempts(2);
    let (actor, mut tokens) =
        TokenActor::new(Arc::new(Stale(stale)), config().retry_policy(retries), None, Journal::new("actor.test:1"));
    tokio::spawn(actor.run());
    let Err(error) = tokens.current().await else { panic!("an expired token") };
    assert_eq!(error.kind(), ErrorKind::MalformedToken);
}

#[tokio::test(start_paused = true)]
async fn a_token_without_a_username_says_what_to_set() {
    let nameless = || async {
        let claims = serde_json::json!({"exp": 4_000_000_000_u64});
        let key = jsonwebtoken::EncodingKey::from_secret(b"k");
        AccessToken::from_jwt(jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap())
    };
    let with_name = |name| {
        let (actor, tokens) = TokenActor::new(Arc::new(nameless), config(), name, Journal::new("actor.test:1"));
        tokio::spawn(actor.run());
        tokens
    };
    let Err(error) = with_name(None).current().await else { panic!("a token without a name") };
    assert!(error.to_string().contains("username"), "{error}");
    let current = with_name(Some(UserName::new("me"))).current().await.unwrap();
    assert_eq!(current.username.expose(), "me");
}

#[tokio::test(start_paused = true)]
async fn late_subscribers_see_the_newest_token_and_missed_ones_are_skipped() {
    let script = Script::new([Act::Token(HOUR)]);
    let (mut tokens, _) = start(&script, config());
    let mut slow = tokens.clone();
    tokens.current().await.unwrap();
    for _ in 1..=5 {
        tokens.request_refresh();
        sleep(2 * SECOND).await;
    }
    assert_eq!(slow.current().await.unwrap().generation, 6);
    assert_eq!(tokens.clone().current().await.unwrap().generation, 6);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_was_suspended_refreshes_when_it_wakes() {
    // The paused clock stands still for the wall clock's jump, as the monotonic clock does during a suspend.
    static SLEPT: AtomicU64 = AtomicU64::new(0);
    let script = Script::new([Act::Token(HOUR)]);
    let (mut tokens, _) =
        start_with_clock(&script, config(), || SystemTime::now() + Duration::from_secs(SLEPT.load(SeqCst)));
    tokens.current().await.unwrap();
    sleep(MINUTE).await;
    assert_eq!(script.requests(), 1);
    SLEPT.store(8 * 3600, SeqCst);
    sleep(11 * SECOND).await;
    assert_eq!(generation(&tokens), Some(2));
}

/// A source that keeps its thread from everything else, and then fails.
struct Blocking(AtomicU64);

impl TokenSource for Blocking {
    fn fetch(&self) -> TokenFuture<'_> {
        let first = self.0.fetch_add(1, SeqCst) == 0;
        Box::pin(async move {
            if first {
                return AccessToken::opaque("token", 2 * SECOND, "tester");
            }
            std::thread::sleep(TICK + 2 * STALL);
            Err(Error::new(ErrorKind::TokenEndpoint, "scripted failure").with_transient(true))
        })
    }
}

/// It is not as if this process had stood still: the failure is the provider's.
#[tokio::test]
async fn a_source_that_blocks_its_thread_and_fails_has_failed() {
    let source = Arc::new(Blocking(AtomicU64::new(0)));
    let (actor, mut tokens) = TokenActor::new(source, config(), None, Journal::new("test"));
    tokio::spawn(actor.run());
    let first = tokens.current().await.unwrap();
    tokio::time::sleep_until(first.token.usable_until()).await;
    let error = tokio::time::timeout(20 * SECOND, tokens.current()).await.expect("it is known").err().unwrap();
    assert!(error.to_string().contains("scripted failure"), "{error}");
}
