//! Which nodes of a cluster a command goes to, and what becomes of their replies.

/// Which nodes of a cluster get a command; the way in which the `redis` crate's cluster client sends it, as far as that
/// one knows the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FanOut {
    /// The one that has its keys, or any if it has none.
    One,
    /// The one that has the slot whose number is the argument at this place.
    Slot(u8),
    /// Each node that has some of its keys, with those keys; all of them in one slot go as they are.
    Split {
        /// How many arguments there are to a key, itself included.
        each: u8,
        /// Whether the last argument belongs to all keys.
        last: bool,
        gather: Gather,
    },
    /// All primaries.
    Primaries(Gather),
    /// All primaries, one after the other: the argument at this place is a cursor.
    Scan(u8),
}

/// What the replies of several nodes become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gather {
    /// The first reply that is no error; an error if all are.
    FirstOk,
    /// The first reply that is neither an error nor nil; nil if one of the others is.
    FirstNonEmpty,
    /// Any of them; an error if one is.
    AllOk,
    /// The sum of numbers.
    Sum,
    /// The least of numbers.
    Min,
    /// Arrays of 0 and 1 of the same length, in which 1 stays where all have it.
    And,
    /// One array of what is in all arrays.
    Arrays,
    /// One array of what is in all arrays, in the order of the command's keys.
    ByKey,
    /// One map of what is in all maps; numbers under the same name are added.
    Maps,
    /// A map of each node's address to its reply.
    Special,
}
