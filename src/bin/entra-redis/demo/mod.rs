//! `entra-redis demo`: a token rotates under load, with nothing installed.

mod view;

use crate::{
    failure::Failure,
    terminal::{self, grouped},
};
use clap::Args;
use entra_redis::{EntraRedis, Stats, TokenManagerConfig, emulator::Emulator};
use redis::AsyncCommands;
use std::{
    io::{Write, stdout},
    process::ExitCode,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::time::sleep;
use view::View;

/// Shows tokens that rotate under load, on the emulator, with nothing installed.
///
/// The emulator plays Microsoft Entra ID and Azure Managed Redis on loopback ports. Its tokens live three seconds, and
/// it cuts every connection whose token has expired. Tasks count to Redis meanwhile, through one handle that they
/// share.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// How many new tokens to wait for.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    rotations: u64,
    /// Tasks that share one handle.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    tasks: u16,
    /// Shows it on a cluster of so many nodes, as Azure makes caches by default.
    #[arg(long, value_name = "NODES", value_parser = clap::value_parser!(u8).range(1..=16))]
    cluster: Option<u8>,
}

const EXAMPLES: &str = "\
Examples:
  entra-redis demo                          three rotations, about ten seconds
  entra-redis demo --cluster 3              the same on a cluster of three nodes
  entra-redis demo --rotations 100          ends with Ctrl-C, too

Exit status: 0 if no command failed.";

const TOKEN_LIFETIME: Duration = Duration::from_secs(3);

/// What the tasks have done.
#[derive(Default)]
struct Tally {
    commands: AtomicU64,
    failed: AtomicU64,
    slowest_us: AtomicU64,
    first_error: Mutex<Option<String>>,
}

impl Tally {
    fn first_error(&self) -> MutexGuard<'_, Option<String>> {
        self.first_error.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn commands(&self) -> u64 {
        self.commands.load(Relaxed)
    }

    fn failed(&self) -> u64 {
        self.failed.load(Relaxed)
    }

    fn slowest_ms(&self) -> f64 {
        self.slowest_us.load(Relaxed) as f64 / 1000.0
    }
}

pub(crate) async fn run(options: &Options) -> Result<ExitCode, Failure> {
    let tally = Arc::new(Tally::default());
    let mut out = stdout();
    let builder = Emulator::builder().token_lifetime(TOKEN_LIFETIME);
    let builder = options.cluster.map_or(builder.clone(), |nodes| builder.embedded_cluster(nodes.into()));
    let emulator = builder.start().await.map_err(|error| Failure::new("the emulator does not start", error))?;
    let (entra, port) = (emulator.authority_host(), emulator.port());
    writeln!(out, "The emulator is up: Microsoft Entra ID on {entra}, Azure Managed Redis over TLS on port {port}.")?;
    writeln!(out, "Its tokens live 3 seconds, and it cuts every connection whose token has expired.\n")?;

    let tokens = TokenManagerConfig::new().lower_refresh_bound(Duration::from_millis(500));
    let config = emulator.config().token_manager(tokens);
    let redis = EntraRedis::connect(emulator.host(), port, config).await?;
    let workers: Vec<_> =
        (0..options.tasks).map(|task| tokio::spawn(work(redis.clone(), task, Arc::clone(&tally)))).collect();
    let view = View::new(&tally, options);
    let watched = tokio::select! {
        watched = watch(&redis, view, options.rotations) => watched,
        _ = terminal::interrupted() => Ok(()),
    };
    workers.iter().for_each(tokio::task::JoinHandle::abort);
    let stats = redis.manager().stats();
    redis.shutdown().await;
    watched?;

    let (commands, failed) = (grouped(tally.commands()), tally.failed());
    let verdict = if failed == 0 { "none failed".to_owned() } else { format!("{} failed", grouped(failed)) };
    let rotations = counted(stats.counters.rotations, "rotation");
    let tasks = counted(options.tasks.into(), "task");
    let links = counted(stats.links.len() as u64, "connection");
    let reauths = counted(stats.counters.reauths, "re-AUTH");
    writeln!(out, "\n{commands} commands of {tasks} went through {rotations}: {verdict}.")?;
    writeln!(out, "The slowest of them took {:.1} ms.", tally.slowest_ms())?;
    writeln!(out, "{links} got every new token while in use, by {reauths}, and {}.", lost(&stats))?;
    match &*tally.first_error() {
        Some(error) => Err(Failure::new("the first command that failed", error)),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn lost(stats: &Stats) -> String {
    match stats.counters.links_lost {
        0 => "none was lost".to_owned(),
        1 => "1 was lost and replaced".to_owned(),
        lost => format!("{lost} were lost and replaced"),
    }
}

/// Follows the rotations until there were enough of them, and every connection has had the last one.
async fn watch(redis: &EntraRedis, mut view: View<'_>, rotations: u64) -> Result<(), Failure> {
    let mut events = redis.manager().events();
    loop {
        let stats = redis.manager().stats();
        view.draw(&stats)?;
        let newest = stats.token.as_ref().map_or(0, |token| token.generation);
        let behind = stats.links.iter().any(|link| link.generation < newest || !link.is_open());
        if stats.counters.rotations >= rotations && !behind {
            // What has just happened is told, too.
            while let Ok(event) = events.try_recv() {
                view.tell(&event)?;
            }
            return Ok(());
        }
        tokio::select! {
            event = events.recv() => if let Ok(event) = event { view.tell(&event)?; },
            () = sleep(view::FRAME) => {}
        }
    }
}

async fn work(mut redis: EntraRedis, task: u16, tally: Arc<Tally>) {
    loop {
        let sent = Instant::now();
        let result = redis.incr::<_, _, u64>(format!("counter:{task}"), 1).await;
        let took = u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX);
        tally.slowest_us.fetch_max(took, Relaxed);
        tally.commands.fetch_add(1, Relaxed);
        if let Err(error) = result {
            tally.failed.fetch_add(1, Relaxed);
            tally.first_error().get_or_insert_with(|| error.to_string());
        }
        // A demonstration, not a benchmark.
        sleep(Duration::from_millis(1)).await;
    }
}

/// `1 task`, `8 tasks`.
fn counted(number: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(number), if number == 1 { "" } else { "s" })
}
