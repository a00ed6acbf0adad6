//! What a command is: one table, and one look into it for each command.

pub(crate) mod aggregate;
pub(crate) mod cursor;
pub(crate) mod fan_out;
pub(crate) mod guard;
mod keys;
pub(crate) mod lane;
mod name;
mod profile;
mod table;
#[cfg(test)]
mod tests;
pub(crate) mod timeout;
mod words;

pub(crate) use profile::{Profile, profile};

/// A command by its name, a pipeline, or a transaction, as OpenTelemetry's conventions call them.
#[derive(Clone, Copy)]
pub(crate) enum Operation {
    #[cfg_attr(not(feature = "metrics"), expect(dead_code, reason = "only figures have names"))]
    Command(Profile),
    Pipeline,
    Transaction,
}

#[cfg(feature = "metrics")]
impl Operation {
    /// How many places there are.
    pub(crate) const PLACES: usize = table::LEN + 2;

    /// Its name, and its place among all names; none for a command that is not in the table.
    pub(crate) fn name_and_place(self) -> Option<(&'static str, usize)> {
        match self {
            Self::Command(profile) => profile.operation(),
            Self::Pipeline => Some(("PIPELINE", table::LEN)),
            Self::Transaction => Some(("MULTI", table::LEN + 1)),
        }
    }
}
