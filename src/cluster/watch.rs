//! The one task that keeps the map of slots right.
//!
//! It makes one refresh at a time, no more often than its [`Pace`] allows: it asks one node, and beside it another one
//! when 200 ms bring no answer, three at most; the configured name is asked apart from that. It does so when a command
//! was sent elsewhere, a link was lost or could not be opened, a slot has no node, and in any case once in a while.

use super::{
    address::NodeAddress,
    ask::{ANSWER_WITHIN, ask, ask_anew},
    outage::Outage,
    pace::Pace,
    reconcile::{Knowledge, TopologyAnswer},
    router::{Cluster, Map},
    topology::Topology,
};
use crate::{
    link::{Link, Setup},
    pool::{Availability, Shared},
};
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use std::{future::pending, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, sleep_until};

/// After this, another one is asked beside it: a node that has just frozen must not hold up what the others know.
const ASK_NEXT_AFTER: Duration = Duration::from_millis(200);

/// Nodes that are asked for one refresh.
const ASKED_AT_MOST: usize = 3;

/// How often nodes are looked at, whether commands can reach them.
const ROUND: Duration = Duration::from_millis(500);

/// The host name that the user has given, which stays when all nodes change.
pub(super) struct Seed {
    pub(super) setup: Setup,
    pub(super) name: NodeAddress,
}

pub(crate) struct Watch {
    cluster: Arc<Cluster>,
    seed: Arc<Seed>,
    shared: Shared,
    knowledge: Knowledge,
    pace: Pace,
    /// The nodes that `MOVED` has named since the last question, in that order: they know best.
    named: Vec<NodeAddress>,
    outage: Outage,
}

/// When dropped, has commands refused: without the watch nobody learns where slots are.
struct CloseAtEnd(Arc<Availability>);

impl Drop for CloseAtEnd {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The answer of a node.
struct Answered {
    topology: Topology,
    by: NodeAddress,
}

impl Watch {
    pub(super) fn new(cluster: Arc<Cluster>, seed: Seed, shared: Shared, interval: Duration) -> Self {
        Self {
            cluster,
            seed: Arc::new(seed),
            shared,
            knowledge: Knowledge::default(),
            pace: Pace::new(Instant::now(), interval),
            named: Vec::new(),
            outage: Outage::new(Instant::now()),
        }
    }

    /// Works until the task is aborted.
    pub(crate) async fn run(mut self) {
        let _closing = CloseAtEnd(Arc::clone(&self.shared.availability));
        let (cluster, trouble) = (Arc::clone(&self.cluster), Arc::clone(&self.shared.trouble));
        // A slow dial of the configured name must not keep nodes from being asked that are there again.
        let (mut nodes_word, mut seeds_word) = (None, None);
        let mut round = Instant::now() + ROUND;
        loop {
            let now = Instant::now();
            if now >= round {
                round = now + ROUND;
                self.look_around(now);
            }
            if self.pace.start(now) {
                nodes_word = Some(self.ask_nodes());
            }
            if seeds_word.is_none() && self.outage.wants_seed(now) {
                seeds_word = Some(self.ask_seed());
            }
            let wake = [self.pace.due(now), cluster.nodes.next_to_forget()].into_iter().flatten();
            let wake = wake.filter(|at| *at > now).fold(round, Instant::min);
            tokio::select! {
                answer = ready(&mut nodes_word) => {
                    self.pace.finish(Instant::now(), answer.is_some());
                    self.outage.asked_nodes(answer.is_some(), Instant::now());
                    self.take_in(answer);
                }
                answer = ready(&mut seeds_word) => {
                    self.outage.asked_seed(Instant::now());
                    self.take_in(answer);
                }
                () = cluster.news() => self.take_news(),
                () = trouble.notified() => self.pace.request(),
                () = sleep_until(wake) => {}
            }
        }
    }

    /// What commands were told is in the map at once; the topology follows.
    fn take_news(&mut self) {
        let news = self.cluster.take_news();
        if news.in_doubt || !news.moved.is_empty() {
            self.pace.request();
        }
        let now = Instant::now();
        for (slot, to) in &news.moved {
            self.knowledge.moved(*slot, to.clone(), now);
            self.named.retain(|named| named != to);
            self.named.push(to.clone());
        }
        let moved = news.moved.iter().map(|(slot, to)| (*slot, to));
        let map = self.cluster.map().with_moved(moved, |address| self.cluster.nodes.get(address));
        if let Some(map) = map {
            self.publish(map);
        }
    }

