//! How the replies of several nodes become one.

/// What the caller of a command gets that went to several nodes, or in parts for several slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aggregate {
    /// The first reply that is no error; an error if all of them are.
    FirstSuccess,
    /// The first reply that is neither an error nor nil; nil if all are nil.
    FirstNonEmpty,
    /// One of the replies, which are the same; an error if any is one.
    AllSucceeded,
    /// The sum of numbers.
    Sum,
    /// The smallest of numbers.
    Min,
    /// Of lists of numbers that are true or false, one list: true where all are.
    And,
    /// One list of all elements, node by node. Of a command in parts, the elements in the order of its keys.
    Arrays,
    /// One map, with the sum of the numbers that several nodes have for the same key.
    Maps,
    /// A map from the address of each node to its reply, which may be an error.
    ByNode,
}
