//! Who the servers are: one that was started anew, or has gone, may have taken acknowledged writes with it.

use super::plan::{BREATH, Plan};
use entra_redis::EntraRedis;
use redis::Value;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// A primary that comes back answers as one for a moment, before it learns that its replica has taken its place.
const AFTERMATH: Duration = Duration::from_secs(5);

/// What a server calls itself.
#[derive(Clone, PartialEq, Eq)]
struct Name {
    /// Another one after each start.
    run: String,
    /// Another one after each time that it has taken a primary's place; none if it does not say.
    history: Option<String>,
}

/// The name of each server by its address, which is empty for a single endpoint.
type Names = BTreeMap<String, Name>;

/// By then a primary whose replica has taken its place has heard of it.
const LATE: Duration = Duration::from_secs(4);

/// What may have happened to servers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Change {
    None,
    /// One was started anew: it may have lost any key.
    Anew,
    /// One has gone, and its replica, which may not have had its last writes, has taken its place.
    Gone,
}

/// The servers at the last look.
#[derive(Clone)]
pub(super) struct Servers {
    /// None if they do not say.
    names: Option<Names>,
    changed: Option<(Change, Instant)>,
}

impl Servers {
    pub(super) async fn look(plan: &Plan, redis: &mut EntraRedis) -> Self {
        Self { names: names(plan, redis).await, changed: None }
    }

    /// What has happened to them since the last look. One that does not say who it is has not changed.
    pub(super) async fn change(&mut self, plan: &Plan, redis: &mut EntraRedis) -> Change {
        let mut change = self.look_again(plan, redis).await;
        // Neither a primary that stood still while its replica took its place, nor whoever asks it, may know yet.
        let is_cluster = self.names.as_ref().is_some_and(|names| names.len() > 1);
        let began = Instant::now();
        while change == Change::None && plan.chaos && is_cluster && began.elapsed() < LATE {
            sleep(50 * BREATH).await;
            change = self.look_again(plan, redis).await;
        }
        if change != Change::None {
            self.changed = Some((change, Instant::now()));
        }
        match self.changed {
            Some((Change::Gone, at)) if at.elapsed() < AFTERMATH => Change::Gone,
            _ => change,
        }
    }

    async fn look_again(&mut self, plan: &Plan, redis: &mut EntraRedis) -> Change {
        let Some(now) = names(plan, redis).await else {
            return Change::None;
        };
        let change = self.names.as_ref().map_or(Change::None, |before| change_of(before, &now, plan.chaos));
        self.names = Some(now);
        change
    }

    /// Whether acknowledged writes may have been lost lately.
    pub(super) async fn have_changed_lately(&mut self, plan: &Plan, redis: &mut EntraRedis) -> bool {
        let change = self.change(plan, redis).await;
        change != Change::None || self.changed.is_some_and(|(_, at)| at.elapsed() < AFTERMATH)
    }
}

/// What the servers call themselves.
async fn names(plan: &Plan, redis: &mut EntraRedis) -> Option<Names> {
    let limit = plan.recovers_until();
    loop {
        match redis::cmd("INFO").query_async::<Value>(redis).await {
            Ok(info) => {
                let (names, all) = names_in(info);
                // One that does not answer just now has not gone for that.
                if all || limit.has_passed() {
                    return Some(names).filter(|names| !names.is_empty());
                }
                sleep(BREATH).await;
            }
            // Not to everybody, perhaps.
            Err(error) if error.code().is_some() => return None,
            Err(_) if limit.has_passed() => return None,
            Err(_) => sleep(BREATH).await,
        }
    }
}

/// Those in a reply to `INFO`, and whether each node has answered. That of a cluster is a map, with an error for a node
/// that does not.
fn names_in(info: Value) -> (Names, bool) {
    let text = |info: Value| redis::from_redis_value::<String>(info).ok();
    let field = |info: &str, name| info.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    let is_primary = |info: &str| field(info, "role:").is_none_or(|role| role != "slave");
    let name = |info: &str| Some(Name { run: field(info, "run_id:")?, history: field(info, "master_replid:") });
    let nodes = match info {
        Value::Map(nodes) => nodes,
        info => vec![(Value::SimpleString(String::new()), info)],
    };
    let mut all = true;
    let mut names = Names::new();
    for (node, info) in nodes {
        let info = text(info);
        all &= info.is_some();
        names.extend(text(node).zip(info.as_deref().filter(|info| is_primary(info)).and_then(name)));
    }
    (names, all)
}

/// What has happened between the two looks. That one goes is expected with `chaos` only; it may have come back since.
fn change_of(before: &Names, now: &Names, chaos: bool) -> Change {
    let changes = before.iter().map(|(node, name)| match now.get(node) {
        Some(newer) if newer.run != name.run => Change::Anew,
        Some(newer) if newer.history == name.history => Change::None,
        _ if chaos => Change::Gone,
        _ => Change::None,
    });
    changes.max().unwrap_or(Change::None)
}
