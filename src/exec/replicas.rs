//! `WAIT` and `WAITAOF`: whether what has been written is elsewhere, too.
//!
//! To Redis these are about what their own connection has written, and a handle has many. So a link is taken for the
//! question alone, and first writes something itself, which is gone before anybody can see it: what is on a replica
//! that has seen that includes all that its node had done before.

use super::{
    blocking::{Blocking, Leased},
    core::{Core, Way},
    lease::Place,
    record::failed,
    redirects::Redirects,
    request::CommandRequest,
    retry::{self, Remedy, Retries},
    slices::{End, LATE, Slices},
    slow_path::{lost, unreadable},
    texts::server,
};
use crate::{
    cluster::{
        gather::{About, PartialReply, gather, no_node},
        map::SlotMap,
        node::Node,
        redirect::{Redirect, Sent},
        slot::{SLOTS, Slot},
    },
    command::{Profile, fan_out::FanOut},
    error::Error,
    link::{Link, Outcome},
    pool::Lease,
};
use futures_util::future::join_all;
use redis::{Cmd, RedisResult, Value};
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};
use tokio::time::Instant;

/// The name of what is written; on a cluster behind a tag for the node's slot.
const MARK: &str = "entra-redis:wait";

/// Numbers that are tried as a tag: 64 for each slot.
const MOST_TAGS: u32 = 1 << 20;

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
        let mut redirects = Redirects::new(core, cluster, slices.deadline);
        let mut is_first = true;
        loop {
            let map = Arc::clone(&cluster.map());
            let primaries: Vec<_> = map
                .primaries()
                .iter()
                .filter_map(|member| {
                    // A slot that is on its way takes no mark; nearly all others do.
                    let slot = if is_first { member.lowest() } else { a_slot_of(&map, &member.node) };
                    Some((&member.address, &member.node, slot?))
                })
                .collect();
            if primaries.is_empty() {
                return Err(no_node());
            }
            let answers = primaries.iter().map(async |(address, node, slot)| {
                let question = question(Place::Node(Arc::clone(node)), mark_in(*slot));
                PartialReply { about: About::Node(address), outcome: question.ask().await }
            });
            let answers = join_all(answers).await;
            let of_slots = primaries.iter().zip(&answers).find_map(|((_, node, slot), answer)| {
                let Ok(Value::ServerError(error)) = &answer.outcome else {
                    return None;
                };
                Redirect::of(error, Sent { slot: Some(*slot), runs_script: false, to: node.name() })
            });
            // The slots are others' by now, and with them what was written in them: all are asked again.
            if let Some(redirect) = of_slots {
                redirects.heed(&redirect, None);
                if redirects.allow(&redirect).await {
                    is_first = false;
                    core.admission.note_retry();
                    continue;
                }
            }
            return gather(aggregate, answers);
        }
    };
    tokio::select! {
        biased;
        () = core.availability.until_closed() => Err(failed(core, Error::closed())),
        result = all => result,
    }
}

/// One of the slots that this node has, by the map.
fn a_slot_of(map: &SlotMap<Arc<Node>>, node: &Arc<Node>) -> Option<Slot> {
    let slots: Vec<_> =
        Slot::all().filter(|slot| map.get(*slot).is_some_and(|owner| Arc::ptr_eq(owner, node))).collect();
    fastrand::choice(slots)
}

/// The mark's name in this slot.
fn mark_in(slot: Slot) -> String {
    // Of so many numbers some are in each slot.
    let tag = tag_in(slot).map(|tag| tag.to_string());
    format!("{{{}}}:{MARK}", tag.unwrap_or_default())
}

/// A number that is in this slot; looked for once for each slot.
fn tag_in(slot: Slot) -> Option<u32> {
    /// One more than the number; 0 where it is not known.
    static FOUND: [AtomicU32; SLOTS as usize] = [const { AtomicU32::new(0) }; SLOTS as usize];
    let known = &FOUND[slot.index()];
    if let Some(tag) = known.load(Relaxed).checked_sub(1) {
        return Some(tag);
    }
    let tag = (0..MOST_TAGS).find(|tag| Slot::of(tag.to_string().as_bytes()) == slot)?;
    known.store(tag + 1, Relaxed);
    Some(tag)
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
        let mut is_let_in = false;
        loop {
            let leased = self.blocking.lease(&Way::Owner, std::mem::replace(&mut is_let_in, true)).await;
            let Leased { node, lease } = leased.map_err(|error| failed(core, error))?;
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
                End::Lost(reason) => Err(lost(core, &server(core, Some(node.name())), reason)),
                End::Passed | End::Unsent | End::TimedOut => Err(lost(core, &server(core, Some(node.name())), LATE)),
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
        let Some((reply, _)) = link.pipeline_alone(&pipeline, (pipeline.len() + 1, 1), Some(limit), false) else {
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
mod tests;
