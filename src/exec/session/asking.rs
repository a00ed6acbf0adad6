//! What a session may have served by a node that is just taking over a slot.

use crate::command::profile;
use redis::{Cmd, Pipeline};

/// Keys that are not at their slot's owner any more, as that has said: only of these its successor knows all.
///
/// Any other key may still be at the owner. Behind `ASKING` the successor would serve it all the same, as if it were
/// missing, and what is written there would be in the way of the one that is still to come.
pub(crate) struct Gone(Vec<Vec<u8>>);

impl Gone {
    /// The keys of this command.
    pub(crate) fn new(cmd: &Cmd) -> Self {
        Self(profile(cmd).key_places(cmd).map(|(_, key)| key.to_vec()).collect())
    }

    /// Whether the command has keys, and all of them are among these.
    pub(super) fn covers(&self, cmd: &Cmd) -> bool {
        let mut keys = profile(cmd).key_places(cmd).map(|(_, key)| key).peekable();
        keys.peek().is_some() && keys.all(|key| self.0.iter().any(|gone| gone == key))
    }

    /// The same of each of a pipeline's.
    pub(super) fn covers_all(&self, pipeline: &Pipeline) -> bool {
        pipeline.cmd_iter().all(|cmd| self.covers(cmd))
    }
}
