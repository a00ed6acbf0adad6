//! More nodes than one machine has. `benches/simulation.rs` is the same with a hundred of them.

use common::{
    SECOND,
    simulation::{Size, assert_token_requests, simulate},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_reach_all_nodes_and_all_nodes_are_replaced() {
    let token_lifetime = 3 * SECOND;
    let figures =
        simulate(Size { nodes: 12, links_of_a_node: 2, token_lifetime, rotations: 1, pause: SECOND / 10 }).await;
    assert_token_requests(&figures, token_lifetime);
}
