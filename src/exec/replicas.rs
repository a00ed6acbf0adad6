//! `WAIT` and `WAITAOF`: whether what has been written is elsewhere, too.
//!
//! To Redis these are about what their own connection has written, and a handle has many. So a link is taken for the
//! question alone, and first writes something itself, which is gone before anybody can see it: what is on a replica
//! that has seen that includes all that its node had done before.

use super::{
    blocking::{Blocking, Leased, failed},
    core::{Core, Way},
    lease::Place,
    request::CommandRequest,
    retry::{self, Remedy, Retries},
    slices::{End, Slices},
    slow_path::{lost, unreadable},
};
use crate::{
    cluster::{
        gather::{About, Reply, gather, no_node},
        slot::Slot,
    },
    command::{Profile, fan_out::FanOut},
    error::Error,
    link::{Link, Outcome},
    pool::Lease,
};
use futures_util::future::join_all;
use redis::{Cmd, RedisResult, Value};
use std::sync::Arc;
use tokio::time::Instant;

/// The name of what is written; on a cluster behind a tag for the node's slot.
const MARK: &str = "entra-redis:wait";

/// Numbers that are tried as a tag: 64 for each slot.
const MOST_TAGS: u64 = 1 << 20;

/// Why there is no answer though the connection is there.
const LATE: &str = "no reply within its time";

/// Whether a command counts where writes have come to, and so goes to all primaries.
pub(super) fn counts(profile: Profile) -> bool {
    matches!(profile.fan_out(), FanOut::Primaries(_))
}

/// Asks each primary; the least that one of them says of `WAIT`, and what each says of `WAITAOF`.
pub(super) async fn wait(core: &Core, cmd: &Cmd, profile: Profile, slices: &Slices<'_>) -> RedisResult<Value> {
    let request = CommandRequest { cmd, profile };
    let question = |place, key| Question { blocking: Blocking { core, request, place, slices }, key };
    let all = async {
        let (Some(cluster), FanOut::Primaries(aggregate)) = (core.cluster(), profile.fan_out()) else {
            return question(Place::Owner(None), MARK.to_owned()).ask().await;
        };
        let map = Arc::clone(&cluster.map());
        let primaries: Vec<_> =
            map.primaries().iter().filter_map(|member| Some((&member.address, &member.node, member.lowest?))).collect();
        if primaries.is_empty() {
            return Err(no_node());
        }
        let answers = primaries.iter().map(async |(address, node, lowest)| {
            let question = question(Place::Node(Arc::clone(node)), mark_in(*lowest));
            Reply { about: About::Node(address), outcome: question.ask().await }
        });
        gather(aggregate, join_all(answers).await)
    };
    tokio::select! {
        biased;
        () = core.availability.until_closed() => Err(failed(core, Error::closed())),
        result = all => result,
    }
}

/// The mark's name in this slot.
fn mark_in(slot: Slot) -> String {
    // Of so many numbers some are in each slot.
    let tag = (0..MOST_TAGS).map(|number| number.to_string()).find(|tag| Slot::of(tag.as_bytes()) == slot);
    format!("{{{}}}:{MARK}", tag.unwrap_or_default())
}

/// The command, for one node.
struct Question<'a> {
    blocking: Blocking<'a>,
    key: String,
}

impl Question<'_> {
    async fn ask(&self) -> RedisResult<Value> {
        let Blocking { core, slices, .. } = &self.blocking;
        let mut retries = Retries::new(slices.deadline, &core.timers);
        loop {
            let Leased { node, lease } = self.blocking.lease(&Way::Owner).await?;
            let end = self.count(&lease).await;
            let remedy = match &end {
                End::Answered(Value::ServerError(error)) => retry::remedy(error),
                // It changes nothing, and can be asked again.
                End::Unsent | End::Lost(_) => Some(Remedy::Later),
                _ => None,
            };
            if matches!((&end, remedy), (End::Answered(_), None | Some(Remedy::Later))) {
                lease.give_back();
            }
            if let Some(remedy) = remedy
                && Instant::now() < slices.deadline
                && retries.allow(remedy).await
            {
                core.admission.note_retry();
                continue;
            }
            return match end {
                End::Answered(value) => Ok(value),
                End::Unreadable(problem) => Err(unreadable(None, problem)),
                End::Lost(reason) => Err(lost(core, &self.blocking.server(&node), reason)),
                End::Passed | End::Unsent | End::TimedOut => Err(lost(core, &self.blocking.server(&node), LATE)),
            };
        }
    }

    /// Writes the mark, and waits for it.
    async fn count(&self, lease: &Lease) -> End {
        let slices = self.blocking.slices;
        match self.mark(lease.link()).await {
            End::Passed => {}
            end => return end,
        }
        loop {
            match slices.next(lease.link(), false).await {
                // What the last slice says is the answer, also if that one is as short as can be.
                End::Passed => slices.make_way(lease).await,
                end => return end,
            }
        }
    }

    /// Writes and deletes the mark in one transaction.
    async fn mark(&self, link: &Link) -> End {
        let mut pipeline = redis::pipe();
        pipeline.atomic().set(&self.key, "").del(&self.key);
        let limit = Instant::now() + self.blocking.core.command_timeout;
        let Some((reply, _)) = link.pipeline_alone(&pipeline, (pipeline.len() + 1, 1), Some(limit)) else {
            return End::Unsent;
        };
        match reply.await.outcome {
            Outcome::Answered(_) | Outcome::Unreadable(..) | Outcome::Written => End::Passed,
            Outcome::Aborted(refused) => {
                let first = refused.errors.into_iter().next();
                first.map_or(End::Unsent, |(_, error)| End::Answered(Value::ServerError(error)))
            }
            Outcome::Unsent(_) | Outcome::HeldBack(_) => End::Unsent,
            Outcome::Lost(reason, _) => End::Lost(reason),
            Outcome::TimedOut | Outcome::TimedOutHeldBack => End::TimedOut,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_in_the_slot_that_it_is_for() {
        for number in [0, 1, 12_182, 16_383] {
            let slot = Slot::new(number).unwrap();
            assert_eq!(Slot::of(mark_in(slot).as_bytes()), slot);
        }
    }
}
