//! Runs the emulator alone, for Redis clients in any language: `cargo run --example emulator`.
//!
//! It prints what a client needs as `export` lines, and runs until it is interrupted.

use clap::Parser;
use entra_redis::emulator::Emulator;
use std::{
    error::Error,
    fs,
    io::{Write, stdout},
    path::Path,
    time::Duration,
};

#[derive(Parser)]
struct Options {
    /// How long a token lives.
    #[arg(long, value_name = "SECS", default_value_t = 3600.0)]
    token_lifetime: f64,
    /// A Redis server (host:port, plain TCP) behind the emulator; without it, the embedded store.
    #[arg(long, value_name = "ADDR")]
    redis: Option<String>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let lifetime = Duration::try_from_secs_f64(options.token_lifetime)?;
    let mut builder = Emulator::builder().token_lifetime(lifetime);
    if let Some(address) = options.redis {
        builder = builder.redis_address(address);
    }
    let emulator = builder.start().await?;

    let ca_file = std::env::temp_dir().join(format!("entra-redis-emulator-{}.pem", emulator.port()));
    fs::write(&ca_file, emulator.ca_pem())?;
    print_exports(&emulator, &ca_file)?;
    interrupted().await?;
    fs::remove_file(&ca_file)?;
    Ok(())
}

fn print_exports(emulator: &Emulator, ca_file: &Path) -> std::io::Result<()> {
    let mut out = stdout().lock();
    for (name, value) in emulator.env() {
        writeln!(out, "export {name}={value}")?;
    }
    writeln!(out, "export REDIS_CA_CERT={}", ca_file.display())?;
    // Whoever reads this through a pipe waits for it.
    out.flush()
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
