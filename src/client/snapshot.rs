//! What a connection manager shows of itself, put together from what each room reports.

use crate::{
    admission::Admission,
    cluster::{
        map::Member,
        node::Node,
        routing::{Found, Routing},
        slot::{SLOTS, Slot},
    },
    error::Error,
    observe::{
        caches::Caches,
        health::Health,
        journal::Journal,
        stats::{NodeStats, Stats},
    },
    pool::Availability,
    token::Tokens,
};
use std::sync::Arc;

/// Those who report.
#[derive(Clone)]
pub(super) struct Sources {
    pub(super) journal: Journal,
    pub(super) tokens: Tokens,
    pub(super) admission: Arc<Admission>,
    pub(super) availability: Arc<Availability>,
    pub(super) routing: Found,
    pub(super) caches: Arc<Caches>,
}

/// A node, and the slots that it owns.
type Owner = (Arc<Node>, Vec<(u16, u16)>);

impl Sources {
    fn owners(&self) -> Vec<Owner> {
        match self.routing.get() {
            None => Vec::new(),
            Some(Routing::Single(node)) => vec![(Arc::clone(node), Vec::new())],
            Some(Routing::Cluster(cluster)) => {
                let map = cluster.map();
                let numbers = |(start, end): &(Slot, Slot)| (start.number(), end.number());
                let owner = |member: &Member<Arc<Node>>| {
                    (Arc::clone(&member.node), member.ranges().iter().map(numbers).collect())
                };
                map.members().iter().map(owner).collect()
            }
        }
    }

    pub(super) fn stats(&self) -> Stats {
        let owners = self.owners();
        let pools = || owners.iter().map(|(node, _)| node.pool());
        Stats {
            pool: self.journal.name().to_string(),
            counters: self.journal.counters(),
            commands: self.admission.stats(),
            token: self.tokens.stats(),
            last_token_failure: self.journal.last_token_failure(),
            links: pools().flat_map(|pool| pool.stats()).collect(),
            pool_size: pools().map(|pool| pool.size()).sum(),
            dialing: pools().map(|pool| pool.dialing()).sum(),
            draining: pools().map(|pool| pool.draining()).sum::<usize>() + self.links_of_leaving_nodes(),
            last_connect_error: pools().find_map(|pool| pool.last_error()).or_else(|| self.routing.last_error()),
            nodes: owners.iter().map(node_stats).collect(),
            cache: self.caches.stats(),
        }
    }

    fn links_of_leaving_nodes(&self) -> usize {
        match self.routing.get() {
            Some(Routing::Single(_)) | None => 0,
            Some(Routing::Cluster(cluster)) => {
                cluster.nodes.leaving().iter().map(|node| node.pool().all_links().len()).sum()
            }
        }
    }

    pub(super) fn health(&self) -> Health {
        let owners = self.owners();
        let ended = matches!(self.routing.get(), Some(Routing::Single(node)) if node.pool().has_ended());
        if self.availability.is_closed() || ended {
            return Health::Stopped;
        }
        let sum = |count: fn(&Node) -> usize| owners.iter().map(|(node, _)| count(node)).sum::<usize>();
        let (open, wanted) = (sum(|node| node.pool().open_seats()), sum(|node| node.pool().size()));
        let token_error = self.tokens.dead().or_else(|| self.journal.last_token_error());
        let connect_error =
            owners.iter().find_map(|(node, _)| node.pool().last_error()).or_else(|| self.routing.last_error());
        let because = |error: Option<Error>| error.map_or_else(String::new, |error| format!(": {error}"));
        if open == 0 {
            let reason = token_error.or_else(|| self.tokens.late()).or(connect_error);
            return Health::Down { reason: format!("no connection{}", because(reason)) };
        }
        let mut problems = Vec::new();
        problems.extend(token_error.map(|error| format!("the token cannot be renewed: {error}")));
        problems.extend(self.cluster_problems(&owners));
        if open < wanted {
            problems.push(format!("{open} of {wanted} connections{}", because(connect_error)));
        }
        if problems.is_empty() { Health::Healthy } else { Health::Degraded { reason: problems.join("; ") } }
    }

    /// What is wrong with the whole of a cluster.
    fn cluster_problems(&self, owners: &[Owner]) -> Vec<String> {
        let mut problems = Vec::new();
        let Some(Routing::Cluster(cluster)) = self.routing.get() else {
            return problems;
        };
        let covered = cluster.map().covered();
        let slots = usize::from(SLOTS);
        if covered < slots {
            problems.push(format!("no node serves {} of {slots} slots", slots - covered));
        }
        let without_links: Vec<_> =
            owners.iter().filter(|(node, _)| !node.takes_commands()).map(|(node, _)| node.name().to_string()).collect();
        if !without_links.is_empty() {
            problems.push(format!("no connection to {}", without_links.join(", ")));
        }
        problems
    }
}

fn node_stats((node, slots): &Owner) -> NodeStats {
    let pool = node.pool();
    let links = pool.snapshot();
    NodeStats {
        address: node.name().to_string(),
        slots: slots.iter().map(|(start, end)| *start..=*end).collect(),
        links: links.len(),
        open_links: pool.open_links(),
        in_flight: links.iter().map(|link| link.in_flight()).sum(),
        last_connect_error: pool.last_error(),
    }
}
