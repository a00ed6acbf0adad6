//! What callers send: a command or a pipeline.

mod replies;

use crate::{
    cluster::{redirect, slot::Slot},
    command::{Operation, Profile, fan_out::FanOut, guard, profile},
    link::{Access, Link, Queued},
};
use redis::{Cmd, Pipeline, ServerError};
use tokio::time::Instant;

pub(crate) use replies::Replies;

/// A command or a pipeline on its way to a link, as often as it takes.
pub(crate) trait Request: Replies + Copy + Send + Sync + Unpin {
    /// Queues it on `link`, with the command timeout if there is no `deadline`; none if that does not take it now.
    ///
    /// `asking` lets it be served by a node that is just taking over its slot.
    fn queue(&self, link: &Link, access: Access, deadline: Option<Instant>, asking: bool) -> Option<Queued>;

    /// The slot of its keys, whose owner gets it in a cluster; none if it has no keys.
    fn slot(&self) -> Option<Slot>;

    /// Of what any node may run, the slot whose owner gets it if that takes commands.
    fn leaning(&self) -> Option<Slot> {
        None
    }

    /// Whether it changes nothing, however often it runs.
    fn only_reads(&self) -> bool;

    /// What it goes by in the figures of durations.
    fn operation(&self) -> Operation;
}

/// A command, and what is known of it.
#[derive(Clone, Copy)]
pub(crate) struct CommandRequest<'a> {
    pub(crate) cmd: &'a Cmd,
    pub(crate) profile: Profile,
}

impl Request for CommandRequest<'_> {
    fn queue(&self, link: &Link, access: Access, deadline: Option<Instant>, asking: bool) -> Option<Queued> {
        link.command(access, self.cmd, deadline, asking)
    }

    fn slot(&self) -> Option<Slot> {
        slot_of(self.cmd, self.profile)
    }

    fn leaning(&self) -> Option<Slot> {
        leaning_of(self.cmd, self.profile)
    }

    fn only_reads(&self) -> bool {
        self.profile.only_reads()
    }

    fn operation(&self) -> Operation {
        Operation::Command(self.profile)
    }
}

/// A pipeline, and which of its replies its caller wants.
#[derive(Clone, Copy)]
pub(crate) struct PipelineRequest<'a> {
    pub(crate) pipeline: &'a Pipeline,
    pub(crate) offset: usize,
    pub(crate) count: usize,
}

impl Request for PipelineRequest<'_> {
    fn queue(&self, link: &Link, access: Access, deadline: Option<Instant>, asking: bool) -> Option<Queued> {
        if self.pipeline.is_transaction() && link.must_ask_for_multi(|| guard::would_block(self.pipeline)) {
            return link.ask_for_multi(access, deadline);
        }
        link.pipeline(access, self.pipeline, (self.offset, self.count), deadline, asking)
    }

    fn slot(&self) -> Option<Slot> {
        self.pipeline.cmd_iter().find_map(|cmd| slot_of(cmd, profile(cmd)))
    }

    fn only_reads(&self) -> bool {
        self.pipeline.cmd_iter().all(|cmd| profile(cmd).only_reads())
    }

    fn operation(&self) -> Operation {
        if self.pipeline.is_transaction() { Operation::Transaction } else { Operation::Pipeline }
    }
}

/// The slot that decides which node gets a command.
pub(super) fn slot_of(cmd: &Cmd, profile: Profile) -> Option<Slot> {
    match profile.fan_out() {
        FanOut::Slot(at) => match cmd.args_iter().nth(at.into())? {
            redis::Arg::Simple(number) => str::from_utf8(number).ok()?.parse().ok().and_then(Slot::new),
            _ => None,
        },
        _ => profile.keys(cmd).next().map(Slot::of),
    }
}

/// The slot of a command's keys, which the server names if nobody here knows where they are.
pub(super) fn slot_by(error: &ServerError, profile: Profile, slot: Option<Slot>) -> Option<Slot> {
    if profile.guesses_keys() { redirect::named_slot(error).or(slot) } else { slot }
}

/// Of what any node may run, the slot whose owner gets it: the messages of one channel go to one node. What is
/// published at several nodes, one after the other, reaches a subscriber in any order.
pub(super) fn leaning_of(cmd: &Cmd, profile: Profile) -> Option<Slot> {
    match cmd.args_iter().nth(1)? {
        redis::Arg::Simple(channel) if profile.full_name() == "PUBLISH" => Some(Slot::of(channel)),
        _ => None,
    }
}
