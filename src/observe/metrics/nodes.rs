//! Figures of each node, of which there are more or fewer as time goes by.

use crate::observe::stats::NodeStats;
use ::metrics::{Gauge, Label, Unit, describe_gauge, gauge};
use std::collections::HashMap;

const LINKS: &str = "entra_redis.node.links";
const IN_FLIGHT: &str = "entra_redis.node.in_flight";

/// The label that names the node.
const NODE: &str = "entra_redis.node";

pub(super) struct Nodes {
    labels: Vec<Label>,
    known: HashMap<String, Series>,
}

struct Series {
    links: Gauge,
    in_flight: Gauge,
}

impl Nodes {
    pub(super) fn new(labels: &[Label]) -> Self {
        describe_gauge!(LINKS, Unit::Count, "Connections to a node that take commands.");
        describe_gauge!(IN_FLIGHT, Unit::Count, "Commands sent to a node without an answer yet.");
        Self { labels: labels.to_vec(), known: HashMap::new() }
    }

    pub(super) fn hand_on(&mut self, nodes: &[NodeStats]) {
        // What is gone holds nothing any more, and its gauges must not say so for ever.
        self.known.retain(|address, series| {
            let is_there = nodes.iter().any(|node| node.address == *address);
            if !is_there {
                series.links.set(0.0);
                series.in_flight.set(0.0);
            }
            is_there
        });
        for node in nodes {
            let labels = &self.labels;
            let series = self.known.entry(node.address.clone()).or_insert_with(|| {
                let own = Label::new(NODE, node.address.clone());
                let labels: Vec<_> = labels.iter().cloned().chain([own]).collect();
                Series { links: gauge!(LINKS, labels.clone()), in_flight: gauge!(IN_FLIGHT, labels) }
            });
            series.links.set(node.open_links as f64);
            series.in_flight.set(node.in_flight as f64);
        }
    }
}
