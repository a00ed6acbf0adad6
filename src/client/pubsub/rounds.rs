//! A line's requests over a link, and what becomes of their answers.

use super::{
    line::{LineTask, Lost, On},
    requests::{Batch, Change, batches, one_by_one},
    topic::Topic,
};
use crate::{
    cluster::{
        redirect::{Redirect, Sent},
        slot::Slot,
    },
    link::{Outcome, PendingReply},
};
use redis::{Cmd, PushKind, ServerError, Value};
use std::time::Duration;
use tokio::time::Instant;

/// A topic that this node does not serve any more is tried again after this, unless it is put elsewhere.
const AGAIN_MOVED: Duration = Duration::from_millis(100);

/// What the server refuses is tried again after this.
const AGAIN_REFUSED: Duration = Duration::from_secs(1);

/// What is to be tried again, and when.
pub(super) type Again = Option<(Instant, Vec<Topic>)>;

impl LineTask {
    /// Makes what is subscribed to equal to what is wanted. Returns what is to be tried again, and when.
    pub(super) async fn round(&self, on: &On) -> Result<Again, Lost> {
        let (wanted, unwanted) = self.shared.take_dirty(on.at);
        let mut all = batches(Change::Unsubscribe, unwanted);
        all.extend(batches(Change::Subscribe, wanted));
        let again = self.run_batches(on, all).await?;
        self.shared.settle(on.at);
        Ok(again)
    }

    /// Sends all, and sees to their answers; of what is refused as a whole, it is found out what it is that is refused.
    pub(super) async fn run_batches(&self, on: &On, all: Vec<Batch>) -> Result<Again, Lost> {
        let mut again: Again = None;
        let mut waves = vec![all];
        while let Some(wave) = waves.pop() {
            let deadline = Instant::now() + self.core().command_timeout;
            let send =
                |batch: &Batch| on.link().subscription_alone(&batch.cmd, batch.confirmed_by.clone(), Some(deadline));
            let sent: Vec<_> = wave.into_iter().map(|batch| (send(&batch), batch)).collect();
            let mut apart = Vec::new();
            for (queued, batch) in sent {
                let (reply, _) = queued.ok_or(Lost)?;
                let Value::ServerError(error) = self.answer(on, reply).await? else { continue };
                if batch.topics.len() > 1 {
                    apart.extend(one_by_one(&batch));
                    continue;
                }
                for topic in batch.topics {
                    let delay = match batch.change {
                        Change::Subscribe => self.refused(&topic, &error),
                        Change::Unsubscribe => {
                            self.shared.refuse_end(on.at, &topic, error.clone().into());
                            AGAIN_REFUSED
                        }
                    };
                    let (at, topics) = again.get_or_insert_with(|| (Instant::now(), Vec::new()));
                    *at = (*at).max(Instant::now() + delay);
                    topics.push(topic);
                }
            }
            if !apart.is_empty() {
                waves.push(apart);
            }
        }
        Ok(again)
    }

    /// Sees to a refusal; when to try again.
    fn refused(&self, topic: &Topic, error: &ServerError) -> Duration {
        let slot = Slot::of(topic.name());
        let sent = Sent { slot: Some(slot), runs_script: false, to: self.node.name() };
        match (Redirect::of(error, sent), self.core().cluster()) {
            (Some(Redirect::Moved { slot, to }), Some(cluster)) => {
                cluster.moved(slot, &to);
                AGAIN_MOVED
            }
            (Some(_), Some(cluster)) => {
                cluster.doubt();
                AGAIN_MOVED
            }
            _ => {
                self.shared.refuse(self.id, topic, error.clone().into());
                AGAIN_REFUSED
            }
        }
    }

    pub(super) async fn ask(&self, on: &On, cmd: &Cmd, confirmed_by: PushKind) -> Result<Value, Lost> {
        let deadline = Instant::now() + self.core().command_timeout;
        let (reply, _) = on.link().subscription_alone(cmd, confirmed_by, Some(deadline)).ok_or(Lost)?;
        self.answer(on, reply).await
    }

    /// The answer, unless the link is given up before it comes.
    async fn answer(&self, on: &On, mut reply: PendingReply) -> Result<Value, Lost> {
        loop {
            let changed = self.core().availability.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if on.is_down() {
                return Err(Lost);
            }
            tokio::select! {
                biased;
                answer = &mut reply => return match answer.outcome {
                    Outcome::Answered(value) => Ok(value),
                    // Without a confirmation the link is given up: what it is subscribed to is not known.
                    _ => Err(Lost),
                },
                () = changed => {}
            }
        }
    }
}
