use super::*;
use crate::link::{entry::Entry, liveness::Liveness, queue::Queue, wire::tests::context};
use std::sync::Arc;
use tokio::{io::duplex, runtime::Builder};

/// How many requests are completed in one go with so many in flight.
fn share(in_flight: usize, many_threads: bool, is_one_of_several: bool) -> usize {
    let mut runtime = if many_threads { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    let runtime = runtime.worker_threads(1).enable_time().build().unwrap();
    let _guard = runtime.enter();
    let mut context = context(16 << 10);
    context.is_one_of_several = is_one_of_several;
    let queue = Arc::new(Queue::new(Arc::clone(&context.admission)));
    let mut driver = Driver::new(duplex(1).0, queue, Arc::new(Liveness::new()), context);
    let entry = || Entry {
        begins: 0,
        ends: 0,
        deadline: None,
        expect: Expect::One,
        cell: None,
        quiet: false,
        counted: true,
        alone: false,
        permitted: true,
    };
    driver.outstanding.entries.extend((0..in_flight).map(|_| entry()));
    driver.share()
}

/// So the server has something to do while the next ones are completed.
#[test]
fn on_one_thread_a_quarter_is_completed_in_one_go() {
    for (in_flight, expected) in [(1, 8), (16, 8), (32, 8), (36, 9), (100, 25), (256, 64), (SMALL_CROWD, 64)] {
        assert_eq!(share(in_flight, false, false), expected, "{in_flight} in flight");
    }
    assert_eq!(share(SMALL_CROWD + 1, false, false), usize::MAX, "the server works in shares of its own");
}

#[test]
fn on_many_threads_and_of_one_node_of_several_shares_have_one_size() {
    for in_flight in [1, 100, SMALL_CROWD] {
        assert_eq!(share(in_flight, true, false), SHARE_OF_MANY);
        assert_eq!(share(in_flight, true, true), SHARE_OF_MANY);
        assert_eq!(share(in_flight, false, true), SHARE);
    }
    assert_eq!(share(SMALL_CROWD + 1, true, false), usize::MAX);
    assert_eq!(share(SMALL_CROWD + 1, false, true), usize::MAX);
}
