//! Commands of which the name alone does not say all: those with subcommands, and those with an option on which it
//! depends what they do to the connection.

use super::{keys::arguments, name::Name};
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
    /// The word behind the name under which the command may have a row of its own.
    pub(super) fn of(self, cmd: &Cmd) -> Option<&[u8]> {
        let mut args = arguments(cmd).skip(1);
        match self {
            Self::Name => None,
            Self::Subcommand => args.next(),
            Self::BlockOption(from) => block_value(cmd, from.into()).map(|_| b"BLOCK".as_slice()),
            Self::ShutdownOptions => {
                args.find(|option| option.eq_ignore_ascii_case(b"NOW") || option.eq_ignore_ascii_case(b"ABORT"))
            }
        }
    }
}

const BLOCK: Option<Name> = Name::of(b"BLOCK");
const STREAMS: Option<Name> = Name::of(b"STREAMS");

/// Where the value of a `BLOCK` is that is among the options from this argument on, if there is such.
pub(super) fn block_value(cmd: &Cmd, from: usize) -> Option<usize> {
    let (at, option) = read_options(cmd, from).find(|(_, option)| *option == BLOCK || *option == STREAMS)?;
    (option == BLOCK).then_some(at + 1)
}

/// Where the keys of an `XREAD` or `XREADGROUP` begin, if it has some.
pub(super) fn streams(cmd: &Cmd) -> Option<usize> {
    let (at, _) = read_options(cmd, 1).find(|(_, option)| *option == STREAMS)?;
    Some(at + 1)
}

/// The options of an `XREAD`, `XREADGROUP` or `TS.READ` and their places, read as Redis reads them: in any order, each
/// with the values that belong to it, whatever these are called. `STREAMS` is the last one: keys and ids follow it, and
/// are taken for options here.
fn read_options(cmd: &Cmd, from: usize) -> impl Iterator<Item = (usize, Option<Name>)> {
    const GROUP: Option<Name> = Name::of(b"GROUP");
    const COUNT: Option<Name> = Name::of(b"COUNT");
    const CLAIM: Option<Name> = Name::of(b"CLAIM");
    const MAXCOUNT: Option<Name> = Name::of(b"MAXCOUNT");
    const MAXSIZE: Option<Name> = Name::of(b"MAXSIZE");
    const MAX_COUNT: Option<Name> = Name::of(b"MAX_COUNT");
    let mut args = arguments(cmd).enumerate().skip(from);
    iter::from_fn(move || {
        let (at, option) = args.next()?;
        let option = Name::of(option);
        let values = match option {
            GROUP => 2,
            BLOCK | COUNT | CLAIM | MAXCOUNT | MAXSIZE | MAX_COUNT => 1,
            _ => 0,
        };
        args.by_ref().take(values).for_each(drop);
        Some((at, option))
    })
}
