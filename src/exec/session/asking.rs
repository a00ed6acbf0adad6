//! What a session may have served by a node that is just taking over a slot.

use super::{Session, step::Step};
use crate::{
    command::profile,
    error::{Error, ErrorKind},
};
use redis::{Cmd, Pipeline};
use tokio::time::Instant;

/// Keys that are not at their slot's owner any more, as that has said: only of these its successor knows all.
///
/// Any other key may still be at the owner. Behind `ASKING` the successor would serve it all the same, as if it were
/// missing, and what is written there would be in the way of the one that is still to come. So it would be with these,
/// if the slot had come back and gone once more: what the owner has said is good for as long as a command may take.
pub(crate) struct Gone {
    keys: Vec<Vec<u8>>,
    until: Instant,
}

impl Gone {
    /// The keys of this command, until then.
    pub(crate) fn new(cmd: &Cmd, until: Instant) -> Self {
        Self { keys: profile(cmd).key_places(cmd).map(|(_, key)| key.to_vec()).collect(), until }
    }

    /// Whether what the owner has said is good yet.
    fn is_good(&self) -> bool {
        Instant::now() < self.until
    }

    /// Whether the command has keys, and all of them are among these.
    pub(super) fn covers(&self, cmd: &Cmd) -> bool {
        self.is_good() && profile(cmd).key_places(cmd).next().is_some() && self.has_all_of(cmd)
    }

    /// Whether all keys of the command, if it has some, are among these.
    fn has_all_of(&self, cmd: &Cmd) -> bool {
        let is_gone = |key: &[u8]| self.keys.iter().any(|gone| gone == key);
        profile(cmd).key_places(cmd).all(|(_, key)| is_gone(key))
    }

    /// Whether the command may be sent within a `MULTI` that came behind `ASKING`: to Redis, that holds for all that
    /// comes before its end.
    fn may_be_in_multi(&self, cmd: &Cmd) -> bool {
        // A script that does not say which keys it uses may use any.
        let has_no_keys = || profile(cmd).key_places(cmd).next().is_none() && !profile(cmd).runs_script();
        self.is_good() && self.has_all_of(cmd) && (has_no_keys() || self.covers(cmd))
    }

    /// The same of each of a pipeline's.
    pub(super) fn covers_all(&self, pipeline: &Pipeline) -> bool {
        pipeline.cmd_iter().all(|cmd| self.covers(cmd))
    }
}

impl Session {
    /// Whether the command goes behind `ASKING`: its keys have gone to this node, or it begins a transaction of which
    /// this is asked command by command. Within `MULTI`, `ASKING` would be queued as one of its commands.
    pub(super) fn is_behind_asking(&self, cmd: &Cmd, step: Step) -> bool {
        let asks = |gone: &Gone| if step == Step::Multi { gone.is_good() } else { gone.covers(cmd) };
        !self.state.in_multi && self.gone.as_ref().is_some_and(asks)
    }

    /// Ends a transaction that was begun behind `ASKING` before a command that may not be served here, or before its
    /// end, if it is not certain any more where its keys are.
    pub(super) fn check_in_multi<'a>(&mut self, cmds: impl IntoIterator<Item = (&'a Cmd, Step)>) -> Result<(), Error> {
        if self.state.is_pending {
            // What its caller has given up may have been the end: the connection is not used any more, and why not is
            // told where that is found.
            return Ok(());
        }
        let may_go =
            |gone: &Gone| cmds.into_iter().all(|(cmd, step)| step == Step::Discard || gone.may_be_in_multi(cmd));
        if !self.state.in_multi || !self.multi_asks || self.gone.as_ref().is_none_or(may_go) {
            return Ok(());
        }
        self.lease = None;
        let text = "the slot of the transaction's keys is on its way to another node, and not all keys that it uses are \
                    known to be there: nothing of it has been done; begin it again a little later, or watch all keys \
                    that it uses";
        Err(Error::new(ErrorKind::Interrupted, text).not_run())
    }
}

#[cfg(test)]
mod tests;
