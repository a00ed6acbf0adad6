//! What is sent first on a connection, and the later `AUTH`s.

use super::{
    condition::Access,
    driver::GARBAGE,
    reply::{Outcome, PendingReply},
    setup::Setup,
    wire::{Wire, outcome},
};
use crate::{
    error::{Error, ErrorKind, Stage},
    token::Current,
    transport::tls::{Transport, explain},
};
use redis::{Cmd, ErrorKind as RedisErrorKind, ProtocolVersion, RedisError};
use std::{fmt, io, sync::atomic::Ordering::Relaxed, time::Duration};
use tokio::time::Instant;

/// Sends `HELLO 3 AUTH …` (or `AUTH …` for RESP2), the library's name and, if the topology is to be asked for, that
/// question, with RESP3 in one round trip. Returns the pending reply to the question, if it was sent.
pub(super) async fn authenticate(wire: &Wire, setup: &Setup, current: &Current) -> Result<Option<PendingReply>, Error> {
    let hello = if setup.protocol == ProtocolVersion::RESP2 {
        auth_command(current)
    } else {
        let mut hello = redis::cmd("HELLO");
        hello.arg(3).arg("AUTH").arg(current.username.expose());
        hello.arg(current.token.secret().expose());
        hello
    };
    let deadline = Instant::now() + setup.auth_timeout;
    // HELLO comes first in what the server reads, so that it is answered whatever follows; AUTH travels alone, see
    // `driver/fence.rs`.
    let answer = if setup.protocol == ProtocolVersion::RESP2 {
        wire.auth(&hello, deadline)
    } else {
        wire.command(Access::Own, &hello, Some(deadline), false).map(|(reply, _)| reply)
    };
    // Servers before 7.2 do not know SETINFO, and one that refuses the token may close at once: only the answer to
    // HELLO counts.
    for (field, value) in [("LIB-NAME", "entra-redis"), ("LIB-VER", env!("CARGO_PKG_VERSION"))] {
        let mut name = redis::cmd("CLIENT");
        name.arg("SETINFO").arg(field).arg(value);
        drop(wire.command(Access::Own, &name, Some(deadline), false));
    }
    if let Some(name) = &setup.client_name {
        let mut set = redis::cmd("CLIENT");
        set.arg("SETNAME").arg(&**name);
        drop(wire.command(Access::Own, &set, Some(deadline), false));
    }
    let asks = setup.asks_for_slots.swap(false, Relaxed);
    let slots = asks.then(|| wire.command(Access::Own, &slots_command(), Some(deadline), false)).flatten();
    let verdict = verdict(outcome(answer).await, current, Limit::AuthTimeout(setup.auth_timeout));
    verdict.map(|()| slots.map(|(reply, _)| reply)).map_err(|error| {
        match (&setup.dialer.transport, error.kind()) {
            // A port with TLS closes the connection, or says what is no Redis reply.
            (Transport::Plaintext, ErrorKind::Connect) => error.with_hint(PLAINTEXT),
            _ => error,
        }
    })
}

/// The question of who has which slots.
pub(super) fn slots_command() -> Cmd {
    let mut cmd = redis::cmd("CLUSTER");
    cmd.arg("SLOTS");
    cmd
}

/// How long the answer to a `HELLO` or `AUTH` is waited for, and why no longer.
#[derive(Clone, Copy)]
pub(super) enum Limit {
    /// The setting of this name.
    AuthTimeout(Duration),
    /// The life that the connection's old token has left.
    OldToken(Duration),
}

impl Limit {
    pub(super) fn duration(self) -> Duration {
        let (Self::AuthTimeout(limit) | Self::OldToken(limit)) = self;
        limit
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AuthTimeout(limit) => write!(f, "{limit:?} (`auth_timeout`)"),
            Self::OldToken(life) => {
                let life = Duration::from_millis(u64::try_from(life.as_millis()).unwrap_or(u64::MAX));
                write!(f, "{life:?}, the rest of the old token's life")
            }
        }
    }
}

const PLAINTEXT: &str = "does this port speak TLS? Then leave out `Tls::dangerously_unencrypted`";

/// What the outcome of a `HELLO` or `AUTH` means, which was waited for up to `limit`.
pub(super) fn verdict(outcome: Outcome, current: &Current, limit: Limit) -> Result<(), Error> {
    let error = match outcome {
        Outcome::Answered(value) => match value.extract_error() {
            Ok(_) => return Ok(()),
            Err(error) => error,
        },
        Outcome::TimedOut => {
            let text = format!("Redis did not answer AUTH within {limit}");
            return Err(Error::new(ErrorKind::Timeout(Stage::Auth), text));
        }
        Outcome::Lost(GARBAGE, _) => (RedisErrorKind::Parse, GARBAGE).into(),
        Outcome::Unreadable(_, problem) => (RedisErrorKind::Parse, problem).into(),
        Outcome::Lost(reason, _) => match explain::hint(reason) {
            Some(hint) => {
                let text = format!("the connection ended during authentication: {reason}");
                return Err(Error::new(ErrorKind::Tls, text).with_hint(hint));
            }
            None => io::Error::from(io::ErrorKind::BrokenPipe).into(),
        },
        Outcome::Unsent(_)
        | Outcome::HeldBack(_)
        | Outcome::TimedOutHeldBack
        | Outcome::Aborted(_)
        | Outcome::Written => io::Error::from(io::ErrorKind::BrokenPipe).into(),
    };
    Err(auth_error(&error, current))
}

/// `AUTH` with the token. Never log a [`Cmd`]: its `Debug` shows the arguments.
pub(super) fn auth_command(current: &Current) -> Cmd {
    let mut auth = redis::cmd("AUTH");
    auth.arg(current.username.expose());
    auth.arg(current.token.secret().expose());
    auth
}

/// An error about an unknown command quotes the arguments behind these words: the user name and a part of the token.
const QUOTED_ARGUMENTS: &str = ", with args beginning with";

/// How many characters of a server's error are shown.
const LONGEST_REPLY: usize = 400;

/// What Redis's refusal of `HELLO` or `AUTH` means.
fn auth_error(error: &RedisError, current: &Current) -> Error {
    let Some(code) = error.code() else {
        return no_answer(error);
    };
    let said = format!("{code} {}", error.detail().unwrap_or_default());
    // Azure has been seen to answer `ERR WRONGPASS …` too.
    let rejected = code == "WRONGPASS" || said.starts_with("ERR WRONGPASS");
    let said = said.split(QUOTED_ARGUMENTS).next().unwrap_or_default();
    // A server may quote what it was sent anywhere else, and in part: neither the token nor a user name
    // that may be a key must come into an error text.
    let said = current.username.scrub(current.token.secret(), said);
    let said: String = said.chars().take(LONGEST_REPLY).collect();
    if !rejected {
        return Error::new(ErrorKind::Server, format!("Redis answered the authentication with an error: {said}"));
    }
    let username = &current.username;
    Error::new(ErrorKind::AuthenticationRejected, format!("Redis refused the token for the user `{username}`: {said}"))
        .with_hint(
            "the user name must be the principal's object id (not its client id), and the cache needs an access policy \
             assignment for that id: for your own user's, too, when you work with `az login`; one for a group does not \
             count",
        )
}

fn no_answer(error: &RedisError) -> Error {
    if error.is_io_error() {
        return Error::new(ErrorKind::Connect, "the connection broke during authentication").with_source(error.clone());
    }
    // Its text is left out: it is no answer of Redis, and may be anything.
    Error::new(ErrorKind::Connect, "the server does not speak the Redis protocol")
}

#[cfg(test)]
mod tests;
