//! The one command of a connection that waits.

use crate::{
    emulator::{
        resp::Reply,
        store::{
            Store,
            data::Data,
            waiting::{Attempt, Wait},
        },
    },
    lock::lock,
};
use tokio::{
    sync::oneshot::Receiver,
    time::{Instant, sleep_until},
};

pub(super) struct Waiter {
    number: u64,
    reply: Receiver<Reply>,
    until: Option<Instant>,
    late: Reply,
}

impl Waiter {
    pub(super) fn new(data: &mut Data, attempt: Attempt, wait: Wait) -> Self {
        // A time that is too far for the clock does not come.
        let until = wait.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let late = wait.late.clone();
        let (number, reply) = data.waiting.add(attempt, wait);
        Self { number, reply, until, late }
    }

    pub(super) fn give_up(self, data: &mut Data) {
        data.waiting.remove(self.number);
    }

    async fn time_is_up(until: Option<Instant>) {
        match until {
            Some(until) => sleep_until(until).await,
            None => std::future::pending().await,
        }
    }
}

/// Waits until the command is served or its time is up; never ends if none waits.
pub(super) async fn outcome(waiter: &mut Option<Waiter>, store: &Store) -> Reply {
    let Some(Waiter { number, reply, until, late }) = waiter else {
        return std::future::pending().await;
    };
    let served = tokio::select! {
        served = &mut *reply => served.ok(),
        () = Waiter::time_is_up(*until) => {
            let was_waiting = lock(&store.data).waiting.remove(*number);
            // It may have been served at this very moment.
            if was_waiting { None } else { reply.try_recv().ok() }
        }
    };
    let outcome = served.unwrap_or_else(|| late.clone());
    *waiter = None;
    outcome
}
