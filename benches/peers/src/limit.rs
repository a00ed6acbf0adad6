//! `redis-benchmark`, a client in C that does nothing with the replies: the limit.

use crate::{
    server::Server,
    target::{Outcome, text},
    workload::SMALL_KEY,
};
use std::process::Command;

/// GETs per second of 64 bytes, over 4 connections with 64 commands in flight on each.
pub fn run(server: &Server, requests: u64) -> Outcome<f64> {
    let output = Command::new("redis-benchmark")
        .args(["-h", "127.0.0.1", "-p", &server.target.port.to_string(), "--tls", "--cacert"])
        .arg(&server.ca_file)
        .args(["-c", "4", "-P", "64", "-n", &requests.to_string(), "--csv", "GET", SMALL_KEY])
        .output()
        .map_err(|error| format!("redis-benchmark does not run: {error}"))?;
    if !output.status.success() {
        return Err(format!("redis-benchmark: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    per_second(&String::from_utf8_lossy(&output.stdout))
}

/// The second field of the last line; the first is the command.
fn per_second(csv: &str) -> Outcome<f64> {
    let line = csv.trim().lines().last().unwrap_or_default();
    let field = line.split(',').nth(1).ok_or_else(|| format!("redis-benchmark has answered {csv:?}"))?;
    field.trim_matches('"').parse().map_err(text)
}

#[cfg(test)]
mod tests;
