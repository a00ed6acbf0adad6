//! Timers of the runtime that `connect` was called on, for futures that anybody may poll anywhere.

use std::{
    pin::{Pin, pin},
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll, ready},
};
use tokio::{
    runtime::Handle,
    task::yield_now,
    time::{self, Instant},
};

/// How often a command yields to the runtime before it fails: the first time the runtime finds out what has come, the
/// second time the tasks run that it came for.
const TURNS: usize = 2;

/// Makes timers on one runtime. They may be polled anywhere, also where there is no runtime, or one without timers.
#[derive(Clone)]
pub(crate) struct Timers {
    runtime: Handle,
    /// Whether the runtime still drives timers. To poll one of a runtime that has ended is a panic.
    driven: Arc<RwLock<bool>>,
}

/// Marks the timers as ended when dropped; whoever waits for one then waits no longer.
///
/// It belongs in a task of their runtime: a runtime drops its tasks before it stops its timers, so that nobody polls a
/// timer after that.
pub(crate) struct EndGuard(Arc<RwLock<bool>>);

impl EndGuard {
    /// The task that it belongs in, which ends with its runtime or by being aborted.
    pub(crate) async fn hold(self) {
        std::future::pending::<()>().await;
    }
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        // Waits for those who are polling at this moment.
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = false;
    }
}

impl Timers {
    /// Timers of this runtime, and what marks them as ended.
    pub(crate) fn of(runtime: Handle) -> (Self, EndGuard) {
        let driven = Arc::new(RwLock::new(true));
        let guard = EndGuard(Arc::clone(&driven));
        (Self { runtime, driven }, guard)
    }

    /// That of `connect`, where background work belongs.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Whether their runtime drives them no more.
    pub(crate) fn have_ended(&self) -> bool {
        !*self.driven.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `deadline`, or for the end of the runtime.
    pub(crate) fn sleep_until(&self, deadline: Instant) -> Sleep {
        // The timer belongs to the runtime in which it is made.
        let _entered = self.runtime.enter();
        Sleep { inner: Box::pin(time::sleep_until(deadline)), driven: Arc::clone(&self.driven) }
    }

    /// What `work` yields; none if it has not by `deadline`.
    pub(crate) async fn timeout_at<T>(&self, deadline: Instant, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let mut sleep = None;
        std::future::poll_fn(|cx| {
            if let Poll::Ready(value) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(value));
            }
            let sleep = sleep.get_or_insert_with(|| self.sleep_until(deadline));
            ready!(Pin::new(sleep).poll(cx));
            Poll::Ready(None)
        })
        .await
    }
}

/// See [`Timers::sleep_until`].
#[must_use]
pub(crate) struct Sleep {
    inner: Pin<Box<time::Sleep>>,
    driven: Arc<RwLock<bool>>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = &mut *self;
        // Held while polling, so that the runtime cannot end meanwhile.
        let driven = sleep.driven.read().unwrap_or_else(PoisonError::into_inner);
        if *driven { sleep.inner.as_mut().poll(cx) } else { Poll::Ready(()) }
    }
}

/// Lets the tasks of this thread's runtime run before a command fails at once.
///
/// A program that drives its runtime for one command after the other, and not in between, would not run them at all
/// otherwise, and so never get over what makes the commands fail.
pub(crate) async fn let_others_run() {
    for _ in 0..TURNS {
        yield_now().await;
    }
}

#[cfg(test)]
mod tests;
