//! What a command costs on this side, part by part: packing it, reading its reply, looking it up in the table of
//! commands, finding it a link; and planning a token's renewal.
//!
//! `cargo bench -p entra-redis-benches --bench micro`. Packing and parsing are measured beside the redis crate's own,
//! on the same bytes. Picking is a command's way from the handle into a link's buffer; the answers come from memory,
//! untimed.

use criterion::{BenchmarkId, Criterion, Throughput};
use entra_redis::{
    AccessToken, TokenManagerConfig,
    bench_api::{self, Links},
};
use std::{
    hint::black_box,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    runtime::Runtime,
};

/// Commands queued in one go; a link takes more before the next one is used.
const BATCH: u64 = 256;

/// What a stream in memory holds in each direction.
const STREAM_BUFFER: usize = 64 << 10;

fn main() {
    let criterion = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(2));
    let mut criterion = criterion.configure_from_args();
    pack(&mut criterion);
    parse(&mut criterion);
    look(&mut criterion);
    pick(&mut criterion);
    schedule(&mut criterion);
    criterion.final_summary();
}

fn pack(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pack");
    let get = redis::cmd("GET").arg("user:1234:name").clone();
    let set = redis::cmd("SET").arg("user:1234:name").arg("x".repeat(1024)).arg("EX").arg(60).clone();
    for (name, cmd) in [("GET", get), ("SET of 1 KiB", set)] {
        let mut bytes = Vec::with_capacity(4096);
        group.bench_function(BenchmarkId::new("entra-redis", name), |bencher| {
            bencher.iter(|| {
                bytes.clear();
                bench_api::pack(black_box(&cmd), &mut bytes);
            });
        });
        group.bench_function(BenchmarkId::new("redis", name), |bencher| {
            bencher.iter(|| {
                bytes.clear();
                black_box(&cmd).write_packed_command(&mut bytes);
            });
        });
    }
    group.finish();
}

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    for (name, bytes) in replies() {
        let theirs = redis::parse_redis_value(&bytes).expect("a whole reply");
        assert_eq!(bench_api::parse(&bytes), Some((theirs, bytes.len())), "{name}");
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(BenchmarkId::new("entra-redis", name), |bencher| {
            bencher.iter(|| bench_api::parse(black_box(&bytes)));
        });
        group.bench_function(BenchmarkId::new("redis", name), |bencher| {
            bencher.iter(|| redis::parse_redis_value(black_box(&bytes)));
        });
    }
    group.finish();
}

fn replies() -> [(&'static str, Vec<u8>); 7] {
    let strings = |count: usize, len: usize| bulk(len).repeat(count);
    let entry = [&b"*2\r\n"[..], &bulk(15), b"*8\r\n", &strings(8, 12)].concat();
    [
        ("string of 64 bytes", bulk(64)),
        ("status", b"+OK\r\n".to_vec()),
        ("integer", b":1234567\r\n".to_vec()),
        ("array of 100", [&b"*100\r\n"[..], &strings(100, 16)].concat()),
        ("map of 20", [&b"%20\r\n"[..], &strings(40, 12)].concat()),
        ("nested, as of XRANGE", [&b"*10\r\n"[..], &entry.repeat(10)].concat()),
        ("string of 1 MiB", bulk(1 << 20)),
    ]
}

fn bulk(len: usize) -> Vec<u8> {
    format!("${len}\r\n{}\r\n", "x".repeat(len)).into_bytes()
}

fn look(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("look");
    for line in ["GET key", "hgetall key", "CLIENT KILL 1", "XREADGROUP GROUP g c STREAMS s >", "UNKNOWN key"] {
        let mut words = line.split(' ');
        let mut cmd = redis::cmd(words.next().expect("a name"));
        words.for_each(|word| _ = cmd.arg(word));
        group.bench_function(line, |bencher| bencher.iter(|| bench_api::look(black_box(&cmd))));
    }
    group.finish();
}

fn pick(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let cmd = redis::cmd("GET").arg("key").clone();
    let len = cmd.get_packed_command().len();
    let mut group = criterion.benchmark_group("pick");
    for count in [1, 4, 64] {
        for (which, aside) in [("first", 0), ("last", count - 1)] {
            let links = {
                let _on_it = runtime.enter();
                Links::over((0..count).map(|_| server(len)), aside)
            };
            group.bench_function(BenchmarkId::new(which, count), |bencher| {
                bencher.iter_custom(|commands| queue(&runtime, &links, &cmd, commands));
            });
        }
    }
    group.finish();
}

/// The time that it takes to queue so many commands.
fn queue(runtime: &Runtime, links: &Links, cmd: &redis::Cmd, commands: u64) -> Duration {
    let mut spent = Duration::ZERO;
    let mut left = commands;
    let mut replies = Vec::new();
    while left > 0 {
        let batch = left.min(BATCH);
        left -= batch;
        // Nothing else runs meanwhile: the links' tasks are on this thread.
        let began = Instant::now();
        for _ in 0..batch {
            replies.push(links.send(black_box(cmd)).expect("a link takes it"));
        }
        spent += began.elapsed();
        runtime.block_on(async {
            for reply in replies.drain(..) {
                assert!(reply.await, "a command was not answered");
            }
        });
    }
    spent
}

/// A stream to a server that answers each command, all of which have this length, with a status. Must be called on a
/// runtime.
fn server(len: usize) -> DuplexStream {
    let (ours, theirs) = duplex(STREAM_BUFFER);
    // It ends when our half is dropped.
    tokio::spawn(answer(theirs, len));
    ours
}

async fn answer(mut stream: DuplexStream, len: usize) {
    let mut buffer = vec![0; STREAM_BUFFER];
    let mut came = 0;
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        came += read;
        if stream.write_all(&b"+OK\r\n".repeat(came / len)).await.is_err() {
            return;
        }
        came %= len;
    }
}

fn schedule(criterion: &mut Criterion) {
    let token = |life| AccessToken::opaque("token", life, "user").expect("a token");
    let config = TokenManagerConfig::new();
    let mut group = criterion.benchmark_group("schedule");
    for (name, token) in [("an hour", token(Duration::from_secs(3600))), ("a minute", token(Duration::from_secs(60)))] {
        group.bench_function(BenchmarkId::new("refresh_after", name), |bencher| {
            bencher.iter(|| black_box(&config).refresh_after(black_box(&token)));
        });
    }
    group.finish();
}
