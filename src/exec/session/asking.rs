//! What a session may have served by a node that is just taking over a slot.

use crate::command::profile;
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

    /// Whether the command has keys, and all of them are among these.
    pub(super) fn covers(&self, cmd: &Cmd) -> bool {
        let mut keys = profile(cmd).key_places(cmd).map(|(_, key)| key).peekable();
        let is_gone = |key: &[u8]| self.keys.iter().any(|gone| gone == key);
        Instant::now() < self.until && keys.peek().is_some() && keys.all(is_gone)
    }

    /// The same of each of a pipeline's.
    pub(super) fn covers_all(&self, pipeline: &Pipeline) -> bool {
        pipeline.cmd_iter().all(|cmd| self.covers(cmd))
    }
}
