//! The one task that keeps the map of slots right.
//!
//! It asks one node after the other, never two at a time, and no more often than its [`Pace`] allows: when a command was
//! sent elsewhere, a link was lost or could not be opened, a slot has no node, and in any case once in a while.

use super::{
    address::NodeAddress,
    ask::{ask, ask_anew},
    pace::Pace,
    reconcile::{Answer, Knowledge},
    router::{Cluster, Map},
    topology::Topology,
};
use crate::{
    link::{Link, Setup},
    observe::event::Event,
    pool::{Availability, Shared},
};
use std::{collections::HashMap, future::pending, sync::Arc, time::Duration};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Instant, sleep_until},
};

/// How long one node may take to answer before another one is asked.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Nodes that are asked for one refresh, before the configured name is.
const ASKED_AT_MOST: usize = 3;

/// A node without links for so long may be gone, though others list it yet: the configured name knows what has taken
/// its place.
const DEAD_AFTER: Duration = Duration::from_secs(2);

/// The host name that the user has given, which stays when all nodes change.
pub(super) struct Seed {
    pub(super) setup: Setup,
    pub(super) name: NodeAddress,
}

pub(crate) struct Watch {
    cluster: Arc<Cluster>,
    seed: Arc<Seed>,
    shared: Shared,
    events: Receiver<Event>,
    knowledge: Knowledge,
    pace: Pace,
    /// The nodes that `MOVED` named last: they know best.
    named: Vec<NodeAddress>,
    /// Since when nodes of the map have had no link.
    dead_since: HashMap<NodeAddress, Instant>,
}

/// Without the watch nobody learns where slots are.
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
            events: shared.journal.subscribe(),
            cluster,
            seed: Arc::new(seed),
            shared,
            knowledge: Knowledge::default(),
            pace: Pace::new(Instant::now(), interval),
            named: Vec::new(),
            dead_since: HashMap::new(),
        }
    }

    /// Works until the task is aborted.
    pub(crate) async fn run(mut self) {
        let _closing = CloseAtEnd(Arc::clone(&self.shared.availability));
        let cluster = Arc::clone(&self.cluster);
        let mut refresh = None;
        loop {
            let now = Instant::now();
            if self.pace.start(now) {
                refresh = Some(Box::pin(self.refresh()));
            }
            let due = self.pace.due(now);
            tokio::select! {
                answer = async { match &mut refresh { Some(refresh) => refresh.await, None => pending().await } } => {
                    refresh = None;
                    self.pace.finish(Instant::now(), answer.is_some());
                    if let Some(answer) = answer {
                        self.take_in(&answer);
                    }
                }
                () = cluster.news() => self.take_news(),
                event = self.events.recv() => self.see(&event),
                () = async { match due { Some(due) => sleep_until(due).await, None => pending().await } } => {}
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

    fn see(&mut self, event: &Result<Event, RecvError>) {
        match event {
            // Missed events may have been any.
            Ok(Event::LinkDown { .. } | Event::DialFailed { .. }) | Err(RecvError::Lagged(_)) => self.pace.request(),
            _ => {}
        }
    }

    fn take_in(&mut self, answer: &Answered) {
        let Answered { topology, by } = answer;
        let map = self.cluster.map();
        let judged = self.knowledge.judge(&**map, Answer { topology, by, at: Instant::now() });
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
        self.cluster.nodes.forget(|address| map.by_address(address).is_none());
        self.dead_since.retain(|address, _| map.by_address(address).is_some());
    }

    fn publish(&self, map: Map) {
        self.cluster.publish(map);
        // Those that wait for a node look again, as may their links.
        self.shared.availability.announce();
    }

    /// Asks until somebody answers. It owns all that it needs, so that news are taken in meanwhile.
    fn refresh(&mut self) -> impl Future<Output = Option<Answered>> + Send + use<> {
        let map = self.cluster.map();
        let seed_first = self.has_dead_node(&map);
        let nodes = self.in_order(&map);
        self.named.clear();
        let (seed, shared) = (Arc::clone(&self.seed), self.shared.clone());
        async move {
            let seeds_word = async || {
                let topology = ask_anew(&seed.setup, &shared, &seed.name, ANSWER_WITHIN).await;
                topology.map(|topology| Answered { topology, by: seed.name.clone() }).ok()
            };
            if seed_first && let Some(answer) = seeds_word().await {
                return Some(answer);
            }
            for (by, link) in nodes {
                // One whose slots have all gone may not know anything any more.
                if let Ok(topology) = ask(&link, &by, ANSWER_WITHIN).await {
                    return Some(Answered { topology, by });
                }
            }
            if seed_first { None } else { seeds_word().await }
        }
    }

    /// Whom to ask: first those that `MOVED` has named, then any; each over a link that is up.
    fn in_order(&self, map: &Map) -> Vec<(NodeAddress, Arc<Link>)> {
        let mut members: Vec<_> = map.members().iter().collect();
        fastrand::shuffle(&mut members);
        // The latest one first.
        members.sort_by_key(|member| {
            let place = self.named.iter().rposition(|named| *named == member.address);
            std::cmp::Reverse(place.map_or(0, |place| place + 1))
        });
        let asked = members.into_iter().filter_map(|member| Some((member.address.clone(), member.node.open_link()?)));
        asked.take(ASKED_AT_MOST).collect()
    }

    fn has_dead_node(&mut self, map: &Map) -> bool {
        let now = Instant::now();
        for member in map.primaries() {
            if member.node.takes_commands() {
                self.dead_since.remove(&member.address);
            } else {
                self.dead_since.entry(member.address.clone()).or_insert(now);
            }
        }
        self.dead_since.values().any(|since| now - *since >= DEAD_AFTER)
    }
}
