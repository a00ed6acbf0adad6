//! `entra-redis emulator`: the emulator alone, for Redis clients in any language.

mod chaos;
mod exports;

use crate::{failure::Failure, terminal};
use chaos::Chaos;
use clap::{Args, ValueEnum};
use entra_redis::emulator::{Emulator, EmulatorBuilder};
use std::{
    env, fs,
    future::pending,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

/// Plays Microsoft Entra ID and Azure Managed Redis on loopback ports, for Redis clients in any language.
///
/// It prints what a client needs as `export` lines, and runs until it is interrupted. Those lines select the client
/// secret; with `--write-dir`, lines that are commented out follow, for the other kinds of credentials.
///
/// With `--chaos`, whatever can go wrong does, as soon as somebody has connected: see what your service makes of it.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// How long a token lives.
    #[arg(long, value_name = "SECS", default_value_t = 3600.0)]
    token_lifetime: f64,
    /// A Redis server (host:port, plain TCP) behind the emulator; without it, the embedded store.
    #[arg(long, value_name = "ADDR")]
    redis: Option<String>,
    /// Starts a `redis-server` behind the emulator.
    #[arg(long, conflicts_with = "redis")]
    redis_server: bool,
    /// Starts a Redis Cluster of so many primaries behind the emulator, each a `redis-server`.
    #[arg(long, value_name = "N", conflicts_with_all = ["redis", "redis_server"])]
    cluster: Option<usize>,
    /// The same of embedded stores: nothing has to be installed.
    #[arg(long, value_name = "N", conflicts_with_all = ["redis", "redis_server", "cluster"])]
    embedded_cluster: Option<usize>,
    /// How many replicas each primary of the cluster has.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "cluster")]
    replicas: usize,
    /// Refuses what Azure Managed Redis does not have, such as READONLY and ASKING under either policy, and all of
    /// CLUSTER under the Enterprise policy.
    #[arg(long, value_name = "POLICY")]
    policy: Option<Policy>,
    /// Where to write a client certificate and a federated token, and Azure Arc's key files; the directory is made if
    /// it is not there.
    #[arg(long, value_name = "DIR")]
    write_dir: Option<PathBuf>,
    /// How long to run; without it, until it is interrupted.
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// Lets things go wrong at random, each with a line on stderr, and a line of JSON about all of it at the end.
    #[arg(long)]
    chaos: bool,
    /// Makes the same chaos again; without it, another one each time.
    #[arg(long, value_name = "N", requires = "chaos")]
    seed: Option<u64>,
}

const EXAMPLES: &str = "\
Examples:
  entra-redis emulator --token-lifetime 60 > emulator.env &
                                                 then, once it has its lines: . ./emulator.env
  entra-redis emulator --cluster 3 --replicas 1  before a Redis Cluster, as Azure's default policy is
  entra-redis emulator --chaos --redis-server --token-lifetime 2 > emulator.env
                                                 everything that can go wrong in a year, within minutes
  entra-redis emulator --write-dir ./azure       certificate, federated token and Arc's key files, too";

#[derive(Clone, Copy, ValueEnum)]
enum Policy {
    OssCluster,
    Enterprise,
}

impl Options {
    fn builder(&self) -> Result<EmulatorBuilder, Failure> {
        let lifetime = Duration::try_from_secs_f64(self.token_lifetime).ok().filter(|lifetime| !lifetime.is_zero());
        let lifetime = lifetime.ok_or_else(|| {
            let given = self.token_lifetime;
            Failure::from(format!("--token-lifetime {given} is no time: give seconds, such as 60 or 2.5"))
        })?;
        let mut builder = Emulator::builder().token_lifetime(lifetime).replicas(self.replicas);
        if let Some(address) = &self.redis {
            builder = builder.redis_address(address);
        }
        if self.redis_server {
            builder = builder.redis_server();
        }
        if let Some(primaries) = self.cluster {
            builder = builder.cluster(primaries);
        }
        if let Some(nodes) = self.embedded_cluster {
            builder = builder.embedded_cluster(nodes);
        }
        match self.policy {
            Some(Policy::OssCluster) => builder = builder.amr_strict(),
            Some(Policy::Enterprise) => builder = builder.enterprise_policy(),
            None => {}
        }
        Ok(builder)
    }
}

pub(crate) async fn run(options: &Options) -> Result<ExitCode, Failure> {
    let start = async {
        let emulator = options.builder()?.start().await;
        emulator.map_err(|error| Failure::new("the emulator does not start", error))
    };
    let emulator = tokio::select! {
        started = start => started?,
        _ = terminal::interrupted() => return Ok(ExitCode::SUCCESS),
    };

    let others = exports::other_credentials(&emulator, options.write_dir.as_deref())?;
    let ca_file = env::temp_dir().join(format!("entra-redis-emulator-{}.pem", emulator.port()));
    write_file(&ca_file, emulator.ca_pem())?;
    exports::print(&emulator, &ca_file, &others)?;

    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    let chaos = options.chaos.then(|| Chaos::new(&emulator, seed));
    tokio::select! {
        _ = terminal::interrupted() => {}
        () = passed(options.seconds) => {}
        () = cause_faults(chaos.as_ref()) => {}
    }
    if let Some(chaos) = &chaos {
        terminal::note(chaos.summary());
    }
    fs::remove_file(&ca_file).map_err(|error| Failure::new(format!("cannot remove {}", ca_file.display()), error))?;
    Ok(ExitCode::SUCCESS)
}

async fn passed(seconds: Option<u64>) {
    match seconds {
        Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
        None => pending().await,
    }
}

async fn cause_faults(chaos: Option<&Chaos<'_>>) {
    match chaos {
        Some(chaos) => chaos.run().await,
        None => pending().await,
    }
}

/// Writes a file, or says which one cannot be written.
fn write_file(path: &Path, content: impl AsRef<[u8]>) -> Result<(), Failure> {
    fs::write(path, content).map_err(|error| Failure::new(format!("cannot write {}", path.display()), error))
}
