//! What is set on a connection that one caller has alone, as far as its replies tell.

use super::step::Step;
use redis::Value;

/// What is set on a connection, as its replies have told.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct State {
    /// Between `MULTI` and its end.
    pub(super) in_multi: bool,
    pub(super) is_watching: bool,
    /// The next command alone is served differently.
    pub(super) is_for_next: bool,
    pub(super) db: i64,
    /// Something that is undone only by the connection's end.
    pub(super) is_changed: bool,
    /// A command is under way, or its caller has given it up.
    pub(super) is_pending: bool,
    /// And it is one that blocks.
    pub(super) is_blocked: bool,
    /// The end of a transaction is on its way.
    pub(super) end_is_out: bool,
    /// The end of a transaction was sent, and it has come to be, or nobody knows whether it has.
    pub(super) may_have_committed: bool,
}

impl State {
    /// Whether nothing may come between the commands.
    pub(super) fn is_held(&self) -> bool {
        self.in_multi || self.is_watching || self.is_for_next
    }

    /// Whether somebody else finds nothing of it.
    pub(super) fn is_clean(&self) -> bool {
        !self.is_held() && self.db == 0 && !self.is_changed && !self.is_pending
    }

    /// Takes note that these steps may have been taken, without a reply that says so.
    pub(super) fn may_have_taken(&mut self, steps: &[Step]) {
        self.may_have_committed |= steps.contains(&Step::Exec);
        if steps.iter().any(|step| matches!(step, Step::Exec | Step::Discard)) {
            (self.in_multi, self.is_watching) = (false, false);
        }
    }

    /// Takes note of a step and its reply.
    pub(super) fn note(&mut self, step: &Step, reply: &Value) {
        let is_ok = !matches!(reply, Value::ServerError(_));
        let was_in_multi = self.in_multi;
        self.is_for_next = false;
        match step {
            Step::Multi => self.in_multi |= is_ok,
            // Whatever Redis says, there is no transaction any more, and nothing is watched.
            Step::Exec | Step::Discard if was_in_multi => {
                (self.in_multi, self.is_watching) = (false, false);
                self.end_is_out &= is_ok && *reply != Value::Nil;
                // It may be one that Redis has not run, and the transaction is still open.
                self.is_changed |= matches!(reply, Value::ServerError(error) if error.code() != "EXECABORT");
            }
            Step::Watch if !was_in_multi => self.is_watching |= is_ok,
            Step::Unwatch if !was_in_multi && is_ok => self.is_watching = false,
            // It takes effect with the transaction, if that does.
            Step::Select(_) if was_in_multi => self.is_changed = true,
            Step::Select(db) if is_ok => match db {
                Some(db) => self.db = *db,
                None => self.is_changed = true,
            },
            Step::ForNext => self.is_for_next = is_ok,
            Step::Changes => self.is_changed = true,
            _ => {}
        }
    }
}
