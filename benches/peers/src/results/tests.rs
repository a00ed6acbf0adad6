use super::*;
use crate::runner::Flavor;

fn figures(per_second: f64, p99_us: f64) -> Figures {
    Figures { per_second, p50_us: 1.0, p99_us, p999_us: 1.0, cpu_us: 2.0, large_per_second: None }
}

#[test]
fn the_best_peer_is_the_fastest_at_any_pool_size() {
    let place = Place { workload: Workload::Get, flavor: Flavor::MultiThread, tasks: 16 };
    let mut results = Results::default();
    assert_eq!(results.compare(place), Comparison::default());
    for (kind, per_second, p99_us) in [
        (Kind::OURS, 400.0, 5.0),
        // A pool size of ours that is not the default neither counts for us nor as a peer.
        (Kind::Ours(Some(1)), 4_000.0, 1.0),
        (Kind::ConnectionManager, 100.0, 50.0),
        (Kind::Fred(2), 200.0, 10.0),
        (Kind::Fred(1), 150.0, 1.0),
    ] {
        results.add(place, kind, figures(per_second, p99_us));
    }
    results.add_limit(800.0);
    let expected = Comparison {
        vs_connection_manager: Some(4.0),
        vs_cluster_connection: None,
        vs_best_other: None,
        vs_best_peer: Some(2.0),
        p99_vs_best_peer: Some(0.5),
        cpu_vs_best_peer: Some(1.0),
    };
    assert_eq!(results.compare(place), expected);
    assert_eq!(results.vs_limit(), Some(0.5));
    assert_eq!(results.places(), [place]);
}

#[test]
fn medians_are_of_each_figure() {
    let runs = [figures(1.0, 9.0), figures(2.0, 8.0), figures(30.0, 1.0)];
    let median = Figures::median(&runs).expect("runs");
    assert!((median.per_second - 2.0).abs() < f64::EPSILON && (median.p99_us - 8.0).abs() < f64::EPSILON);
    assert!(Figures::median(&[]).is_none());
}
