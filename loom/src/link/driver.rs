//! A driver whose server answers each request as soon as it is taken. How it hands the answers over, and what becomes
//! of the requests that it has when it ends, is `src/link/driver/handing.rs`.

#[path = "../../../src/link/driver/handing.rs"]
mod handing;

use super::{
    entry::{Entry, Outstanding, Taken, Through},
    queue::Queue,
    reply::{Completion, Outcome, ReplyCell},
};
use crate::{
    admission::Admission,
    sync::{Arc, Notify},
};
use redis::Value;
use std::{
    marker::PhantomData,
    task::{Context, Waker},
    time::Duration,
};

/// Why a link ends.
pub(crate) const REASON: &str = "the connection broke";

/// The fields that handing over looks at.
pub(crate) struct Driver<S> {
    queue: Arc<Queue>,
    keeper: Arc<Notify>,
    admission: Arc<Admission>,
    outstanding: Outstanding,
    quiet: Vec<Entry>,
    written: u64,
    through: Through,
    answers: Vec<(Arc<ReplyCell>, Completion)>,
    wakers: Vec<Waker>,
    patience: Duration,
    reason: &'static str,
    node: std::sync::Arc<str>,
    /// Requests that have been answered.
    pub(crate) answered: usize,
    stream: PhantomData<S>,
}

impl Driver<()> {
    pub(crate) fn new(queue: Arc<Queue>, admission: Arc<Admission>) -> Self {
        Self {
            queue,
            keeper: Arc::new(Notify::new()),
            admission,
            outstanding: Outstanding::default(),
            quiet: Vec::new(),
            written: 0,
            through: Through::default(),
            answers: Vec::new(),
            wakers: Vec::new(),
            patience: Duration::from_secs(1),
            reason: REASON,
            node: "host:1".into(),
            answered: 0,
            stream: PhantomData,
        }
    }

    /// Takes what is queued, and writes it: until the queue is empty, or, with `patience`, until it asks for some.
    pub(crate) fn send(&mut self, mut patience: bool, cx: &Context<'_>) {
        loop {
            match self.queue.take(&mut self.outstanding, patience, cx) {
                Taken::Nothing => return,
                Taken::Something => self.written += std::mem::take(&mut self.outstanding.bytes).len() as u64,
                Taken::Deferred => cx.waker().wake_by_ref(),
            }
            patience = false;
        }
    }

    /// Answers what is written, each request with the place of its last byte.
    pub(crate) fn answer(&mut self) {
        while let Some(entry) = self.outstanding.entries.pop_front() {
            self.through.add(&entry);
            self.answered += 1;
            let reply = Value::Int(entry.ends.cast_signed());
            self.tell(entry, Outcome::Answered(reply), false);
        }
        self.hand_over();
        self.wake();
    }

    /// What a link does whose token has died: gives back what has not been taken, and takes nothing any more.
    pub(crate) fn give_back(&mut self) {
        let entries = self.queue.give_back(REASON);
        for entry in &entries {
            self.through.add(entry);
        }
        for entry in entries {
            self.give_up(entry);
        }
        self.hand_over();
        self.wake();
    }
}
