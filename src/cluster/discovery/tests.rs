use super::*;
use crate::{pool::fixture::setup_with, token::AccessToken};

/// Whoever waits for it to be found out is told that it never will be.
#[tokio::test]
async fn a_lazy_start_without_anybody_who_fetches_tokens_refuses_commands() {
    let (setup, shared, actor) = setup_with(1, || AccessToken::opaque("token", Duration::from_secs(60), "tester"));
    drop(actor);
    let availability = Arc::clone(&shared.availability);
    let discovery = Discovery {
        topology: Topology::Auto,
        setup,
        shared,
        keepers: TaskTracker::new(),
        pool_size: None,
        node_map: NodeMap::default(),
        refresh_interval: Duration::from_secs(60),
        found: Found::default(),
    };
    let found = discovery.found.clone();
    assert!(discovery.start_some_time().await.is_none());
    assert!(found.get().is_none() && availability.is_closed());
}
