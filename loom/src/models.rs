//! What is promised, each promise as a model: a function that returns if it holds in all orders that were tried, and
//! otherwise panics with the order that breaks it.

pub mod admission;
pub mod sync;

pub use crate::link::models::{queue, reply};

use loom::model::Builder;
use std::{
    env,
    pin::Pin,
    task::{Context, Waker},
};

/// How often a thread may be interrupted in one run, unless `LOOM_MAX_PREEMPTIONS` says otherwise.
const PREEMPTIONS: usize = 2;

pub(crate) fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    if env::var_os("LOOM_MAX_PREEMPTIONS").is_none() {
        builder.preemption_bound = Some(PREEMPTIONS);
    }
    builder.check(model);
}

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Polls once, for nobody; what it gave if it is through.
fn poll_once<T>(future: &mut Boxed<T>) -> Option<T> {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}
