//! Which arguments of a command are keys.

#[cfg(test)]
mod tests;

use redis::{Arg, Cmd};

/// Where the keys of a command are among its arguments, the name being the argument at 0. For a shard channel
/// (`SSUBSCRIBE`), and for the index of `FT.AGGREGATE`, whose cursor is on one node, it is where these are: they decide
/// the node as a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    None,
    /// From `first` to `last`, each `step` arguments behind the one before. A `last` below 0 is counted from the end:
    /// -1 is the last argument.
    Range {
        first: u8,
        last: i8,
        step: u8,
    },
    /// As many as the argument at `at` says, behind it, each `step` arguments behind the one before; besides, the first
    /// argument if that is `also_first`.
    Counted {
        at: u8,
        step: u8,
        also_first: bool,
    },
    /// The first half of what follows `STREAMS`; ids are the other one.
    Streams,
    /// The first argument, and what follows the last `STORE` or `STOREDIST` from the argument at `from` on.
    OrStored {
        from: u8,
    },
    /// The third argument, or, if that is empty, all that follows `KEYS`.
    Migrate,
}

/// Places of keys, from which the keys are read in one pass.
#[derive(Clone, Copy)]
struct Places {
    first: usize,
    /// Behind the last one.
    end: usize,
    step: usize,
    /// One more, outside of these; 0 for none.
    other: usize,
}

impl Places {
    const NONE: Self = Self { first: 1, end: 1, step: 1, other: 0 };

    fn has(self, at: usize) -> bool {
        let in_range = at >= self.first && at < self.end && (at - self.first).is_multiple_of(self.step);
        in_range || (at == self.other && at != 0)
    }
}

impl Keys {
    /// The keys of a command in their order; of one that is malformed, those that can be made out.
    pub(super) fn of(self, cmd: &Cmd) -> impl Iterator<Item = &[u8]> {
        self.places_of(cmd).map(|(_, key)| key)
    }

    /// The same, each with its place among the arguments.
    pub(super) fn places_of(self, cmd: &Cmd) -> impl Iterator<Item = (usize, &[u8])> + Clone {
        let places = self.places(cmd);
        let until = places.end.max(places.other + 1);
        arguments(cmd).take(until).enumerate().filter(move |(at, _)| places.has(*at))
    }

    fn places(self, cmd: &Cmd) -> Places {
        let len = cmd.args_iter().len();
        match self {
            Self::None => Places::NONE,
            Self::Range { first, last, step } => {
                let last = isize::from(last);
                let end = if last < 0 { len.saturating_add_signed(last + 1) } else { last.unsigned_abs() + 1 };
                Places { first: first.into(), end, step: step.into(), other: 0 }
            }
            Self::Counted { at, step, also_first } => {
                let (at, step) = (usize::from(at), usize::from(step));
                let end = number(cmd, at).and_then(|count| count.checked_mul(step)?.checked_add(at + 1));
                // Redis refuses a number larger than that of its arguments, at any node: the command has no keys here.
                let end = end.filter(|end| *end <= len).unwrap_or(0);
                Places { first: at + 1, end, step, other: usize::from(also_first) }
            }
            Self::Streams => {
                let Some(first) = super::words::streams(cmd) else {
                    return Places::NONE;
                };
                Places { first, end: first + len.saturating_sub(first) / 2, step: 1, other: 0 }
            }
            Self::OrStored { from } => {
                let stored = stored(cmd, from.into()).unwrap_or(0);
                Places { first: 1, end: 2, step: 1, other: stored }
            }
            Self::Migrate => {
                if arguments(cmd).nth(3).is_some_and(|key| !key.is_empty()) {
                    return Places { first: 3, end: 4, step: 1, other: 0 };
                }
                let keys = arguments(cmd).enumerate().skip(6).find(|(_, word)| word.eq_ignore_ascii_case(b"KEYS"));
                keys.map_or(Places::NONE, |(at, _)| Places { first: at + 1, end: len, step: 1, other: 0 })
            }
        }
    }
}

/// Where the key behind the last `STORE` or `STOREDIST` is. The value of another option is neither, whatever it says.
fn stored(cmd: &Cmd, from: usize) -> Option<usize> {
    let mut args = arguments(cmd).enumerate().skip(from);
    let mut stored = None;
    while let Some((at, option)) = args.next() {
        let is = |name: &[u8]| option.eq_ignore_ascii_case(name);
        let stores = is(b"STORE") || is(b"STOREDIST");
        if stores {
            stored = Some(at + 1);
        }
        let values = if is(b"LIMIT") { 2 } else { usize::from(stores || is(b"BY") || is(b"GET")) };
        args.by_ref().take(values).for_each(drop);
    }
    stored
}

/// The arguments of a command, its name being the first.
pub(super) fn arguments(cmd: &Cmd) -> impl Iterator<Item = &[u8]> + Clone {
    cmd.args_iter().map(|arg| match arg {
        Arg::Simple(bytes) => bytes,
        // A cursor is a number. Those who look for names, keys and options need to know no more of it.
        _ => b"0",
    })
}

fn number(cmd: &Cmd, at: usize) -> Option<usize> {
    str::from_utf8(arguments(cmd).nth(at)?).ok()?.parse().ok()
}
