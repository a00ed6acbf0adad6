//! What the store says of itself, and of its connections.

use super::args::{Args, Outcome, Problem};
use crate::emulator::{hello::is_plain, resp::Reply};

/// The version of Azure Managed Redis.
const VERSION: &str = "7.4.0";

fn mode(is_node: bool) -> &'static str {
    if is_node { "cluster" } else { "standalone" }
}

pub(super) fn hello(resp3: bool, id: u64, is_node: bool) -> Reply {
    let fields = [
        ("server", Reply::bulk("redis")),
        ("version", Reply::bulk(VERSION)),
        ("proto", Reply::Int(if resp3 { 3 } else { 2 })),
        ("id", Reply::Int(i64::try_from(id).unwrap_or(i64::MAX))),
        ("mode", Reply::bulk(mode(is_node))),
        ("role", Reply::bulk("master")),
        ("modules", Reply::Array(Vec::new())),
    ];
    Reply::Map(fields.into_iter().map(|(name, value)| (Reply::bulk(name), value)).collect())
}

pub(super) fn role() -> Reply {
    Reply::Array(vec![Reply::bulk("master"), Reply::Int(0), Reply::Array(Vec::new())])
}

/// The sections of `INFO` that are asked for; all of them if none is.
pub(super) fn info(args: Args<'_>, keys: usize, waiting: usize, is_node: bool) -> Reply {
    let mode = mode(is_node);
    let keyspace = if keys == 0 { String::new() } else { format!("db0:keys={keys},expires=0,avg_ttl=0\r\n") };
    let sections = [
        ("Server", format!("redis_version:{VERSION}\r\nredis_mode:{mode}\r\n")),
        ("Clients", format!("blocked_clients:{waiting}\r\n")),
        ("Replication", "role:master\r\nconnected_slaves:0\r\n".to_owned()),
        ("Cluster", format!("cluster_enabled:{}\r\n", u8::from(is_node))),
        ("Keyspace", keyspace),
    ];
    let wanted: Vec<_> = (0..args.len()).map(|at| args.option(at)).collect();
    let is_requested = |name: &str| {
        let named = |wanted: &String| {
            ["ALL", "DEFAULT", "EVERYTHING"].contains(&wanted.as_str()) || wanted.eq_ignore_ascii_case(name)
        };
        wanted.is_empty() || wanted.iter().any(named)
    };
    let told = sections.iter().filter(|(name, _)| is_requested(name)).map(|(name, text)| format!("# {name}\r\n{text}"));
    Reply::Text(told.collect::<Vec<_>>().join("\r\n"))
}

/// Azure Managed Redis has the database 0 alone.
pub(super) fn select(args: Args<'_>) -> Outcome {
    match args.integer_within(0, &(i64::from(i32::MIN)..=i64::from(i32::MAX)))? {
        0 => Ok(Reply::OK),
        _ => Err("ERR DB index is out of range".into()),
    }
}

/// What a client's library is called, which nobody asks for here.
pub(super) fn client_info(args: Args<'_>) -> Outcome {
    if !matches!(args.option(1).as_str(), "LIB-NAME" | "LIB-VER") {
        return Err(Problem::quoting("ERR Unrecognized option '", args.at(1)).and("'"));
    }
    if !is_plain(args.at(2)) {
        let text = " cannot contain spaces, newlines or special characters.";
        return Err(Problem::quoting("ERR ", args.at(1)).and(text));
    }
    Ok(Reply::OK)
}
