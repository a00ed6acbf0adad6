use super::*;
use std::{
    sync::Arc,
    task::{Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};
use tokio::runtime::{Builder, Runtime};

/// Wakes a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Drives a future on this thread, with nothing of tokio's.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

/// Timers of a runtime, on threads of its own.
fn timers() -> (Runtime, Timers) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let (timers, guard) = Timers::of(runtime.handle().clone());
    runtime.spawn(guard.hold());
    (runtime, timers)
}

const MOMENT: Duration = Duration::from_millis(50);
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn they_go_off_in_time_where_there_is_no_runtime_or_one_without_timers() {
    let (_runtime, timers) = timers();
    let wait = || async {
        let began = Instant::now();
        assert!(timers.timeout_at(began + MOMENT, std::future::pending::<()>()).await.is_none());
        timers.sleep_until(began + 2 * MOMENT).await;
        assert_eq!(timers.timeout_at(began, std::future::ready(1)).await, Some(1));
        began.elapsed()
    };
    assert!(block_on(wait()) >= 2 * MOMENT);
    assert!(Builder::new_current_thread().build().unwrap().block_on(wait()) >= 2 * MOMENT);
}

#[test]
fn the_end_of_their_runtime_ends_them_and_panics_nowhere() {
    for _ in 0..20 {
        let (runtime, timers) = timers();
        let sleepers: Vec<_> = (0..4)
            .map(|_| {
                let timers = timers.clone();
                thread::spawn(move || {
                    block_on(async {
                        let long = timers.sleep_until(Instant::now() + HOUR);
                        timers.sleep_until(Instant::now() + MOMENT / 10).await;
                        long.await;
                    });
                })
            })
            .collect();
        // Whatever they are doing at that moment.
        thread::sleep(Duration::from_micros(fastrand::u64(..8_000)));
        drop(runtime);
        for sleeper in sleepers {
            sleeper.join().expect("no panic");
        }
        assert!(timers.have_ended());
        block_on(timers.sleep_until(Instant::now() + HOUR));
    }
}
