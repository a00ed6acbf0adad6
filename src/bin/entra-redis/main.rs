//! `entra-redis`: try the crate, find out what is wrong with a set-up, get a token, play Azure, put load on a cache.

mod completions;
mod credential;
mod demo;
mod doctor;
mod emulator;
mod failure;
mod settings;
mod soak;
mod terminal;
mod token;

use clap::{CommandFactory, Parser, Subcommand};
use failure::Failure;
use std::process::ExitCode;
use tokio::runtime::Builder;

/// Tools for Azure Managed Redis with Microsoft Entra ID: try it, find out what is wrong with it, put load on it.
#[derive(Parser)]
#[command(name = "entra-redis", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  entra-redis demo                              tokens that rotate under load; nothing has to be installed
  entra-redis doctor --host NAME.REGION.redis.azure.net
                                                what is wrong between this machine and your cache, and what to do
  entra-redis token                             whom this environment signs in as
  entra-redis emulator > emulator.env           Entra ID and Azure Managed Redis on loopback ports, for your tests
  entra-redis soak --seconds 600                load whose every read is checked

`entra-redis COMMAND --help` has the options of a command, and examples.";

#[derive(Subcommand)]
enum Command {
    Demo(demo::Options),
    Doctor(doctor::Options),
    Token(token::Options),
    Emulator(emulator::Options),
    Soak(soak::Options),
    Completions(completions::Options),
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    let runtime = match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::new("cannot start the threads of the runtime", error).tell(),
    };
    let outcome = runtime.block_on(run(command));
    // A look-up of a host name cannot be ended, and must not be waited for.
    runtime.shutdown_background();
    outcome.unwrap_or_else(|failure| failure.tell())
}

async fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Demo(options) => demo::run(&options).await,
        Command::Doctor(options) => doctor::run(&options).await,
        Command::Token(options) => token::run(&options).await,
        Command::Emulator(options) => emulator::run(&options).await,
        Command::Soak(options) => soak::run(&options).await,
        Command::Completions(options) => completions::run(&options, &mut Cli::command()),
    }
}
