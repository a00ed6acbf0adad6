//! What a command is.

pub(crate) mod aggregate;
pub(crate) mod guard;
pub(crate) mod reads;

/// A command by its name, a pipeline, or a transaction, as OpenTelemetry's conventions call them.
#[derive(Clone, Copy)]
pub(crate) enum Operation<'a> {
    Command(&'a [u8]),
    Pipeline,
    Transaction,
}