    /// Looks whether all nodes can be reached, and all slots served that somebody waits for. While one is not, the
    /// nodes are asked what has become of it.
    fn look_around(&mut self, now: Instant) {
        let map = self.cluster.map();
        let is_stuck = |link: &Arc<Link>| link.is_stuck();
        let is_unwell = map.primaries().iter().any(|member| {
            let links = member.node.pool().snapshot();
            !member.node.takes_commands() || links.iter().any(is_stuck)
        });
        if is_unwell || self.cluster.has_seekers() {
            self.pace.request();
        }
        self.outage.look(dead(&map), now);
        self.forget(&map);
    }

    fn take_in(&mut self, answer: Option<Answered>) {
        let Some(Answered { topology, by }) = answer else {
            return;
        };
        let map = self.cluster.map();
        for member in map.members().iter().filter(|member| member.node.is_unreachable()) {
            self.knowledge.unreachable(&member.address);
        }
        let judged = self.knowledge.judge(&**map, TopologyAnswer { topology: &topology, by: &by, at: Instant::now() });
        if judged.doubtful {
            self.pace.request();
        }
        let new = map.rebuilt(&judged.topology, &judged.gone, |address| self.cluster.nodes.get(address));
        let changed = new.fingerprint() != map.fingerprint() || new.members().len() != map.members().len();
        drop(map);
        if changed {
            self.publish(new);
        }
        let map = self.cluster.map();
        self.outage.look(dead(&map), Instant::now());
        self.forget(&map);
    }

    fn forget(&self, map: &Map) {
        self.cluster.nodes.forget(|address| map.by_address(address).is_some());
    }

    fn publish(&self, map: Map) {
        self.cluster.publish(map);
        // Those that wait for a node look again, as may their links.
        self.shared.availability.announce();
    }

    /// Asks nodes until one answers. The future borrows nothing, so that news are taken in meanwhile.
    fn ask_nodes(&mut self) -> BoxFuture<'static, Option<Answered>> {
        let nodes = self.in_order(&self.cluster.map());
        self.named.clear();
        Box::pin(first_answer(nodes))
    }

    /// Asks whoever is behind the configured name now, over a connection of its own.
    fn ask_seed(&self) -> BoxFuture<'static, Option<Answered>> {
        let (seed, shared) = (Arc::clone(&self.seed), self.shared.clone());
        Box::pin(async move {
            let topology = ask_anew(&seed.setup, &shared, &seed.name, ANSWER_WITHIN).await.ok()?;
            Some(Answered { topology, by: seed.name.clone() })
        })
    }

    /// Whom to ask: first those that `MOVED` has named, then any; each over a link that is up, and those last that are
    /// silent.
    fn in_order(&self, map: &Map) -> Vec<(NodeAddress, Arc<Link>)> {
        let members = map.members().iter();
        let mut asked: Vec<_> =
            members.filter_map(|member| Some((member.address.clone(), member.node.open_link()?))).collect();
        fastrand::shuffle(&mut asked);
        // The latest one first.
        asked.sort_by_key(|(address, link)| {
            let place = self.named.iter().rposition(|named| named == address);
            (link.is_silent(), std::cmp::Reverse(place.map_or(0, |place| place + 1)))
        });
        asked.truncate(ASKED_AT_MOST);
        asked
    }
}

/// Nodes that own slots and have no link.
fn dead(map: &Map) -> impl Iterator<Item = &NodeAddress> {
    map.primaries().iter().filter(|member| !member.node.takes_commands()).map(|member| &member.address)
}

/// The answer that comes first. All are given some time before the next one is asked too.
async fn first_answer(nodes: Vec<(NodeAddress, Arc<Link>)>) -> Option<Answered> {
    let mut nodes = nodes.into_iter();
    let mut asked = FuturesUnordered::new();
    loop {
        if let Some((by, link)) = nodes.next() {
            asked.push(async move {
                let topology = ask(&link, &by, ANSWER_WITHIN).await.ok()?;
                Some(Answered { topology, by })
            });
        } else if asked.is_empty() {
            return None;
        }
        tokio::select! {
            Some(answer) = asked.next() => if answer.is_some() {
                return answer;
            },
            () = sleep(ASK_NEXT_AFTER) => {}
        }
    }
}

/// Waits for what is under way, and takes it out when it has ended; waits for ever if nothing is.
async fn ready<T>(under_way: &mut Option<BoxFuture<'static, T>>) -> T {
    let answer = match under_way {
        Some(future) => future.await,
        None => pending().await,
    };
    *under_way = None;
    answer
}

#[cfg(test)]
mod tests;
