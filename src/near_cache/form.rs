//! Which commands may be answered from memory, and what tells one from another.

use redis::{Arg, Cmd};

/// Commands whose reply depends on the value of the one key that is their first argument and on nothing else: not on
/// the time, on chance or on other keys. Of a change of that value Redis tells. `EXISTS` with more keys is none of
/// them.
const KEPT: [&str; 24] = [
    "GET",
    "HGET",
    "HGETALL",
    "EXISTS",
    "HMGET",
    "HEXISTS",
    "HLEN",
    "HKEYS",
    "HVALS",
    "STRLEN",
    "GETRANGE",
    "GETBIT",
    "BITCOUNT",
    "LLEN",
    "LRANGE",
    "LINDEX",
    "SCARD",
    "SMEMBERS",
    "SISMEMBER",
    "SMISMEMBER",
    "ZCARD",
    "ZSCORE",
    "ZRANGE",
    "TYPE",
];

/// The place of `GET`.
const GET: u8 = 0;

/// What a cached handle does with a command that only reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read<'a> {
    /// Its reply may be kept.
    Kept(Query<'a>),
    /// `MGET`: as a `GET` of each key.
    Several,
    /// It goes to the server.
    Other,
}

/// A command whose reply may be kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query<'a> {
    /// Its place in [`KEPT`].
    command: u8,
    pub(crate) key: &'a [u8],
    /// None for a `GET` that stands for a part of an `MGET`.
    cmd: Option<&'a Cmd>,
}

impl PartialEq for Query<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.form() == other.form()
    }
}

impl Eq for Query<'_> {}

impl<'a> Read<'a> {
    #[inline]
    pub(crate) fn of(cmd: &'a Cmd) -> Self {
        if cmd.is_no_response() {
            return Self::Other;
        }
        let mut args = cmd.args_iter();
        let (Some(Arg::Simple(name)), Some(Arg::Simple(key))) = (args.next(), args.next()) else {
            return Self::Other;
        };
        if name.eq_ignore_ascii_case(b"MGET") {
            return Self::Several;
        }
        let Some(command) = KEPT.iter().position(|known| name.eq_ignore_ascii_case(known.as_bytes())) else {
            return Self::Other;
        };
        let rest = args.len();
        if rest > 0 && matches!(KEPT[command], "GET" | "EXISTS") {
            return Self::Other;
        }
        // The list is shorter.
        let command = u8::try_from(command).unwrap_or(u8::MAX);
        Self::Kept(Query { command, key, cmd: Some(cmd) })
    }
}

impl<'a> Query<'a> {
    /// A `GET` of this key.
    pub(crate) fn get(key: &'a [u8]) -> Self {
        Self { command: GET, key, cmd: None }
    }

    /// The command as it is sent.
    pub(crate) fn to_cmd(self) -> Cmd {
        self.cmd.cloned().unwrap_or_else(|| {
            let mut get = redis::cmd("GET");
            get.arg(self.key);
            get
        })
    }

    /// What follows the key.
    fn rest(self) -> impl Iterator<Item = &'a [u8]> {
        self.cmd.into_iter().flat_map(|cmd| cmd.args_iter().skip(2)).map(|arg| match arg {
            Arg::Simple(bytes) => bytes,
            // A cursor is a number; none of these commands has one.
            _ => b"0",
        })
    }

    pub(crate) fn form(self) -> Form {
        let mut rest = Vec::new();
        for arg in self.rest() {
            rest.extend_from_slice(&arg.len().to_le_bytes());
            rest.extend_from_slice(arg);
        }
        Form { command: self.command, rest: rest.into_boxed_slice() }
    }
}

/// A command without its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    command: u8,
    /// Each argument behind the key, after its length.
    rest: Box<[u8]>,
}

impl Form {
    #[inline]
    pub(super) fn is_of(&self, query: Query<'_>) -> bool {
        if self.command != query.command {
            return false;
        }
        if self.command == GET {
            return true;
        }
        let mut left = &*self.rest;
        for arg in query.rest() {
            let after = left.strip_prefix(&arg.len().to_le_bytes()).and_then(|left| left.strip_prefix(arg));
            match after {
                Some(after) => left = after,
                None => return false,
            }
        }
        left.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.rest.len()
    }
}

#[cfg(test)]
mod tests;
