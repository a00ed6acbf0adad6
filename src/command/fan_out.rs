//! Which nodes of a cluster a command goes to, and what becomes of their replies.

use super::aggregate::Aggregate;

/// Which nodes of a cluster get a command; the way in which the `redis` crate's cluster client sends it, as far as that
/// one knows the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FanOut {
    /// The one that has its keys, or any if it has none.
    One,
    /// The one that has its key: the argument at this place is a cursor, which that one alone understands.
    Cursor(u8),
    /// The one that has the slot whose number is the argument at this place.
    Slot(u8),
    /// Each node that has some of its keys, with those keys; all of them in one slot go as they are.
    Split {
        /// How many arguments there are to a key, itself included.
        each: u8,
        /// Whether the last argument belongs to all keys.
        last: bool,
        gather: Aggregate,
    },
    /// All primaries.
    Primaries(Aggregate),
    /// All primaries, one after the other: the argument at this place is a cursor.
    Scan(u8),
}
