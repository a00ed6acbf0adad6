//! Commands that their name alone does not tell all about: those with subcommands, and those with an option on which
//! it depends what they do to the connection.

use super::keys::arguments;
use redis::Cmd;
use std::iter;

/// What besides its name decides which row of the table is a command's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Words {
    /// Nothing.
    Name,
    /// The subcommand, if it has a row of its own.
    Subcommand,
    /// Whether `BLOCK` is among its options, which begin at this argument.
    BlockOption(u8),
    /// Whether a `SHUTDOWN` waits for replicas that lag behind, on its connection alone.
    ShutdownOptions,
}

impl Words {
    /// The word that a row of its own is looked for by.
    pub(super) fn of(self, cmd: &Cmd) -> Option<&[u8]> {
        let mut args = arguments(cmd).skip(1);
        match self {
            Self::Name => None,
            Self::Subcommand => args.next(),
            Self::BlockOption(from) => asks_to_block(cmd, from.into()).then_some(b"BLOCK"),
            Self::ShutdownOptions => {
                args.find(|option| option.eq_ignore_ascii_case(b"NOW") || option.eq_ignore_ascii_case(b"ABORT"))
            }
        }
    }
}

fn asks_to_block(cmd: &Cmd, from: usize) -> bool {
    let is = |option: &[u8], name: &[u8]| option.eq_ignore_ascii_case(name);
    read_options(cmd, from)
        .find(|(_, option)| is(option, b"BLOCK") || is(option, b"STREAMS"))
        .is_some_and(|(_, option)| is(option, b"BLOCK"))
}

/// Where the keys of an `XREAD` or `XREADGROUP` begin, if it has some.
pub(super) fn streams(cmd: &Cmd) -> Option<usize> {
    let (at, _) = read_options(cmd, 1).find(|(_, option)| option.eq_ignore_ascii_case(b"STREAMS"))?;
    Some(at + 1)
}

/// The options of an `XREAD`, `XREADGROUP` or `TS.READ` and their places, read as Redis reads them: in any order, each
/// with the values that belong to it, whatever these are called. `STREAMS` is the last one: keys and ids follow it, and
/// are taken for options here.
fn read_options(cmd: &Cmd, from: usize) -> impl Iterator<Item = (usize, &[u8])> {
    const OF_ONE_VALUE: [&[u8]; 6] = [b"BLOCK", b"COUNT", b"CLAIM", b"MAXCOUNT", b"MAXSIZE", b"MAX_COUNT"];
    let mut args = arguments(cmd).enumerate().skip(from);
    iter::from_fn(move || {
        let (at, option) = args.next()?;
        let is = |name: &[u8]| option.eq_ignore_ascii_case(name);
        let values = if is(b"GROUP") { 2 } else { usize::from(OF_ONE_VALUE.into_iter().any(is)) };
        args.by_ref().take(values).for_each(drop);
        Some((at, option))
    })
}
