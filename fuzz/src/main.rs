//! Runs the targets on a stable toolchain: the corpus, then what comes of it.

#![forbid(unsafe_code)]

use entra_redis_fuzz::{TARGETS, runner};
use std::{env, process::ExitCode, time::Duration};

const USAGE: &str = "usage: entra-redis-fuzz smoke [--seconds N] [--seed S] [TARGET…]";

struct Options {
    seconds: u64,
    seed: Option<u64>,
    names: Vec<String>,
}

fn options() -> Option<Options> {
    let mut arguments = env::args().skip(1);
    arguments.next().filter(|command| command == "smoke")?;
    let mut options = Options { seconds: 3, seed: None, names: Vec::new() };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seconds" => options.seconds = arguments.next()?.parse().ok()?,
            "--seed" => options.seed = Some(arguments.next()?.parse().ok()?),
            name if TARGETS.iter().any(|(target, _)| *target == name) => options.names.push(argument),
            _ => return None,
        }
    }
    Some(options)
}

fn main() -> ExitCode {
    let Some(Options { seconds, seed, names }) = options() else {
        eprintln!("{USAGE}\ntargets: {}", TARGETS.map(|(name, _)| name).join(" "));
        return ExitCode::from(2);
    };
    let seed = seed.unwrap_or_else(runner::fresh_seed);
    println!("seed {seed}");
    let mut sound = true;
    for target in TARGETS.iter().filter(|(name, _)| names.is_empty() || names.iter().any(|wanted| wanted == name)) {
        match runner::run(*target, Duration::from_secs(seconds), seed) {
            Ok(executions) => println!("{:18} {executions} executions", target.0),
            Err(problem) => {
                eprintln!("{}: {problem}", target.0);
                sound = false;
            }
        }
    }
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
