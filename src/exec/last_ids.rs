//! The ids that an `XREAD` with `$` means: what is added between two of its slices would be missed otherwise.

use crate::command::{Profile, timeout::replaced};
use redis::{Arg, Cmd, ServerError, ServerErrorKind, Value};

/// The questions for the last ids of streams, one after the other, and what they are answered.
pub(super) struct LastIds {
    /// Places of `$` among the arguments, and what tells the id that it means.
    open: Vec<(usize, Cmd)>,
    known: Vec<(usize, Vec<u8>)>,
}

impl LastIds {
    /// Of the command; there are none of another one than `XREAD`.
    pub(super) fn of(cmd: &Cmd, what: Profile) -> Self {
        let is_meant = what.full_name() == "XREAD";
        let count = if is_meant { what.key_places(cmd).count() } else { 0 };
        let is_last = |at: usize| matches!(cmd.args_iter().nth(at), Some(Arg::Simple(b"$")));
        let places = what.key_places(cmd).map(|(at, key)| (at + count, key)).filter(|(at, _)| is_meant && is_last(*at));
        Self { open: places.map(|(at, key)| (at, question(key))).collect(), known: Vec::new() }
    }

    /// What is to be asked next.
    pub(super) fn question(&self) -> Option<&Cmd> {
        self.open.last().map(|(_, question)| question)
    }

    /// Takes in the answer to that.
    ///
    /// # Errors
    ///
    /// The answer to the command itself, if Redis does not tell.
    pub(super) fn note(&mut self, answer: Value) -> Result<(), Value> {
        if let Value::ServerError(error) = answer {
            return Err(Value::ServerError(explained(error)));
        }
        if let Some((at, _)) = self.open.pop() {
            self.known.push((at, id_of_first(answer).unwrap_or_else(|| b"0-0".to_vec())));
        }
        Ok(())
    }

    /// The command with ids in the place of `$`, if it has some.
    pub(super) fn resolved(&self, cmd: &Cmd) -> Option<Cmd> {
        let id = |at: usize| self.known.iter().find(|(place, _)| *place == at).map(|(_, id)| id.as_slice());
        (!self.known.is_empty()).then(|| replaced(cmd, id))
    }
}

fn question(key: &[u8]) -> Cmd {
    let mut last = redis::cmd("XREVRANGE");
    last.arg(key).arg("+").arg("-").arg("COUNT").arg(1);
    last
}

fn id_of_first(entries: Value) -> Option<Vec<u8>> {
    let first = |value: Value| match value {
        Value::Array(values) => values.into_iter().next(),
        _ => None,
    };
    match first(first(entries)?)? {
        Value::BulkString(id) => Some(id),
        _ => None,
    }
}

/// A refusal of something that the caller has not sent, with the reason why it was sent.
fn explained(error: ServerError) -> ServerError {
    const WHY: &str = "`XREAD` with `$` is sent behind `XREVRANGE key + - COUNT 1`, so that nothing is missed between its \
                       slices: allow that, or name an id";
    if error.kind() != Some(ServerErrorKind::NoPerm) {
        return error;
    }
    let details = error.details().unwrap_or_default().replace(['\r', '\n'], " ");
    // Only the redis crate makes such an error, out of a line.
    match redis::parse_redis_value(format!("-{} {details} ({WHY})\r\n", error.code()).as_bytes()) {
        Ok(Value::ServerError(explained)) => explained,
        _ => error,
    }
}
