//! Commands that their name alone does not tell all about: those with subcommands, and those with an option on which
//! it depends what they do to the connection.

use super::keys::arguments;
use redis::Cmd;

/// What besides its name decides which row of the table is a command's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Words {
    /// Nothing.
    Name,
    /// The subcommand, if it has a row of its own.
    Subcommand,
    /// Whether a read of streams has `BLOCK` among its options.
    StreamOptions,
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
            Self::StreamOptions => asks_to_block(cmd).then_some(b"BLOCK"),
            Self::ShutdownOptions => {
                args.find(|option| option.eq_ignore_ascii_case(b"NOW") || option.eq_ignore_ascii_case(b"ABORT"))
            }
        }
    }
}

/// Whether an `XREAD` or `XREADGROUP` has `BLOCK` among its options.
fn asks_to_block(cmd: &Cmd) -> bool {
    let is = |option: &[u8], name: &[u8]| option.eq_ignore_ascii_case(name);
    stream_options(cmd)
        .find(|(_, option)| is(option, b"BLOCK") || is(option, b"STREAMS"))
        .is_some_and(|(_, option)| is(option, b"BLOCK"))
}

/// Where the keys of an `XREAD` or `XREADGROUP` begin, if it has some.
pub(super) fn streams(cmd: &Cmd) -> Option<usize> {
    let (at, _) = stream_options(cmd).find(|(_, option)| option.eq_ignore_ascii_case(b"STREAMS"))?;
    Some(at + 1)
}

/// The options of an `XREAD` or `XREADGROUP` and their places, read as Redis reads them: in any order, each with the
/// values that belong to it, whatever these are called. `STREAMS` is the last one: keys and ids follow it, and are
/// taken for options here.
fn stream_options(cmd: &Cmd) -> impl Iterator<Item = (usize, &[u8])> {
    let mut args = arguments(cmd).enumerate().skip(1);
    std::iter::from_fn(move || {
        let (at, option) = args.next()?;
        let is = |name: &[u8]| option.eq_ignore_ascii_case(name);
        let values = if is(b"GROUP") { 2 } else { usize::from(is(b"BLOCK") || is(b"COUNT") || is(b"CLAIM")) };
        args.by_ref().take(values).for_each(drop);
        Some((at, option))
    })
}
