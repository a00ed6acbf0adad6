//! What a command is, found with one look.

#[cfg(test)]
mod tests;

use super::{
    fan_out::FanOut,
    keys::arguments,
    lane::Lane,
    name::Name,
    table::{self, Row},
    timeout::{Blocks, Timeout},
    words::Words,
};
use redis::Cmd;
use std::time::Duration;

/// What is known of a command: its row in the table.
#[derive(Clone, Copy)]
pub(crate) struct Profile(&'static Row);

/// Looks a command up by its name, in any case, and by its subcommand or option where it depends on that. It allocates
/// nothing: every command comes by here.
#[inline]
pub(crate) fn profile(cmd: &Cmd) -> Profile {
    let Some(name) = arguments(cmd).next() else {
        return Profile(&table::EMPTY);
    };
    let row = match Name::short(name) {
        Some(name) => table::find(name),
        None => by_long_name(name),
    };
    match row {
        Some(row) if row.words == Words::Name => Profile(row),
        Some(row) => Profile(by_word(row, cmd)),
        None => Profile(&table::UNKNOWN),
    }
}

// Apart, so that a short name pays nothing for it.
#[inline(never)]
fn by_long_name(name: &[u8]) -> Option<&'static Row> {
    table::find(Name::of(name)?)
}

/// The row of what the command says besides its name, or else of its name.
#[inline(never)]
fn by_word(row: &'static Row, cmd: &Cmd) -> &'static Row {
    let word = row.words.of(cmd).and_then(Name::of);
    word.and_then(|word| table::find(word.under(row.command))).unwrap_or(row)
}

impl Profile {
    /// Which link may carry it.
    #[inline]
    pub(crate) fn lane(self) -> Lane {
        self.0.lane
    }

    /// Whether it goes over any link as it is, and is no step of an iteration; so are nearly all.
    #[inline]
    pub(crate) fn is_plain(self) -> bool {
        self.lane() == Lane::Shared && self.cursor().is_none()
    }

    /// Whether it blocks for a time that it says, and may be asked again: those are sent in slices, over a link that
    /// nobody else uses meanwhile.
    pub(crate) fn is_sliced(self) -> bool {
        self.0.is_sliced
    }

    /// For how long it blocks; none if it does not, or if what it says is no timeout.
    pub(crate) fn blocks(self, cmd: &Cmd) -> Option<Blocks> {
        self.0.timeout.of(cmd)
    }

    /// How long it may block at the most: not at all if Redis refuses what it says, and the longest time that there is
    /// if that means for ever, or nobody knows for how long.
    pub(crate) fn longest(self, cmd: &Cmd) -> Duration {
        match self.blocks(cmd) {
            Some(blocks) => blocks.limit().unwrap_or(Duration::MAX),
            None if self.0.timeout == Timeout::Unknown => Duration::MAX,
            None => Duration::ZERO,
        }
    }

    /// Whether it changes nothing, however often it runs. One that is not known is taken to change something.
    #[inline]
    pub(crate) fn only_reads(self) -> bool {
        self.0.only_reads
    }

    /// Whether its first argument is only taken for its key, because nobody here knows the command.
    pub(crate) fn guesses_keys(self) -> bool {
        std::ptr::eq(self.0, &raw const table::UNKNOWN)
    }

    /// Whether it runs a script or a function.
    pub(crate) fn runs_script(self) -> bool {
        self.0.runs_script
    }

    /// What it is called in figures, without a subcommand, and the place of that among the table's rows; none if it is
    /// not in the table.
    #[cfg(feature = "metrics")]
    pub(crate) fn operation(self) -> Option<(&'static str, usize)> {
        Some((table::command(self.0)?.text, self.0.command.into()))
    }

    /// Its name, with its subcommand if it has one in the table. Nothing of it comes from the caller, whose other
    /// arguments may be secrets.
    pub(crate) fn full_name(self) -> &'static str {
        match table::command(self.0) {
            Some(command) if command.words != Words::Subcommand => command.text,
            _ => self.0.text,
        }
    }

    /// Those of its arguments that decide which node of a cluster has it, in their order.
    pub(crate) fn keys(self, cmd: &Cmd) -> impl Iterator<Item = &[u8]> {
        self.0.keys.of(cmd)
    }

    /// The same, each with the place that it has among the arguments, the name being at 0.
    pub(crate) fn key_places(self, cmd: &Cmd) -> impl Iterator<Item = (usize, &[u8])> + Clone {
        self.0.keys.places_of(cmd)
    }

    /// Where its cursor stands, if it is a step of an iteration over what one server has.
    #[inline]
    pub(crate) fn cursor(self) -> Option<usize> {
        match self.0.fan_out {
            FanOut::Cursor(at) | FanOut::Scan(at @ 1) => Some(at.into()),
            _ => None,
        }
    }

    /// Which nodes of a cluster it goes to, and what becomes of their replies.
    pub(crate) fn fan_out(self) -> FanOut {
        self.0.fan_out
    }
}
