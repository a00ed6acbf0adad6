//! The figures of the feature `metrics`, as a recorder gets them: all that the guide's table names, and nothing else.

use crate::{HOUR, held_up, page, read, start, told};
use common::{SECOND, all_current, child, eventually, links_up, within};
use entra_redis::{
    EntraRedis, Event,
    emulator::{Emulator, IdentityFault},
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use redis::AsyncCommands;
use std::{collections::BTreeSet, sync::LazyLock};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The one recorder of this process; installed before a handle connects whose figures are looked at.
static PROMETHEUS: LazyLock<PrometheusHandle> =
    LazyLock::new(|| PrometheusBuilder::new().install_recorder().expect("there is no other"));

/// The value of a figure with all of these labels; none if there is no such figure.
fn value(name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let text = PROMETHEUS.render();
    let name = name.replace('.', "_");
    let labelled = |line: &str| labels.iter().all(|(key, value)| line.contains(&format!("{key}=\"{value}\"")));
    let line = text.lines().find(|line| line.starts_with(&format!("{name}{{")) && labelled(line))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// Waits until a figure of the pool at this port has this value.
async fn becomes(port: u16, name: &str, label: Option<(&str, &str)>, expected: f64) {
    let port = port.to_string();
    let labels: Vec<_> = [("server_port", port.as_str())].into_iter().chain(label).collect();
    let mut last = None;
    let deadline = tokio::time::Instant::now() + 10 * SECOND;
    while last != Some(expected) {
        assert!(tokio::time::Instant::now() < deadline, "{name} {label:?} is {last:?}, not {expected}");
        tokio::time::sleep(SECOND / 20).await;
        last = value(name, &labels);
    }
}

/// As Prometheus calls them: the names and kinds of all our figures.
fn recorded() -> BTreeSet<(String, String)> {
    let text = PROMETHEUS.render();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

fn documented() -> BTreeSet<(String, String)> {
    let rows = page::table("| metric | kind | what it is |");
    // A histogram without buckets of its own is a summary there.
    let kind = |kind: &str| if kind == "histogram" { "summary".to_owned() } else { kind.to_owned() };
    rows.into_iter().map(|cells| (cells[0].replace('.', "_"), kind(&cells[1]))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_a_reconnect_and_failures_show_under_the_documented_names() {
    LazyLock::force(&PROMETHEUS);
    let emulator = start(Emulator::builder().token_lifetime(HOUR)).await;
    let config = emulator.config().max_in_flight(2).command_timeout(10 * SECOND);
    let redis = emulator.up(config, 2).await;
    let port = emulator.port();
    let mut con = redis.clone();
    for n in 0..5 {
        let _: () = con.set(n, n).await.unwrap();
    }

    let mut events = redis.manager().events();
    emulator.identity().script([IdentityFault::Status(503)]);
    redis.manager().refresh_token();
    told(&mut events, "a new token", |event| matches!(event, Event::TokenRefreshed { .. }).then_some(())).await;
    eventually("two re-AUTHs", 10 * SECOND, async || (redis.manager().counters().reauths == 2).then_some(())).await;
    all_current(&redis).await;

    let calls = [held_up(&emulator, &redis).await, held_up(&emulator, &redis).await];
    con.get::<_, Option<String>>("key").await.unwrap_err();
    redis::cmd("SELECT").arg(1).query_async::<()>(&mut con).await.unwrap_err();
    becomes(port, "entra_redis.commands.in_flight", None, 2.0).await;
    // They fill one link.
    becomes(port, "db.client.connection.count", Some(("db_client_connection_state", "used")), 1.0).await;
    becomes(port, "db.client.connection.count", Some(("db_client_connection_state", "idle")), 1.0).await;
    emulator.redis_front().cut_all();
    for call in calls {
        within("a lost command", 5 * SECOND, call).await.unwrap().unwrap_err();
    }
    eventually("two reconnects", 10 * SECOND, async || (redis.manager().counters().reconnects == 2).then_some(()))
        .await;
    links_up(&redis, 2).await;

    let error = |kind| Some(("error_type", kind));
    for (name, label, expected) in [
        ("db.client.connection.max", None, 2.0),
        ("db.client.connection.count", Some(("db_client_connection_state", "idle")), 2.0),
        ("db.client.connection.count", Some(("db_client_connection_state", "used")), 0.0),
        ("db.client.connection.pending_requests", None, 0.0),
        ("db.client.connection.timeouts", None, 0.0),
        ("entra_redis.commands.in_flight", None, 0.0),
        ("entra_redis.commands.sent", None, 7.0),
        ("entra_redis.commands.retried", None, 0.0),
        ("entra_redis.commands.failed", error("lost"), 2.0),
        ("entra_redis.commands.failed", error("overloaded"), 1.0),
        ("entra_redis.commands.failed", error("timed_out"), 0.0),
        ("entra_redis.commands.failed", error("unauthenticated"), 0.0),
        ("entra_redis.commands.failed", error("closed"), 0.0),
        ("entra_redis.commands.failed", error("refused"), 1.0),
        ("db.client.operation.duration_count", Some(("db_operation_name", "SET")), 5.0),
        ("db.client.operation.duration_count", error("lost"), 2.0),
        ("db.client.operation.duration_count", error("overloaded"), 1.0),
        ("db.client.connection.wait_time_count", None, 0.0),
        ("entra_redis.token.fetched", None, 2.0),
        ("entra_redis.token.unchanged", None, 0.0),
        ("entra_redis.token.failures", None, 1.0),
        ("entra_redis.reauths", None, 2.0),
        ("entra_redis.reauth_failures", None, 0.0),
        ("entra_redis.links.opened", None, 4.0),
        ("entra_redis.links.lost", None, 2.0),
        ("entra_redis.reconnects", None, 2.0),
        ("db.client.connection.create_time_count", None, 4.0),
    ] {
        becomes(port, name, label, expected).await;
    }
    let server_port = port.to_string();
    let of = |name: &str| value(name, &[("server_port", server_port.as_str())]).unwrap();
    let (age, remaining, refresh_in) =
        (of("entra_redis.token.age"), of("entra_redis.token.remaining"), of("entra_redis.token.refresh_in"));
    assert!(age > 0.0 && age < 60.0 && remaining > 3_500.0 && refresh_in > 0.0 && refresh_in < remaining);
    let name = format!("{}:{port}", emulator.host());
    let all = [
        ("db_system_name", "redis"),
        ("server_address", emulator.host()),
        ("server_port", server_port.as_str()),
        ("db_client_connection_pool_name", name.as_str()),
    ];
    assert_eq!(value("db.client.connection.max", &all), Some(2.0));

    let (recorded, documented) = (recorded(), documented());
    let missing: Vec<_> = documented.difference(&recorded).collect();
    let unknown: Vec<_> = recorded.difference(&documented).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "in the table alone: {missing:?}, in the code alone: {unknown:?}"
    );
    let text = PROMETHEUS.render();
    for (name, _) in &recorded {
        assert!(text.contains(&format!("# HELP {name} ")), "{name} has no description");
    }
}

/// Each is one of its own name, whatever it holds; and what went wrong tells it from the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_are_timed_by_their_names_and_by_how_they_ended() {
    LazyLock::force(&PROMETHEUS);
    let emulator = start(Emulator::builder()).await;
    let redis = emulator.up(emulator.config(), 1).await;
    let mut con = redis.clone();
    let _: () = con.set("key", 1).await.unwrap();
    let mut two = redis::pipe();
    two.incr("key", 1).incr("key", 1);
    for _ in 0..3 {
        let _: (u64, u64) = two.query_async(&mut con).await.unwrap();
    }
    let _: (u64, u64) = two.atomic().query_async(&mut con).await.unwrap();
    redis::cmd("NONSENSE").arg("key").query_async::<()>(&mut con).await.unwrap_err();
    let call = held_up(&emulator, &redis).await;
    call.abort();
    _ = call.await;

    // One that finds no link waits for one.
    emulator.redis_front().refuse_connections(true);
    emulator.redis_front().cut_all();
    eventually("no link is up", 5 * SECOND, async || (!redis.manager().ready()).then_some(())).await;
    let call = read(&redis);
    let waits = async || (redis.manager().stats().commands.waiting == 1).then_some(());
    eventually("it waits for a link", SECOND, waits).await;
    emulator.redis_front().refuse_connections(false);
    within("its answer", 5 * SECOND, call).await.unwrap().unwrap();

    let port = emulator.port().to_string();
    let (server, pool) = (("server_port", port.as_str()), format!("{}:{port}", emulator.host()));
    let operation = |name| ("db_operation_name", name);
    for (labels, expected) in [
        (&[operation("SET"), ("db_system_name", "redis"), ("server_address", emulator.host())][..], 1.0),
        (&[operation("PIPELINE"), ("db_client_connection_pool_name", pool.as_str())], 3.0),
        (&[operation("MULTI")], 1.0),
        (&[operation("_OTHER"), ("error_type", "ERR"), ("db_response_status_code", "ERR")], 1.0),
        (&[operation("GET"), ("error_type", "cancelled")], 1.0),
    ] {
        let labels = [labels, &[server]].concat();
        let ended = async || (value("db.client.operation.duration_count", &labels) == Some(expected)).then_some(());
        eventually(&format!("{labels:?}"), 5 * SECOND, ended).await;
        let seconds = value("db.client.operation.duration_sum", &labels).unwrap();
        assert!(seconds > 0.0 && seconds < 30.0, "{labels:?}: {seconds} s");
    }
    becomes(emulator.port(), "db.client.connection.wait_time_count", None, 1.0).await;
    let waited = value("db.client.connection.wait_time_sum", &[server]).unwrap();
    assert!(waited > 0.0 && waited < 5.0, "{waited} s");
}

/// Also what goes to several nodes, or in several steps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_its_caller_gives_up_counts_as_cancelled() {
    LazyLock::force(&PROMETHEUS);
    let emulator = start(Emulator::builder().cluster(3)).await;
    let redis = EntraRedis::connect(emulator.host(), emulator.port(), emulator.config()).await.unwrap();
    let cluster = emulator.cluster().expect("a cluster was asked for");
    (0..3).for_each(|node| cluster.front(node).unwrap().freeze());
    let port = emulator.port().to_string();
    let (mut delete, mut scan, mut two) = (redis::cmd("DEL"), redis::cmd("HSCAN"), redis::pipe());
    delete.arg(&["a", "b", "c"]);
    scan.arg("hash").arg(0);
    two.get("a").get("b");
    for (name, cmd) in [("DEL", &delete), ("DBSIZE", &redis::cmd("DBSIZE")), ("HSCAN", &scan)] {
        let mut con = redis.clone();
        assert!(futures_util::poll!(Box::pin(cmd.query_async::<redis::Value>(&mut con))).is_pending());
        is_cancelled(&port, name);
    }
    let mut con = redis.clone();
    assert!(futures_util::poll!(Box::pin(two.query_async::<redis::Value>(&mut con))).is_pending());
    is_cancelled(&port, "PIPELINE");
}

/// One command of this name has been given up.
fn is_cancelled(port: &str, name: &str) {
    let labels = [("server_port", port), ("db_operation_name", name), ("error_type", "cancelled")];
    assert_eq!(value("db.client.operation.duration_count", &labels), Some(1.0), "{name}");
}

/// Neither by `shutdown` nor by the last drop may a gauge be left that says that there are connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_ended_shows_no_connections_and_has_told_its_last_figures() {
    LazyLock::force(&PROMETHEUS);
    for by_shutdown in [true, false] {
        let emulator = start(Emulator::builder()).await;
        let redis = emulator.up(emulator.config(), 3).await;
        let port = emulator.port();
        becomes(port, "db.client.connection.count", Some(("db_client_connection_state", "idle")), 3.0).await;
        let _: () = redis.clone().set("key", 1).await.unwrap();
        if by_shutdown {
            redis.shutdown().await;
        } else {
            drop(redis);
        }
        for (name, label) in [
            ("db.client.connection.count", Some(("db_client_connection_state", "idle"))),
            ("db.client.connection.count", Some(("db_client_connection_state", "used"))),
            ("db.client.connection.max", None),
            ("entra_redis.token.remaining", None),
        ] {
            becomes(port, name, label, 0.0).await;
        }
        becomes(port, "entra_redis.commands.sent", None, 1.0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_pools_to_one_server_have_figures_of_their_own() {
    LazyLock::force(&PROMETHEUS);
    let emulator = start(Emulator::builder()).await;
    let port = emulator.port();
    let server = format!("{}:{port}", emulator.host());
    let second_name = format!("{server}#2");
    let first = emulator.up(emulator.config(), 1).await;
    let second = emulator.up(emulator.config(), 2).await;
    let most = async |pool: &str, expected: f64| {
        becomes(port, "db.client.connection.max", Some(("db_client_connection_pool_name", pool)), expected).await;
    };
    most(&server, 1.0).await;
    most(&second_name, 2.0).await;

    // The next one takes the name that is free again, and counts on where the last one has ended.
    let sent = async |pool: &EntraRedis, expected: f64| {
        let _: () = pool.clone().set("key", 1).await.unwrap();
        let label = Some(("db_client_connection_pool_name", second_name.as_str()));
        becomes(port, "entra_redis.commands.sent", label, expected).await;
    };
    sent(&second, 1.0).await;
    second.shutdown().await;
    drop(second);
    most(&second_name, 0.0).await;
    let third = emulator.up(emulator.config(), 3).await;
    most(&second_name, 3.0).await;
    sent(&third, 2.0).await;
    most(&server, 1.0).await;
    drop(first);
}

/// What a scraper gets, head and all; none while nobody is there.
async fn get(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_serves_prometheus_text_and_both_probes() {
    let example = child::start_example("metrics", "http://").await;
    let address = example.lines[0].strip_prefix("http://").and_then(|line| line.strip_suffix("/metrics"));
    let address = address.expect("where the figures are").to_owned();
    eventually("figures of commands and connections", 30 * SECOND, async || {
        let answer = get(&address, "/metrics").await?;
        let all = [
            "entra_redis_commands_sent_total{",
            "db_client_connection_create_time_seconds_count{",
            "db_client_operation_duration_seconds_bucket{",
        ];
        (answer.starts_with("HTTP/1.1 200 OK") && all.iter().all(|name| answer.contains(name))).then_some(())
    })
    .await;
    for path in ["/ready", "/alive"] {
        eventually(path, 5 * SECOND, async || {
            let answer = get(&address, path).await?;
            (answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("\r\n\r\nhealthy\n")).then_some(())
        })
        .await;
    }
    assert!(get(&address, "/nonsense").await.unwrap().starts_with("HTTP/1.1 404"));
    let run = example.end().await;
    assert_eq!(run.code, Some(0), "{} {}", run.output, run.complaint);
    assert_eq!(run.complaint, "");
}
