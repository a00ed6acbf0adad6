//! What is told to `tracing`: by the names, levels, targets and fields of the guide's table, and nothing else.

use crate::{HOUR, page, start, told};
use common::{SECOND, logs, within};
use entra_redis::{
    AccessToken, Config, Credential, EntraRedis, Event, Tls,
    emulator::{AuthFault, Emulator, IdentityFault},
};
use std::{
    collections::BTreeSet,
    fmt::Debug,
    net::Ipv4Addr,
    sync::{Mutex, Once, PoisonError},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tracing::{
    Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
    util::SubscriberInitExt,
};

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    name: String,
    level: String,
    target: String,
    fields: BTreeSet<String>,
}

static SEEN: Mutex<BTreeSet<Row>> = Mutex::new(BTreeSet::new());
/// Messages that are not their events' names with spaces, and durations that are no numbers.
static ODD: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// How spans ended: their names and outcomes.
static OUTCOMES: Mutex<BTreeSet<(&str, String)>> = Mutex::new(BTreeSet::new());
/// The pools of which links came up.
static UP: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
static START: Once = Once::new();

/// Notes all that this crate tells from now on, and searches it for secrets.
pub(crate) fn watch() {
    START.call_once(|| {
        logs::forbid("eyJ");
        tracing_subscriber::registry().with(Notes).init();
    });
}

struct Notes;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Notes {
    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.metadata(id).filter(|metadata| is_ours(metadata)) {
            let mut text = Text::default();
            values.record(&mut text);
            logs::check(&text.all);
            let outcome = text.all.trim().trim_matches('"').to_owned();
            OUTCOMES.lock().unwrap_or_else(PoisonError::into_inner).insert((span.name(), outcome));
        }
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        if is_ours(attributes.metadata()) {
            let mut text = Text::default();
            attributes.record(&mut text);
            note(attributes.metadata(), " span", &text);
        }
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if is_ours(event.metadata()) {
            let mut text = Text::default();
            event.record(&mut text);
            if text.message != event.metadata().name().replace('_', " ") {
                odd(text.message.clone());
            }
            if event.metadata().name() == "link_up" {
                UP.lock().unwrap_or_else(PoisonError::into_inner).insert(text.pool.clone());
            }
            note(event.metadata(), "", &text);
        }
    }
}

fn odd(what: String) {
    ODD.lock().unwrap_or_else(PoisonError::into_inner).push(what);
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("entra_redis")
}

fn note(metadata: &Metadata<'_>, kind: &str, text: &Text) {
    logs::check(&text.all);
    let fields = metadata.fields().iter().map(|field| field.name().to_owned());
    let row = Row {
        name: metadata.name().to_owned(),
        level: format!("{}{kind}", metadata.level().as_str().to_lowercase()),
        target: metadata.target().to_owned(),
        fields: fields.filter(|name| name != "message").collect(),
    };
    SEEN.lock().unwrap_or_else(PoisonError::into_inner).insert(row);
}

#[derive(Default)]
struct Text {
    message: String,
    pool: String,
    all: String,
}

