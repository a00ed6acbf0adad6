//! Which servers there are: one that was restarted, or has gone, may have lost writes that it had acknowledged.

use super::plan::{Plan, RETRY_DELAY};
use entra_redis::EntraRedis;
use redis::Value;
use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::Mutex, time::sleep};

/// A primary that comes back answers as one for a moment, before it learns that its replica has taken its place.
const EXCUSED_FOR: Duration = Duration::from_secs(5);

/// A replica whose primary is gone has what that had acknowledged so long before it was last seen. The stream from one
/// to the other is behind by much less.
const BEHIND: Duration = Duration::from_secs(5);

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// What a server calls itself.
#[derive(Clone, PartialEq, Eq)]
struct Name {
    /// Another one after each start.
    run: String,
    /// Another one after each time that it has taken a primary's place; none if it does not say.
    history: Option<String>,
    slots: Slots,
}

/// Where a server's keys are; none for a single endpoint, which has all of them.
type Slots = Option<Vec<RangeInclusive<u16>>>;

/// The name of each server by its address, which is empty for a single endpoint.
type Names = BTreeMap<String, Name>;

/// So long after its replica has taken its place, a primary knows of it.
const LATE: Duration = Duration::from_secs(4);

/// Something that a server may have lost.
#[derive(Clone, Debug)]
pub(crate) struct Loss {
    /// Of the keys in these.
    slots: Slots,
    /// What it had acknowledged from then on: all, if it was restarted; if it has gone, and a replica has taken its
    /// place, the last writes, which the replica may not have had.
    from: Option<Instant>,
    until: Instant,
}

impl Loss {
    /// Whether what was acknowledged at this moment may be lost.
    pub(crate) fn covers(&self, at: Instant) -> bool {
        self.from.is_none_or(|from| at >= from) && at <= self.until
    }

    fn is_of(&self, slot: u16) -> bool {
        self.slots.as_ref().is_none_or(|slots| slots.iter().any(|range| range.contains(&slot)))
    }
}

/// Whether one of them covers this moment.
pub(crate) fn cover(losses: &[Loss], at: Instant) -> bool {
    losses.iter().any(|loss| loss.covers(at))
}

/// The servers, as all workloads see them.
#[derive(Clone)]
pub(super) struct Servers {
    plan: Arc<Plan>,
    redis: EntraRedis,
    seen: Arc<Mutex<Seen>>,
}

struct Seen {
    /// At the last look; none if they do not say.
    names: Option<Names>,
    looked: Instant,
    losses: Vec<Loss>,
}

impl Servers {
    pub(super) async fn look(plan: &Arc<Plan>, redis: &EntraRedis) -> Self {
        let names = names(plan, &mut redis.clone(), None).await;
        let seen = Seen { names, looked: Instant::now(), losses: Vec::new() };
        Self { plan: Arc::clone(plan), redis: redis.clone(), seen: Arc::new(Mutex::new(seen)) }
    }

    /// Looks again and again, so that it is known when something has happened.
    pub(super) async fn watch(self) {
        loop {
            sleep(PAUSE).await;
            self.look_again().await;
        }
    }

    /// Whether what the server of this key may have lost explains something, to which it is put as often as it takes
    /// until that can be known. What has happened to others explains nothing.
    pub(super) async fn explain(&self, key: &str, explains: impl Fn(&[Loss]) -> bool) -> bool {
        let slot = slot_of(key);
        let began = Instant::now();
        loop {
            let is_cluster = self.look_again().await;
            let losses: Vec<_> =
                self.seen.lock().await.losses.iter().filter(|loss| loss.is_of(slot)).cloned().collect();
            if explains(&losses) {
                return true;
            }
            // Neither a primary that stood still while its replica took its place, nor whoever asks it, may know yet.
            if !(self.plan.chaos && is_cluster) || began.elapsed() >= LATE {
                return false;
            }
            sleep(50 * RETRY_DELAY).await;
        }
    }

