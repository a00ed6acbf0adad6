//! The one table of what is known of commands: those of Redis up to version 8.12, those of Redis's modules for JSON,
//! time series, probabilistic structures and search, and what Valkey adds to `CLIENT`.
//!
//! A row of a subcommand, or of a command with a certain option, is there only if it differs from the command's own.

mod collections;
mod keyspace;
mod modules;
mod server;
#[cfg(test)]
mod tests;

use super::{
    aggregate::Aggregate,
    fan_out::FanOut,
    keys::Keys,
    lane::{Effect, Lane},
    name::Name,
    timeout::Timeout,
    words::Words,
};

/// What is known of a command.
///
/// It fills one line of the processor's cache, so that a look fetches no more than this one and the one of the index.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Row {
    name: Name,
    /// The command's name, with the word that tells it from others of the same name if it has a row for that.
    pub(super) text: &'static str,
    pub(super) lane: Lane,
    /// Where one that blocks says for how long.
    pub(super) timeout: Timeout,
    pub(super) is_sliced: bool,
    pub(super) only_reads: bool,
    pub(super) runs_script: bool,
    pub(super) words: Words,
    pub(super) keys: Keys,
    pub(super) fan_out: FanOut,
    /// The place of the row of the command's name alone.
    pub(super) command: u16,
}

const GROUPS: [&[Row]; 4] = [&collections::ROWS, &keyspace::ROWS, &modules::ROWS, &server::ROWS];

/// How many rows there are.
pub(super) const LEN: usize = {
    let [a, b, c, d] = GROUPS;
    a.len() + b.len() + c.len() + d.len()
};

static ROWS: [Row; LEN] = rows();

/// Four places to a row, so that nearly every name is found at the first one that is looked at.
const PLACES: usize = (LEN * 4).next_power_of_two();

/// No row is at this place of the table.
const NO_ROW: u16 = u16::MAX;

/// The rows' places in the table, each where its name's hash points to, or next to that if it is taken.
static INDEX: [u16; PLACES] = index();

/// A command that is not in the table.
///
/// Its first argument is taken for its key: so it is with nearly all commands, and with what modules and later versions
/// bring. To ask the server (`COMMAND GETKEYS`) would cost each such command a round trip, or a table of answers that
/// grows with what callers send and is wrong where keys are counted; Azure need not allow it, either. If the guess is
/// wrong, the server says where the keys are (`MOVED`), and the command is sent there.
pub(super) static UNKNOWN: Row = write("");

/// Nothing at all.
pub(super) static EMPTY: Row = plain("").lane(Lane::Empty);

/// The row of a name, or of a word under the row at a place.
#[inline]
pub(super) fn find(name: Name) -> Option<&'static Row> {
    let mut at = place_of(name);
    loop {
        // It ends: most places have no row.
        let row = ROWS.get(usize::from(INDEX[at % PLACES]))?;
        if row.name.equals(name) {
            return Some(row);
        }
        at += 1;
    }
}

/// The row of a command's name alone.
pub(super) fn command(row: &Row) -> Option<&'static Row> {
    ROWS.get(usize::from(row.command))
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the shift leaves as many bits as a place has")]
const fn place_of(name: Name) -> usize {
    (name.hash() >> (u64::BITS - PLACES.trailing_zeros())) as usize
}

#[expect(clippy::cast_possible_truncation, reason = "the table has fewer rows than `NO_ROW`")]
const fn index() -> [u16; PLACES] {
    assert!(LEN < NO_ROW as usize, "the table is too long");
    let mut index = [NO_ROW; PLACES];
    let mut row = 0;
    while row < LEN {
        let mut at = place_of(ROWS[row].name);
        while index[at % PLACES] != NO_ROW {
            at += 1;
        }
        index[at % PLACES] = row as u16;
        row += 1;
    }
    index
}

/// All groups in one, with the rows of words under those of their commands.
#[expect(clippy::cast_possible_truncation, reason = "the table has fewer rows than `NO_ROW`")]
#[expect(clippy::large_stack_arrays, reason = "it is built by the compiler, and never on a stack")]
const fn rows() -> [Row; LEN] {
    let mut rows = [const { plain("") }; LEN];
    let mut len = 0;
    let mut group = 0;
    while group < GROUPS.len() {
        let mut at = 0;
        while at < GROUPS[group].len() {
            rows[len] = GROUPS[group][at].copy();
            len += 1;
            at += 1;
        }
        group += 1;
    }
    // In the order of the rows, words come behind their command.
    let (mut command, mut at) = (0, 0);
    while at < LEN {
        if let (name, Some(word)) = split(rows[at].text) {
            assert!(named(name).equals(rows[command].name), "a row of a word is not behind its command");
            rows[at].name = named(word).under(command as u16);
        } else {
            command = at;
        }
        rows[at].command = command as u16;
        at += 1;
    }
    rows
}

