//! What is told of commands that have no reply, and of those that are not sent any more.

use super::{Session, step::Step};
use crate::{
    error::{Error, ErrorKind, Stage},
    exec::{core::Core, record::failed, slow_path::lost, texts::server},
    link::Outcome,
};
use redis::RedisError;

impl Session {
    /// The error of what has no reply, and had these steps; the connection ends with it.
    pub(super) fn failed(&mut self, core: &Core, outcome: &Outcome, steps: &[Step]) -> RedisError {
        let is_within = self.state.in_multi && !steps.iter().any(|step| matches!(step, Step::Exec | Step::Discard));
        let server = server(core, Some(self.node.name()));
        let limit = self.limit.unwrap_or(core.command_timeout);
        self.lease = None;
        match outcome {
            Outcome::Unsent(_) | Outcome::HeldBack(_) | Outcome::TimedOutHeldBack => {
                self.state.end_is_out = false;
                let error = self.gone();
                failed(core, error)
            }
            Outcome::Lost(..) if is_within => failed(core, interrupted()),
            Outcome::Lost(reason, _) => {
                self.state.may_have_taken(steps);
                lost(core, &server, reason)
            }
            _ => {
                self.state.may_have_taken(steps);
                let besides = if self.state.is_blocked { " after the time that it may block for" } else { "" };
                let text = format!(
                    "no reply from {server} within {limit:?}{besides}; the command may have run, and the connection is \
                     closed"
                );
                failed(core, Error::new(ErrorKind::Timeout(Stage::Command), text))
            }
        }
    }

    /// Why a command is not sent: the connection is not there any more.
    pub(super) fn gone(&self) -> Error {
        if self.state.end_is_out {
            let text =
                "the caller has given up on the end of a transaction, which may have run; the connection is closed";
            return Error::new(ErrorKind::Connect, text);
        }
        if self.state.is_held() {
            return interrupted();
        }
        let text = "the connection that this caller has alone is closed; the command was not sent: take another one";
        Error::new(ErrorKind::Connect, text).not_run()
    }
}

/// The error of a transaction that has ended before its end was sent.
fn interrupted() -> Error {
    let text = "the connection ended, or its token was about to expire, in the middle of a transaction: nothing of it \
                has been done; begin it again on another connection";
    Error::new(ErrorKind::Interrupted, text).not_run()
}
