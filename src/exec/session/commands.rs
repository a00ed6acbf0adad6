//! One command over a connection that its caller has alone.

use super::{
    Session, Time,
    step::{ReplyMode, Step},
};
use crate::{
    cluster::redirect::explain_moved,
    command::{Operation, Profile, profile},
    error::Error,
    exec::{
        core::Core,
        last_ids::LastIds,
        record::{Record, failed},
        replicas,
        slices::{End, Slices},
        slow_path::unreadable,
    },
    link::Outcome,
};
use redis::{Cmd, RedisResult, Value};
use std::sync::Arc;

impl Session {
    /// Sends a command and waits for its reply.
    pub(crate) async fn command(&mut self, core: &Core, cmd: &Cmd) -> RedisResult<Value> {
        let what = profile(cmd);
        let mut record = Record::of(core, Operation::Command(what));
        let result = self.run(core, cmd, what).await;
        record.end(&result);
        result
    }

    async fn run(&mut self, core: &Core, cmd: &Cmd, what: Profile) -> RedisResult<Value> {
        let step = Step::of(what, cmd).inspect_err(|_| core.admission.note_refused())?;
        if let Step::Reply(replies) = step {
            self.replies = replies;
            return Ok(if replies == ReplyMode::On { Value::Okay } else { Value::Nil });
        }
        let is_quiet = self.replies != ReplyMode::On || cmd.is_no_response();
        if self.replies == ReplyMode::SkipNext {
            self.replies = ReplyMode::On;
        }
        self.check_in_multi([(cmd, step)]).map_err(|error| failed(core, error))?;
        let time = self.time(core);
        self.prepare(core, &time, step == Step::Watch || step == Step::Multi || step == Step::ForNext).await?;
        let outcome = if matches!(step, Step::Blocks) && !self.state.in_multi {
            self.state.is_blocked = true;
            self.block(core, cmd, what, &time).await?
        } else {
            // What is to be known of the connection is in the replies.
            let wants_reply = !is_quiet || step != Step::Plain;
            let changed = (wants_reply == cmd.is_no_response()).then(|| {
                let mut changed = cmd.clone();
                changed.set_no_response(!wants_reply);
                changed
            });
            let cmd = changed.as_ref().unwrap_or(cmd);
            let deadline = self.deadline(&time, None);
            let link = self.link()?;
            self.state.end_is_out = step == Step::Exec && self.state.in_multi;
            let queued = self.queue(&link, cmd, step, deadline);
            self.outcome(queued).await
        };
        let value = match outcome {
            Outcome::Answered(value) => value,
            Outcome::Written => Value::Nil,
            Outcome::Unreadable(_, problem) => {
                // It has run.
                self.noted(&[step], &[Value::Okay]);
                return Err(unreadable(None, problem));
            }
            other => return Err(self.failed(core, &other, &[step])),
        };
        self.noted(&[step], std::slice::from_ref(&value));
        if is_quiet && !matches!(value, Value::ServerError(_)) {
            return Ok(Value::Nil);
        }
        Ok(if core.cluster().is_none() { explain_moved(value) } else { value })
    }

    /// A command that blocks, in slices, between which `AUTH` passes if nothing is watched.
    async fn block(&mut self, core: &Core, cmd: &Cmd, what: Profile, time: &Time) -> RedisResult<Outcome> {
        if !what.is_sliced() || self.state.is_for_next {
            // It would not be the same in slices, or what was said of the next command holds for this one alone.
            let deadline = self.deadline(time, Some(what.longest(cmd)));
            let link = self.link()?;
            let queued = self.queue(&link, cmd, Step::Blocks, deadline);
            return Ok(self.outcome(queued).await);
        }
        let slices = Slices::new(core, cmd, what.blocks(cmd), replicas::counts(what), self.limit);
        let mut last_ids = LastIds::of(cmd, what);
        while let Some(question) = last_ids.question() {
            let deadline = self.deadline(&self.time(core), None).min(slices.deadline);
            let link = self.link()?;
            let queued = self.queue(&link, question, Step::Plain, deadline);
            match self.outcome(queued).await {
                Outcome::Answered(value) => {
                    if let Err(refusal) = last_ids.note(value) {
                        return Ok(Outcome::Answered(refusal));
                    }
                }
                other => return Ok(other),
            }
        }
        let resolved = last_ids.resolved(cmd);
        let slices = match &resolved {
            Some(cmd) => slices.of(cmd),
            None => slices,
        };
        let Some(lease) = &self.lease else {
            return Err(self.gone().into());
        };
        let all = async {
            loop {
                match slices.next(lease.link(), self.is_behind_asking(cmd, Step::Blocks)).await {
                    End::Passed if self.state.is_held() => {}
                    End::Passed => {
                        slices.make_way(lease).await;
                        if slices.is_too_late(lease.link()) {
                            return Outcome::Answered(Value::Nil);
                        }
                    }
                    End::Answered(value) => return Outcome::Answered(value),
                    End::Unreadable(problem) => return Outcome::Unreadable(None, problem),
                    End::Unsent => return Outcome::Unsent(None),
                    End::Lost(reason) => return Outcome::Lost(reason, Arc::clone(lease.link().node())),
                    End::TimedOut => return Outcome::TimedOut,
                }
            }
        };
        tokio::select! {
            biased;
            () = core.availability.until_closed() => Err(failed(core, Error::closed())),
            outcome = all => Ok(outcome),
        }
    }
}
