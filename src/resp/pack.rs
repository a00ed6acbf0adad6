//! Commands in the form in which they travel.

use redis::{Arg, Cmd, Pipeline};
use std::io::Write;

/// Appends the command as [`Cmd::write_packed_command`] does, a `GET` in 0.55 of the time: the queue is locked for so
/// long.
///
/// `cargo bench -p entra-redis-benches --bench micro -- pack`
pub(crate) fn pack(cmd: &Cmd, bytes: &mut Vec<u8>) {
    let (args, before) = (cmd.args_iter(), bytes.len());
    head(bytes, b'*', args.len());
    for arg in args {
        let Arg::Simple(arg) = arg else {
            // A cursor, or what the redis crate may come to know besides.
            bytes.truncate(before);
            return cmd.write_packed_command(bytes);
        };
        head(bytes, b'$', arg.len());
        bytes.extend_from_slice(arg);
        bytes.extend_from_slice(b"\r\n");
    }
}

/// The commands of a pipeline, between `MULTI` and `EXEC` if it is a transaction: what
/// [`Pipeline::get_packed_pipeline`] gives, each command by [`pack`].
pub(crate) fn pack_pipeline(pipeline: &Pipeline) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(pipeline.cmd_iter().map(room_for).sum());
    if pipeline.is_transaction() {
        bytes.extend_from_slice(b"*1\r\n$5\r\nMULTI\r\n");
    }
    for cmd in pipeline.cmd_iter() {
        pack(cmd, &mut bytes);
    }
    if pipeline.is_transaction() {
        bytes.extend_from_slice(b"*1\r\n$4\r\nEXEC\r\n");
    }
    bytes
}

/// About how many bytes a packed command has, rather more than less.
fn room_for(cmd: &Cmd) -> usize {
    /// Of each argument's type, length and ends of lines, up to five digits.
    const FRAME: usize = 10;
    let args = cmd.args_iter();
    FRAME * (args.len() + 1) + args.map(|arg| if let Arg::Simple(bytes) = arg { bytes.len() } else { 0 }).sum::<usize>()
}

/// A type and a length.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "digits fit")]
fn head(bytes: &mut Vec<u8>, kind: u8, length: usize) {
    match length {
        0..10 => bytes.extend_from_slice(&[kind, b'0' + length as u8, b'\r', b'\n']),
        10..100 => {
            let (tens, ones) = (length as u8 / 10, length as u8 % 10);
            bytes.extend_from_slice(&[kind, b'0' + tens, b'0' + ones, b'\r', b'\n']);
        }
        _ => long_head(bytes, kind, length),
    }
}

// Apart, so that the short ones are written in place.
#[inline(never)]
fn long_head(bytes: &mut Vec<u8>, kind: u8, length: usize) {
    bytes.push(kind);
    // A `Vec` takes all that is written.
    _ = write!(bytes, "{length}\r\n");
}

#[cfg(test)]
mod tests;
