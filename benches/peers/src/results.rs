//! All runs, and what comes out when they are compared.

use crate::{
    contenders::Kind,
    figures::{Figures, median},
    runner::Place,
    workload::Workload,
};
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Default)]
pub struct Results {
    runs: BTreeMap<(Place, Kind), Vec<Figures>>,
    limit: Vec<f64>,
}

/// Our handle with its default pool beside a peer, at one place; none where one of the two is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Comparison {
    /// Throughput, ours / that of redis-rs's `ConnectionManager`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vs_connection_manager: Option<f64>,
    /// Throughput, ours / that of redis-rs's `ClusterConnection`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vs_cluster_connection: Option<f64>,
    /// Throughput, ours / that of the fastest peer but redis-rs's `ClusterConnection`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vs_best_other: Option<f64>,
    /// Throughput, ours / that of the peer with the highest, at any pool size of its own.
    pub vs_best_peer: Option<f64>,
    /// p99, ours / that of the same peer.
    pub p99_vs_best_peer: Option<f64>,
    /// CPU time of the client per command, ours / that of the same peer.
    pub cpu_vs_best_peer: Option<f64>,
}

impl Results {
    pub fn add(&mut self, place: Place, kind: Kind, figures: Figures) {
        self.runs.entry((place, kind)).or_default().push(figures);
    }

    /// One run of `redis-benchmark`.
    pub fn add_limit(&mut self, per_second: f64) {
        self.limit.push(per_second);
    }

    pub fn limit(&self) -> Option<f64> {
        median(self.limit.clone())
    }

    pub fn places(&self) -> Vec<Place> {
        let mut places: Vec<_> = self.runs.keys().map(|(place, _)| *place).collect();
        places.dedup();
        places
    }

    /// Everybody's medians at one place.
    pub fn at(&self, place: Place) -> Vec<(Kind, Figures)> {
        let here = self.runs.iter().filter(|((at, _), _)| *at == place);
        here.filter_map(|((_, kind), runs)| Some((*kind, Figures::median(runs)?))).collect()
    }

    pub fn median(&self, place: Place, kind: Kind) -> Option<Figures> {
        Figures::median(self.runs.get(&(place, kind))?)
    }

    pub fn compare(&self, place: Place) -> Comparison {
        let Some(ours) = self.median(place, Kind::OURS) else { return Comparison::default() };
        let peers = self.at(place).into_iter().filter(|(kind, _)| kind.is_peer());
        let best = peers.map(|(_, figures)| figures).max_by(|a, b| a.per_second.total_cmp(&b.per_second));
        let vs = |other: Option<f64>| other.map(|other| rounded(ours.per_second / other));
        let rate_of = |kind| self.median(place, kind).map(|figures| figures.per_second);
        let cluster = rate_of(Kind::Cluster);
        let others = self.at(place).into_iter().filter(|(kind, _)| kind.is_peer() && *kind != Kind::Cluster);
        let best_other = others.map(|(_, figures)| figures.per_second).max_by(f64::total_cmp);
        let vs_best = |figure: fn(&Figures) -> f64| best.as_ref().map(|best| rounded(figure(&ours) / figure(best)));
        Comparison {
            vs_connection_manager: vs(rate_of(Kind::ConnectionManager)),
            vs_cluster_connection: vs(cluster),
            vs_best_other: cluster.and(vs(best_other)),
            vs_best_peer: vs_best(|figures| figures.per_second),
            p99_vs_best_peer: vs_best(|figures| figures.p99_us),
            cpu_vs_best_peer: vs_best(|figures| figures.cpu_us),
        }
    }

    /// GETs per second of ours, at the number of tasks and on the runtime that suit it best, / those of
    /// `redis-benchmark`.
    pub fn vs_limit(&self) -> Option<f64> {
        let gets = self.places().into_iter().filter(|place| place.workload == Workload::Get);
        let best = gets.filter_map(|place| self.median(place, Kind::OURS)).map(|figures| figures.per_second);
        Some(rounded(best.max_by(f64::total_cmp)? / self.limit()?))
    }
}

/// To three decimals: there is no more to it.
fn rounded(ratio: f64) -> f64 {
    (ratio * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests;