const fn named(text: &[u8]) -> Name {
    Name::of(text).expect("a name of the table is too long")
}

/// The command's name, and the word behind it if there is one.
const fn split(text: &str) -> (&[u8], Option<&[u8]>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b' ' {
            let (command, word) = bytes.split_at(at);
            return (command, Some(word.split_at(1).1));
        }
        at += 1;
    }
    (bytes, None)
}

/// A command without keys, for any link and one node.
const fn plain(text: &'static str) -> Row {
    Row {
        name: match split(text) {
            // It gets its name when its command's place is known.
            (_, Some(_)) => named(b""),
            (command, None) => named(command),
        },
        text,
        lane: Lane::Shared,
        timeout: Timeout::Unknown,
        is_sliced: false,
        only_reads: false,
        runs_script: false,
        words: Words::Name,
        keys: Keys::None,
        fan_out: FanOut::One,
        command: NO_ROW,
    }
}

/// A command whose first argument is its key.
const fn write(text: &'static str) -> Row {
    plain(text).key(1)
}

/// As [`write`], for one that changes nothing.
const fn read(text: &'static str) -> Row {
    write(text).reads()
}

/// What a row says, in words.
impl Row {
    const fn copy(&self) -> Self {
        Self { ..*self }
    }

    /// It changes nothing, neither data nor the time at which it expires, and its answer is all that it is for.
    const fn reads(self) -> Self {
        Self { only_reads: true, ..self }
    }

    const fn script(self) -> Self {
        Self { runs_script: true, ..self }
    }

    const fn words(self, words: Words) -> Self {
        Self { words, ..self }
    }

    const fn key(self, at: u8) -> Self {
        self.keys(at, at.cast_signed(), 1)
    }

    const fn keys(self, first: u8, last: i8, step: u8) -> Self {
        Self { keys: Keys::Range { first, last, step }, ..self }
    }

    const fn counted(self, at: u8) -> Self {
        Self { keys: Keys::Counted { at, step: 1, also_first: false }, ..self }
    }

    const fn counted_and_first(self, at: u8) -> Self {
        Self { keys: Keys::Counted { at, step: 1, also_first: true }, ..self }
    }

    const fn counted_pairs(self, at: u8) -> Self {
        Self { keys: Keys::Counted { at, step: 2, also_first: false }, ..self }
    }

    const fn streams(self) -> Self {
        Self { keys: Keys::Streams, ..self }
    }

    const fn or_stored(self, from: u8) -> Self {
        Self { keys: Keys::OrStored { from }, ..self }
    }

    const fn migrate(self) -> Self {
        Self { keys: Keys::Migrate, ..self }
    }

    const fn lane(self, lane: Lane) -> Self {
        Self { lane, ..self }
    }

    const fn blocks(self) -> Self {
        self.lane(Lane::Own(Effect::Blocks))
    }

    const fn blocks_for(self, timeout: Timeout) -> Self {
        Self { is_sliced: true, ..self.blocks_whole_for(timeout) }
    }

    /// As [`blocks_for`](Self::blocks_for), for one that cannot be asked again.
    const fn blocks_whole_for(self, timeout: Timeout) -> Self {
        Self { timeout, ..self.blocks() }
    }

    const fn changes_state(self) -> Self {
        self.lane(Lane::Own(Effect::ChangesState))
    }

    const fn of_one(self) -> Self {
        self.lane(Lane::Own(Effect::IsOfOne))
    }

    const fn refused(self, effect: Effect) -> Self {
        self.lane(Lane::Refused(effect))
    }

    const fn split(self, each: u8, gather: Aggregate) -> Self {
        Self { fan_out: FanOut::Split { each, last: false, gather }, ..self }
    }

    const fn split_with_last(self, gather: Aggregate) -> Self {
        Self { fan_out: FanOut::Split { each: 1, last: true, gather }, ..self }
    }

    const fn primaries(self, gather: Aggregate) -> Self {
        Self { fan_out: FanOut::Primaries(gather), ..self }
    }

    const fn scan(self, cursor: u8) -> Self {
        Self { fan_out: FanOut::Scan(cursor), ..self }
    }

    const fn cursor(self, at: u8) -> Self {
        Self { fan_out: FanOut::Cursor(at), ..self }
    }

    const fn slot(self, at: u8) -> Self {
        Self { fan_out: FanOut::Slot(at), ..self }
    }
}
