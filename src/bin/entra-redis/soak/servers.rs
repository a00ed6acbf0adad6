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

/// The name of each server by its address, which is empty for a single endpoint.
type Names = BTreeMap<String, String>;

/// The servers at the last look.
#[derive(Clone)]
pub(super) struct Servers {
    /// None if they do not say.
    names: Option<Names>,
    changed: Option<Instant>,
}

impl Servers {
    pub(super) async fn look(plan: &Plan, redis: &mut EntraRedis) -> Self {
        Self { names: names(plan, redis).await, changed: None }
    }

    /// Whether a server has been started anew since the last look; with chaos, also if one has gone. One that does not
    /// say has not.
    pub(super) async fn have_changed(&mut self, plan: &Plan, redis: &mut EntraRedis) -> bool {
        let Some(now) = names(plan, redis).await else {
            return false;
        };
        let changed = self.names.as_ref().is_some_and(|before| differ(before, &now, plan.chaos));
        self.names = Some(now);
        if changed {
            self.changed = Some(Instant::now());
        }
        changed
    }

    /// The same, and for some seconds after it was noticed.
    pub(super) async fn have_changed_lately(&mut self, plan: &Plan, redis: &mut EntraRedis) -> bool {
        self.have_changed(plan, redis).await || self.changed.is_some_and(|at| at.elapsed() < AFTERMATH)
    }
}

/// What the servers call themselves, another name after each start.
async fn names(plan: &Plan, redis: &mut EntraRedis) -> Option<Names> {
    let limit = plan.recovers_until();
    loop {
        match redis::cmd("INFO").arg("server").query_async::<Value>(redis).await {
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
    let name = |info: &str| info.lines().find_map(|line| line.strip_prefix("run_id:")).map(str::to_owned);
    let nodes = match info {
        Value::Map(nodes) => nodes,
        info => vec![(Value::SimpleString(String::new()), info)],
    };
    let mut all = true;
    let mut names = Names::new();
    for (node, info) in nodes {
        let info = text(info);
        all &= info.is_some();
        names.extend(text(node).zip(info.as_deref().and_then(name)));
    }
    (names, all)
}

/// Whether keys may be lost between the two looks: a server was started anew. With `chaos`, also if a node has gone:
/// its replica may not have had all of its writes.
fn differ(before: &Names, now: &Names, chaos: bool) -> bool {
    before.iter().any(|(node, name)| now.get(node).map_or(chaos, |newer| newer != name))
}
