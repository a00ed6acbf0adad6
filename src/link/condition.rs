//! What a link is good for, and who may send over it.

/// What a link is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Takes commands.
    Open,
    /// An `AUTH` is under way: takes commands only when nothing else does.
    Reauthenticating,
    /// Takes no commands any more, and why.
    Down(&'static str),
}

/// Who may send now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Commands, while the link is open.
    Open,
    /// Commands, while the link is re-authenticated.
    Reauthenticating,
    /// Commands of the only user of a link, unless it is down. Behind an `AUTH` they come in their order.
    Alone,
    /// The link's own requests (`AUTH`, `PING`, `CLUSTER SLOTS` and the like), while there is a connection.
    Own,
}

/// Why a link is given up whose token has expired.
pub(crate) const EXPIRED: &str = "its token has expired";

pub(super) const OPEN: u8 = 0;
pub(super) const REAUTHENTICATING: u8 = 1;
const DOWN: u8 = 2;

/// The condition without its reason, as a number.
pub(super) fn code(condition: Condition) -> u8 {
    match condition {
        Condition::Open => OPEN,
        Condition::Reauthenticating => REAUTHENTICATING,
        Condition::Down(_) => DOWN,
    }
}
