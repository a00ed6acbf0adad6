//! entra-redis beside the other Redis clients for Rust; the README says how, and why it is fair.

mod charts;
mod cluster;
mod contenders;
mod cost;
mod figures;
mod limit;
mod options;
mod report;
mod results;
mod rotation;
mod runner;
mod server;
mod target;
mod workload;

use clap::Parser;
use cluster::Cluster;
use options::Options;
use results::Results;
use server::Server;
use std::{process::ExitCode, time::Instant};
use target::Outcome;

fn main() -> ExitCode {
    // Several clients take their TLS from the process-wide provider, and panic without one.
    rustls::crypto::aws_lc_rs::default_provider().install_default().expect("nothing else installs one");
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Outcome<()> {
    let began = Instant::now();
    let mut failures = Vec::new();
    if !options.cost_of_nodes.is_empty() {
        return cost::run(options);
    }
    if options.compares() {
        let results = compare(options, &mut failures)?;
        report::table(&results);
        if options.writes() {
            report::write_results(&results, options)?;
        }
        if options.ends_with_json() {
            eprintln!("{:.0} s", began.elapsed().as_secs_f64());
            println!("\n{}", report::one_line(&results));
        }
    }
    if options.rotates() {
        let scenarios = rotation::all()?;
        report::write_rotations(&scenarios, &options.out)?;
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

/// Round after round; in each, everybody at every place, starting with another one each time.
fn compare(options: &Options, failures: &mut Vec<String>) -> Outcome<Results> {
    let (server, cluster) = match options.cluster {
        None => (Some(Server::start()?), None),
        Some(nodes) => (None, Some(Cluster::start(nodes)?)),
    };
    let target = server.as_ref().map(|server| &server.target).or(cluster.as_ref().map(|cluster| &cluster.target));
    let target = target.ok_or("there is no server")?;
    runner::prepare(target)?;
    let (contenders, places) = (options.contenders(), options.places());
    let mut results = Results::default();
    for round in 0..options.rounds() {
        eprintln!("round {} of {}", round + 1, options.rounds());
        if let Some(server) = &server {
            results.add_limit(limit::run(server, options.limit_requests())?);
        }
        for (index, &place) in places.iter().enumerate() {
            let mut order = contenders.clone();
            // A step that is prime to their number, so that nobody follows the same places of others in every round.
            order.rotate_left((5 * round + index) % contenders.len().max(1));
            for kind in order {
                match runner::run(kind, target, place, options.timing()) {
                    Ok(figures) => results.add(place, kind, figures),
                    Err(error) => failures.push(format!("{}, {place:?}: {error}", kind.name())),
                }
            }
        }
    }
    Ok(results)
}
