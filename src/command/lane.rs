//! Which link a command needs, by what it does to the connection that it runs on.

/// Which link may carry a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Any link, with the commands of everybody else.
    Shared,
    /// One that nobody else uses meanwhile.
    Own(Effect),
    /// None: what it does is done by the client itself, or ends a connection.
    Refused(Effect),
    /// None, as there is nothing to carry. Redis passes over a command without a name and sends no reply to it, so that
    /// the replies to all that follow would go to the wrong requests.
    Empty,
}

/// What a command does to the connection that it runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The replies to everything sent after it wait with it.
    ///
    /// What holds up the server (`DEBUG SLEEP`, a long script) or all its clients (`CLIENT PAUSE`) is not among these:
    /// it does so over any connection.
    Blocks,
    /// What others send on the connection means something else after it.
    ChangesState,
    /// It sets or tells something of one connection.
    IsOfOne,
    /// Redis closes the connection.
    Ends,
}
