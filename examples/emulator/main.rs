//! Runs the emulator alone, for Redis clients in any language: `cargo run --example emulator`.
//!
//! It prints what a client needs as `export` lines, and runs until it is interrupted. Those select the client secret;
//! with `--write-dir`, lines that are commented out follow, for the other kinds of credentials.
//!
//! With `--chaos`, whatever can go wrong does, as soon as somebody has connected: see what your service makes of it.

mod chaos;

use chaos::Chaos;
use clap::{Parser, ValueEnum};
use entra_redis::emulator::{Emulator, EmulatorBuilder};
use std::{
    borrow::Cow,
    error::Error,
    fs,
    future::pending,
    io::{Write, stdout},
    path::{Path, PathBuf},
    time::{Duration, TryFromFloatSecsError},
};

#[derive(Parser)]
struct Options {
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
    /// Where to write a client certificate and a federated token, and Azure Arc's key files; the directory has to
    /// exist.
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

#[derive(Clone, Copy, ValueEnum)]
enum Policy {
    OssCluster,
    Enterprise,
}

impl Options {
    fn builder(&self) -> Result<EmulatorBuilder, TryFromFloatSecsError> {
        let mut builder = Emulator::builder()
            .token_lifetime(Duration::try_from_secs_f64(self.token_lifetime)?)
            .replicas(self.replicas);
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

/// Nobody writes the federated token anew, as a cluster does: it is to last as long as the emulator may run.
const FEDERATED_TOKEN_LIFETIME: Duration = Duration::from_secs(30 * 86_400);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let emulator = options.builder()?.start().await?;

    let ca_file = std::env::temp_dir().join(format!("entra-redis-emulator-{}.pem", emulator.port()));
    fs::write(&ca_file, emulator.ca_pem())?;
    print_exports(&emulator, &ca_file, &other_credentials(&emulator, options.write_dir.as_deref())?)?;

    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    let chaos = options.chaos.then(|| Chaos::new(&emulator, seed));
    tokio::select! {
        result = interrupted() => result?,
        () = passed(options.seconds) => {}
        () = wreak(chaos.as_ref()) => {}
    }
    if let Some(chaos) = &chaos {
        eprintln!("{}", chaos.summary());
    }
    fs::remove_file(&ca_file)?;
    Ok(())
}

async fn passed(seconds: Option<u64>) {
    match seconds {
        Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
        None => pending().await,
    }
}

async fn wreak(chaos: Option<&Chaos<'_>>) {
    match chaos {
        Some(chaos) => chaos.run().await,
        None => pending().await,
    }
}

/// Writes the files of the other kinds of credentials, and says which variables lead to them.
fn other_credentials(emulator: &Emulator, dir: Option<&Path>) -> std::io::Result<Vec<(&'static str, String)>> {
    let Some(dir) = dir else {
        return Ok(Vec::new());
    };
    let certificate = dir.join("client-certificate.pem");
    fs::write(&certificate, emulator.client_certificate_pem())?;
    let token = dir.join("federated-token");
    fs::write(&token, emulator.federated_token_with_lifetime(FEDERATED_TOKEN_LIFETIME))?;
    emulator.arc_key_dir(dir);
    Ok(vec![
        ("AZURE_CLIENT_CERTIFICATE_PATH", certificate.display().to_string()),
        ("AZURE_FEDERATED_TOKEN_FILE", token.display().to_string()),
        ("IDENTITY_ENDPOINT", format!("{}/msi/token", emulator.authority_host())),
        ("IDENTITY_HEADER", emulator.identity_header().to_owned()),
    ])
}

fn print_exports(emulator: &Emulator, ca_file: &Path, others: &[(&str, String)]) -> std::io::Result<()> {
    let mut out = stdout().lock();
    for (name, value) in emulator.env() {
        writeln!(out, "export {name}={}", quoted(&value))?;
    }
    writeln!(out, "export REDIS_CA_CERT={}", quoted(&ca_file.display().to_string()))?;
    if emulator.cluster().is_ok() {
        writeln!(
            out,
            "# This is a cluster, whose nodes are named by their addresses: verify the certificates of all of them"
        )?;
        writeln!(out, "# for REDIS_HOST.")?;
    }
    writeln!(
        out,
        "# MSAL and Azure's identity libraries (Node's, Python's and others) refuse http in AZURE_AUTHORITY_HOST. For"
    )?;
    writeln!(
        out,
        "# them, use this one instead; let them trust REDIS_CA_CERT (NODE_EXTRA_CA_CERTS, REQUESTS_CA_BUNDLE,"
    )?;
    writeln!(out, "# SSL_CERT_FILE), and switch instance discovery off in the credential's options:")?;
    writeln!(out, "# export AZURE_AUTHORITY_HOST={}", quoted(&emulator.https_identity_host()))?;
    for (name, value) in others {
        writeln!(out, "# export {name}={}", quoted(value))?;
    }
    // Whoever reads this through a pipe waits for it.
    out.flush()
}

/// A value as every shell takes it. A tilde is an ordinary character, except at the beginning and behind a colon.
fn quoted(value: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:@%+=,-~".contains(c);
    let expands = value.starts_with('~') || value.contains(":~");
    if value.chars().all(plain) && !expands {
        value.into()
    } else {
        format!("'{}'", value.replace('\'', r"'\''")).into()
    }
}

/// Waits for Ctrl-C, or for what a supervisor sends.
async fn interrupted() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminated = signal(SignalKind::terminate())?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => result,
            _ = terminated.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