    /// The same of what would be a fault otherwise, which is counted as excused then.
    pub(super) async fn excuse(
        &self,
        key: &str,
        explains: impl Fn(&[Loss]) -> bool,
        what: impl FnOnce() -> String,
    ) -> bool {
        let is_excused = self.explain(key, explains).await;
        if is_excused {
            self.plan.counts.excuse(what);
        }
        is_excused
    }

    /// Whether there are several.
    async fn look_again(&self) -> bool {
        let mut seen = self.seen.lock().await;
        let asked = Instant::now();
        if let Some(now) = names(&self.plan, &mut self.redis.clone(), seen.names.as_ref()).await {
            // It may have gone right after the last look.
            let had_until = seen.looked.checked_sub(BEHIND).unwrap_or(seen.looked);
            let until = Instant::now() + EXCUSED_FOR;
            for (node, before) in seen.names.take().iter().flatten() {
                if let Some(change) = change_of(before, now.get(node), self.plan.chaos) {
                    let from = (change == Change::Gone).then_some(had_until);
                    seen.losses.push(Loss { slots: before.slots.clone(), from, until });
                }
            }
            (seen.names, seen.looked) = (Some(now), asked);
        }
        seen.names.as_ref().is_some_and(|names| names.len() > 1)
    }
}

/// What may have happened to a server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Anew,
    /// Its replica has taken its place.
    Gone,
}

/// The slot of a key on a cluster.
fn slot_of(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    let crc = tag.filter(|tag| !tag.is_empty()).unwrap_or(key).bytes().fold(0_u16, |crc, byte| {
        let bit = |crc: u16, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
        (0..8).fold(crc ^ (u16::from(byte) << 8), bit)
    });
    crc % 16_384
}

/// What the servers call themselves, after what they did at the look before.
async fn names(plan: &Plan, redis: &mut EntraRedis, before: Option<&Names>) -> Option<Names> {
    let limit = plan.recovers_until();
    loop {
        match redis::cmd("INFO").query_async::<Value>(redis).await {
            Ok(info) => {
                let (mut names, all) = names_in(info);
                let serving = redis.manager().stats().nodes;
                for (address, name) in names.iter_mut().filter(|(address, _)| !address.is_empty()) {
                    let serves = serving.iter().find(|node| node.address == *address && !node.slots.is_empty());
                    // Between the reply and now a replica may have taken its place: what it may lose is what it had.
                    let had = || before.and_then(|names| names.get(address)?.slots.clone()).unwrap_or_default();
                    name.slots = Some(serves.map_or_else(had, |node| node.slots.clone()));
                }
                // One that does not answer just now has not gone for that.
                if all || limit.has_passed() {
                    return Some(names).filter(|names| !names.is_empty());
                }
                sleep(RETRY_DELAY).await;
            }
            // Not to everybody, perhaps.
            Err(error) if error.code().is_some() => return None,
            Err(_) if limit.has_passed() => return None,
            Err(_) => sleep(RETRY_DELAY).await,
        }
    }
}

/// Those in a reply to `INFO`, and whether each node has answered. That of a cluster is a map, with an error for a node
/// that does not.
fn names_in(info: Value) -> (Names, bool) {
    let text = |info: Value| redis::from_redis_value::<String>(info).ok();
    let field = |info: &str, name| info.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    let is_primary = |info: &str| field(info, "role:").is_none_or(|role| role != "slave");
    let name =
        |info: &str| Some(Name { run: field(info, "run_id:")?, history: field(info, "master_replid:"), slots: None });
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

/// What has happened to a server between two looks. That it goes is expected with `chaos` only; it may have come back
/// since.
fn change_of(before: &Name, now: Option<&Name>, chaos: bool) -> Option<Change> {
    match now {
        Some(newer) if newer.run != before.run => Some(Change::Anew),
        Some(newer) if newer.history == before.history => None,
        _ => chaos.then_some(Change::Gone),
    }
}
