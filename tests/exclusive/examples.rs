//! The examples as a new user runs them, on the emulator.

use common::child;
use futures_util::future::join_all;

#[tokio::test]
async fn the_examples_of_queues_streams_and_transactions_need_nothing() {
    let runs = [
        ("work_queue", "40 jobs were done once each"),
        ("stream_consumer", "61 of 61 entries were done, 0 are left"),
        ("optimistic_lock", "100 bought, 100 sold, 0 left"),
    ]
    .map(async |(name, says)| {
        // Nothing can be found there, a redis-server neither.
        let run = child::example(name, &[], &[("PATH", "/nonexistent".to_owned())]).await;
        assert_eq!(run.code, Some(0), "{name}: {} {}", run.output, run.complaint);
        assert!(run.output.contains(says), "{name}: {}", run.output);
    });
    join_all(runs).await;
}
