//! Whatever the identity provider does, it is asked at a bounded rate, and asked again until it is well.

use common::{
    Fixture, HOUR, SECOND,
    endpoint::{self, Endpoint, Say},
    eventually, links_up,
    load::Load,
    logs,
    server::Server,
};
use entra_redis::{
    AccessToken, Config, Credential, EntraRedis, Error, ErrorKind, Tls, TokenManagerConfig,
    emulator::{Emulator, IdentityFault},
};
use futures_util::future::join_all;
use httpdate::fmt_http_date;
use redis::AsyncCommands;
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, SystemTime},
};
use tokio::time::sleep;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The client secret where the endpoint takes any.
const SECRET: &str = "s3cr3t-0f-r4t3s";

/// How long requests are counted.
const WINDOW: Duration = Duration::from_secs(5);

/// The stated rate, ten at once and one a second, and what a busy machine adds to the window.
const MOST_IN_WINDOW: usize = 17;

async fn service(redis: &EntraRedis, limit: Duration) {
    eventually("service", limit, async || redis.clone().set::<_, _, ()>("key", 1).await.ok()).await;
}

/// A fault of the emulator's that stands for a window while tokens live for two seconds.
async fn stands(fault: IdentityFault, at_most: usize) {
    let emulator = common::start(Emulator::builder().token_lifetime(2 * SECOND)).await;
    let patience = TokenManagerConfig::new().token_request_execution_timeout(SECOND / 2);
    let config = emulator.config().token_manager(patience);
    let redis = emulator.connect(config).await;
    let what = format!("{fault:?}");
    emulator.identity().fault_all(Some(fault));
    let before = emulator.identity().requests();
    sleep(WINDOW).await;
    let asked = usize::try_from(emulator.identity().requests() - before).unwrap();
    // Twice at least, or it has given up.
    assert!((2..=at_most).contains(&asked), "{what}: {asked} requests in {WINDOW:?}, {at_most} allowed");
    emulator.identity().fault_all(None);
    let tokens = redis.manager().counters().tokens_fetched;
    let renewed = async || (redis.manager().counters().tokens_fetched > tokens).then_some(());
    // The longest delays: `Retry-After`, and the interval that grows while a token comes back unchanged.
    eventually("a new token", 6 * SECOND, renewed).await;
    service(&redis, 5 * SECOND).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault_that_stands_makes_a_hot_loop() {
    let asks_for_two_seconds = IdentityFault::TooManyRequests { retry_after: Some(2 * SECOND) };
    let gone = |status| IdentityFault::Body { status, body: r#"{"error":"not_found"}"#.to_owned() };
    let cases = [
        // At once, after two seconds, after four.
        (asks_for_two_seconds, 3),
        (IdentityFault::TooManyRequests { retry_after: None }, MOST_IN_WINDOW),
        (IdentityFault::Status(500), MOST_IN_WINDOW),
        (IdentityFault::Html, MOST_IN_WINDOW),
        (IdentityFault::HtmlStatus(502), MOST_IN_WINDOW),
        (IdentityFault::Hang, MOST_IN_WINDOW),
        (IdentityFault::Reset, MOST_IN_WINDOW),
        (IdentityFault::WrongSecret, MOST_IN_WINDOW),
        (gone(404), MOST_IN_WINDOW),
        (gone(410), MOST_IN_WINDOW),
        (IdentityFault::Expired, MOST_IN_WINDOW),
        // Until it has expired after one and two seconds, then as one that comes expired.
        (IdentityFault::SameToken, MOST_IN_WINDOW),
        // Good for a second or two, and renewed as often as is ever allowed, once a second; one may come expired.
        (IdentityFault::NearExpiry(SECOND), 8),
    ];
    join_all(cases.map(|(fault, at_most)| stands(fault, at_most))).await;
}

/// A client of this redis-server with tokens from this endpoint.
async fn connect(server: &Server, endpoint: &Endpoint, tokens: TokenManagerConfig) -> EntraRedis {
    let credential = Credential::service_principal("app", SECRET, "tenant").authority_host(endpoint.url());
    let config = Config::new(credential).tls(Tls::new().ca_pem(&server.ca_pem)).token_manager(tokens);
    EntraRedis::connect("localhost", server.port, config).await.unwrap()
}

/// A good token of this number and life, from an issuer whose clock is right.
fn good(number: u64, life: Duration) -> Say {
    let token = endpoint::jwt(SystemTime::now() + life, number);
    Say::This(endpoint::http(200, &[], &endpoint::token_body(&token, None)))
}

/// An endpoint that says this for a window, after a first token that lives for two seconds.
async fn breaks_off(server: &Server, what: &str, say: Say) {
    let endpoint = Endpoint::start(|number| good(number, 2 * SECOND)).await;
    let patience = common::by_ratio(0.5).token_request_execution_timeout(SECOND / 2);
    let redis = connect(server, &endpoint, patience).await;
    endpoint.set(move |_| say.clone());
    let before = endpoint.requests();
    sleep(WINDOW).await;
    let asked = endpoint.requests() - before;
    assert!((2..=MOST_IN_WINDOW).contains(&asked), "{what}: {asked} requests in {WINDOW:?}");
    endpoint.set(|number| good(number, HOUR));
    service(&redis, 5 * SECOND).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_break_off_cost_no_more_than_those_that_say_no() {
    logs::forbid(SECRET);
    let server = Server::start();
    let whole = endpoint::http(200, &[], &endpoint::token_body("half-a-token", Some(HOUR)));
    let half = whole[..whole.len() - 10].to_vec();
    let headless = whole[..40].to_vec();
    let elsewhere = endpoint::http(302, &[("Location", "http://127.0.0.1:9/".to_owned())], "");
    let cases = [
        ("truncated in its body", Say::This(half.clone())),
        ("truncated in its head", Say::This(headless.clone())),
        ("nothing at all", Say::This(Vec::new())),
        ("reset in its body", Say::AndReset(half.clone())),
        ("half an answer, then silence", Say::AndNothing(half)),
        ("half a head, then silence", Say::AndNothing(headless)),
        ("no HTTP", Say::This(b"\0\xff-ERR wrong port\r\n\r\n".to_vec())),
        ("sent elsewhere", Say::This(elsewhere)),
    ];
    join_all(cases.map(|(what, say)| breaks_off(&server, what, say))).await;
}

type Headers = Vec<(&'static str, String)>;

/// Both ask for two seconds.
fn retry_in_seconds() -> Headers {
    vec![("Retry-After", "2".to_owned())]
}

/// By a clock that is five hours ahead.
fn retry_at_a_date() -> Headers {
    let theirs = SystemTime::now() + 5 * HOUR;
    vec![("Date", fmt_http_date(theirs)), ("Retry-After", fmt_http_date(theirs + 2 * SECOND))]
}

/// In seconds and as a date, which is read by the clock of the server that says it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retry_after_is_honoured_in_both_its_forms_however_often_a_token_is_wished_for() {
    logs::forbid(SECRET);
    let server = Server::start();
    for headers in [retry_in_seconds as fn() -> Headers, retry_at_a_date] {
        let endpoint = Endpoint::start(move |number| match number {
            2 => Say::This(endpoint::http(429, &headers(), r#"{"error":"temporarily_unavailable"}"#)),
            _ => good(number, HOUR),
        })
        .await;
        let redis = connect(&server, &endpoint, TokenManagerConfig::new()).await;
        // Each look is a wish, too: hundreds of them.
        let third = async || {
            redis.manager().refresh_token();
            (endpoint.requests() == 3).then_some(())
        };
        eventually("the refusal and the next token", 10 * SECOND, third).await;
        let asked = endpoint.asked();
        let gap = asked[2] - asked[1];
        assert!(gap >= 2 * SECOND && gap < 4 * SECOND, "asked again after {gap:?}");
    }
}

/// Tokens of this life from an issuer whose clock differs from ours by hours, and which says so in its `Date` or does
/// not.
async fn wrong_clock(ahead: bool, dated: bool, life: Duration) {
    // Of its own: every load uses the same keys.
    let server = Server::start();
    let endpoint = Endpoint::start(move |number| {
        let now = if ahead { SystemTime::now() + 5 * HOUR } else { SystemTime::now() - 5 * HOUR };
        let date = dated.then(|| ("Date", fmt_http_date(now)));
        let body = endpoint::token_body(&endpoint::jwt(now + life, number), Some(life));
        Say::This(endpoint::http(200, date.as_slice(), &body))
    })
    .await;
    let redis = connect(&server, &endpoint, TokenManagerConfig::new()).await;
    links_up(&redis, 4).await;
    let remaining = redis.manager().stats().token.unwrap().remaining;
    assert!(remaining <= life && remaining + 3 * SECOND >= life, "{remaining:?} of {life:?}");
    let load = Load::gentle(&redis, 2);
    let before = endpoint.requests();
    sleep(WINDOW).await;
    let asked = endpoint.requests() - before;
    load.stop().await.assert_unharmed();
    // An hour's token is not asked for again; one of seconds once a second, as the default lower bound wants it.
    let expected = if life == HOUR { 0..=0 } else { 1..=6 };
    assert!(expected.contains(&asked), "{asked} requests in {WINDOW:?} for tokens of {life:?}");
}

/// Whichever of the two clocks is the wrong one: only their difference can be seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_hours_off_neither_kills_a_token_nor_hurries_its_renewal() {
    logs::forbid(SECRET);
    let mut cases = Vec::new();
    for ahead in [true, false] {
        // Without a date, `expires_in` is all there is to go by.
        for dated in [true, false] {
            for life in [HOUR, 4 * SECOND] {
                cases.push(wrong_clock(ahead, dated, life));
            }
        }
    }
    join_all(cases).await;
}

async fn five_seconds(tokens: TokenManagerConfig, expected: RangeInclusive<u64>) {
    let (emulator, redis) =
        Fixture::new().tokens_of(5 * SECOND).config(|config| config.token_manager(tokens)).up().await;
    let load = Load::gentle(&redis, 4);
    let before = emulator.identity().requests();
    sleep(2 * WINDOW).await;
    let asked = emulator.identity().requests() - before;
    load.stop().await.assert_unharmed();
    assert!(expected.contains(&asked), "{asked} requests in {:?}, not {expected:?}", 2 * WINDOW);
    assert_eq!(emulator.redis_front().stats().expired, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_second_tokens_are_renewed_once_a_second_at_most() {
    // They live no longer than the default lower bound, so that the least interval of a second decides; by the ratio
    // alone they are renewed after three and a half seconds.
    let hurried = five_seconds(TokenManagerConfig::new(), 5..=11);
    tokio::join!(hurried, five_seconds(common::by_ratio(0.7), 2..=3));
}

/// The Instance Metadata Service answers so while it is being updated, for 70 seconds at most by its documentation. It
/// is left alone for 18 seconds after each, although it does not ask for that, and the five attempts of `connect` are
/// enough, given the time.
async fn gone_for(status: u16, time: Duration, requests: RangeInclusive<u64>) {
    let emulator = common::start(Emulator::builder()).await;
    let body = r#"{"error":"not_found","error_description":"IMDS is being updated"}"#.to_owned();
    emulator.identity().fault_all(Some(IdentityFault::Body { status, body }));
    let config = emulator.managed_identity_config().startup_timeout(2 * time + 30 * SECOND);
    let back = async {
        sleep(time).await;
        let asked = emulator.identity().requests();
        assert!(requests.contains(&asked), "{status}: {asked} requests in {time:?}, not {requests:?}");
        emulator.identity().fault_all(None);
    };
    let (redis, ()) = tokio::join!(emulator.try_connect(config), back);
    service(&redis.unwrap(), SECOND).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_imds_that_is_gone_for_seventy_seconds_is_waited_for() {
    tokio::join!(gone_for(404, 3 * SECOND, 1..=1), gone_for(410, 70 * SECOND, 4..=4));
}

/// The day passes in virtual time, in which there are no sockets; the connections before and after it are real.
#[tokio::test]
async fn a_secret_that_is_revoked_for_a_day_and_restored_needs_no_restart() {
    let server = Server::start();
    let (asked, revoked) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let source = {
        let (asked, revoked) = (Arc::clone(&asked), Arc::clone(&revoked));
        move || {
            let number = asked.fetch_add(1, SeqCst) + 1;
            let revoked = revoked.load(SeqCst);
            async move {
                if revoked {
                    let text = "AADSTS7000222: the client secret has expired";
                    return Err(Error::new(ErrorKind::CredentialRejected, text));
                }
                AccessToken::opaque(format!("token {number}"), HOUR, "tester")
            }
        }
    };
    let no_network = Arc::new(AtomicBool::new(false));
    let resolver = {
        let (no_network, port) = (Arc::clone(&no_network), server.port);
        move |_: String, _: u16| {
            let cut_off = no_network.load(SeqCst);
            async move {
                if cut_off {
                    return Err(io::Error::other("virtual time"));
                }
                Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))])
            }
        }
    };
    let config = Config::new(Credential::custom(source)).tls(Tls::new().ca_pem(&server.ca_pem)).resolver(resolver);
    let redis = EntraRedis::connect("localhost", server.port, config).await.unwrap();
    links_up(&redis, 4).await;
    assert_eq!(asked.load(SeqCst), 1);

    no_network.store(true, SeqCst);
    revoked.store(true, SeqCst);
    tokio::time::pause();
    sleep(DAY).await;
    let day = asked.load(SeqCst) - 1;
    // After 42 minutes it begins, and then comes after a quarter of a minute on average, half a minute at most.
    let (fewest, most) = (23 * 3600 / 30, 24 * 3600 / 10);
    assert!((fewest..=most).contains(&day), "{day} requests in a day, {most} allowed");
    assert!(redis.manager().stats().token.is_some_and(|token| !token.in_use));
    let refused = redis.clone().set::<_, _, ()>("key", 1).await.unwrap_err();
    assert_eq!(refused.kind(), redis::ErrorKind::AuthenticationFailed, "{refused}");
    assert!(refused.to_string().contains("AADSTS7000222"), "{refused}");

    revoked.store(false, SeqCst);
    sleep(31 * SECOND).await;
    let token = redis.manager().stats().token.filter(|token| token.in_use);
    let token = token.expect("the restored secret is used within half a minute");
    assert_eq!(token.generation, 2);
    no_network.store(false, SeqCst);
    tokio::time::resume();
    service(&redis, 10 * SECOND).await;
}