impl Visit for Text {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if !field.name().ends_with("_s") || !value.is_finite() {
            odd(format!("{} = {value}", field.name()));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "pool" {
            value.clone_into(&mut self.pool);
        }
        self.record_debug(field, &value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name().ends_with("_s") {
            odd(format!("{} = {value:?}", field.name()));
        }
        let value = format!("{value:?}");
        self.all.push_str(&value);
        self.all.push(' ');
        if field.name() == "message" {
            self.message = value;
        }
    }
}

fn documented() -> BTreeSet<Row> {
    let rows = page::table("| name | level | target | fields |");
    let row = |cells: Vec<String>| match cells.as_slice() {
        [name, level, target, fields] => Row {
            name: name.clone(),
            level: level.clone(),
            target: target.clone(),
            fields: fields.split(", ").map(str::to_owned).collect(),
        },
        other => panic!("{other:?}"),
    };
    let is_there = |row: &Row| cfg!(feature = "near-cache") || row.target != "entra_redis::cache";
    rows.into_iter().map(row).filter(is_there).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_in_the_table_is_told_and_nothing_else() {
    rotations_and_reconnects().await;
    a_token_that_expires().await;
    the_default_chain().await;
    somebody_else_at_the_port().await;
    #[cfg(feature = "near-cache")]
    near_caches().await;

    let seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let documented = documented();
    let missing: Vec<_> = documented.difference(&seen).collect();
    let unknown: Vec<_> = seen.difference(&documented).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "in the table alone: {missing:#?}\nin the code alone: {unknown:#?}"
    );
    let outcomes = OUTCOMES.lock().unwrap_or_else(PoisonError::into_inner);
    for span in ["token_request", "dial", "reauth"] {
        for outcome in ["ok", "failed"] {
            assert!(outcomes.contains(&(span, outcome.to_owned())), "no {span} has ended {outcome}: {outcomes:?}");
        }
    }
    let odd = ODD.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(odd.is_empty(), "{odd:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_pools_of_one_process_are_told_apart() {
    let emulator = start(Emulator::builder()).await;
    let first = emulator.up(emulator.config(), 1).await;
    let second = emulator.up(emulator.config(), 1).await;
    let server = format!("{}:{}", emulator.host(), emulator.port());
    let names = [&first, &second].map(|redis| redis.manager().stats().pool);
    assert_eq!(names, [server.clone(), format!("{server}#2")]);
    let up = async || {
        let up = UP.lock().unwrap_or_else(PoisonError::into_inner);
        names.iter().all(|name| up.contains(name)).then_some(())
    };
    common::eventually("the links of both are told of", 5 * SECOND, up).await;
}

async fn rotations_and_reconnects() {
    let emulator = start(Emulator::builder().token_lifetime(HOUR)).await;
    let redis = emulator.up(emulator.config(), 1).await;
    let mut events = redis.manager().events();

    emulator.redis_front().script_auth([AuthFault::Error("ERR temporary failure".to_owned())]);
    redis.manager().refresh_token();
    told(&mut events, "a re-AUTH fails", |event| matches!(event, Event::ReauthFailed { .. }).then_some(())).await;
    told(&mut events, "it is done", |event| matches!(event, Event::Reauthenticated { .. }).then_some(())).await;
    told(&mut events, "the standby goes", |event| matches!(event, Event::LinkRetired { .. }).then_some(())).await;
    told(&mut events, "it is drained", |event| matches!(event, Event::LinkDrained { .. }).then_some(())).await;

    emulator.identity().script([IdentityFault::SameToken, IdentityFault::Status(503)]);
    redis.manager().refresh_token();
    told(&mut events, "the same token", |event| matches!(event, Event::TokenUnchanged { .. }).then_some(())).await;
    redis.manager().refresh_token();
    told(&mut events, "a failure", |event| matches!(event, Event::RefreshFailed { .. }).then_some(())).await;
    told(&mut events, "a new token", |event| matches!(event, Event::TokenRefreshed { .. }).then_some(())).await;
    told(&mut events, "its re-AUTH", |event| matches!(event, Event::Reauthenticated { .. }).then_some(())).await;

    emulator.redis_front().refuse_connections(true);
    emulator.redis_front().cut_all();
    told(&mut events, "a loss", |event| matches!(event, Event::LinkDown { .. }).then_some(())).await;
    told(&mut events, "a dial fails", |event| matches!(event, Event::DialFailed { .. }).then_some(())).await;
    emulator.redis_front().refuse_connections(false);
    told(&mut events, "it is replaced", |event| matches!(event, Event::LinkReplaced { .. }).then_some(())).await;
}

async fn a_token_that_expires() {
    let emulator = start(Emulator::builder().token_lifetime(2 * SECOND)).await;
    let redis = emulator.up(emulator.config(), 1).await;
    let mut events = redis.manager().events();
    emulator.identity().fault_all(Some(IdentityFault::Status(503)));
    told(&mut events, "expiry", |event| matches!(event, Event::TokenExpired { .. }).then_some(())).await;
}

async fn the_default_chain() {
    let emulator = start(Emulator::builder()).await;
    let chain = Credential::default_chain().imds_host(emulator.imds_host());
    emulator.up(Config::new(chain).tls(emulator.tls()), 1).await;
}

/// On a server that tells of changes, until it is lost.
#[cfg(feature = "near-cache")]
async fn near_caches() {
    let emulator = start(common::emulator(HOUR)).await;
    let redis = emulator.up(emulator.config(), 1).await;
    let mut events = redis.manager().events();
    let _cached = redis.cached(entra_redis::CacheOptions::new());
    told(&mut events, "changes", |event| matches!(event, Event::CacheTracking { .. }).then_some(())).await;
    emulator.redis_front().cut_all();
    told(&mut events, "none", |event| matches!(event, Event::CacheUntracked { .. }).then_some(())).await;
}

/// A web server, where Redis was expected.
async fn somebody_else_at_the_port() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 512];
            _ = stream.read(&mut buffer).await;
            _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            _ = stream.read(&mut buffer).await;
        }
    });
    let token = || async { AccessToken::opaque("any token", HOUR, "tester") };
    let config = Config::new(Credential::custom(token)).tls(Tls::dangerously_unencrypted());
    let attempt = EntraRedis::connect("127.0.0.1", port, config);
    within("a refusal", 10 * SECOND, attempt).await.unwrap_err();
    server.abort();
}
