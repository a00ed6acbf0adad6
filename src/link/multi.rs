//! Whether transactions may be opened here.

use redis::{ServerError, Value};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// Zero is neither: nobody has asked yet.
const ALLOWED: u8 = 1;
const REFUSED: u8 = 2;

/// What Redis said last to `MULTI`; one for all links of a client, who are one user.
///
/// `MULTI`, the commands and `EXEC` travel in one piece. If `MULTI` is refused, as the ACL may have it, the commands
/// run one by one all the same: so where it has been refused, or would let a command block, it is asked for alone.
#[derive(Default)]
pub(crate) struct Multi(AtomicU8);

impl Multi {
    /// Whether commands must not follow `MULTI` before its reply is there.
    pub(crate) fn must_be_asked_for(&self, would_block: impl FnOnce() -> bool) -> bool {
        match self.0.load(Relaxed) {
            ALLOWED => false,
            REFUSED => true,
            // If MULTI were refused, the command would block the link for everybody.
            _ => would_block(),
        }
    }

    /// Takes note of a reply to `MULTI`.
    pub(super) fn note<E>(&self, reply: &Result<Value, E>) {
        let known = match reply {
            Ok(Value::ServerError(error)) if is_for_good(error) => REFUSED,
            Ok(Value::ServerError(_)) | Err(_) => return,
            Ok(_) => ALLOWED,
        };
        if self.0.load(Relaxed) != known {
            self.0.store(known, Relaxed);
        }
    }
}

/// Whether Redis refuses `MULTI` as such (the user may not use it, or the server does not know it), and not because of
/// the state that the connection or the server is in.
pub(crate) fn is_for_good(error: &ServerError) -> bool {
    matches!(error.code(), "NOPERM" | "ERR")
}

/// What was refused of a transaction.
#[derive(Debug)]
pub(crate) struct Refused {
    /// The replies that are errors, by their places: 0 is `MULTI`'s, then come the commands', then `EXEC`'s.
    pub(crate) errors: Vec<(usize, ServerError)>,
    /// Whether the commands were sent at all.
    pub(crate) sent: bool,
}

#[cfg(test)]
mod tests;
