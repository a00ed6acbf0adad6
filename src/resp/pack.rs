//! Commands in the form in which they travel.

use redis::{Arg, Cmd};
use std::io::Write;

/// Appends the command as [`Cmd::write_packed_command`] does; a `GET` in 0.55 of its time, which the queue is locked
/// for.
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

/// A type and a length.
#[allow(clippy::cast_possible_truncation, reason = "digits fit")]
fn head(bytes: &mut Vec<u8>, kind: u8, length: usize) {
    match length {
        0..10 => bytes.extend_from_slice(&[kind, b'0' + length as u8, b'\r', b'\n']),
        10..100 => {
            let (tens, ones) = (length as u8 / 10, length as u8 % 10);
            bytes.extend_from_slice(&[kind, b'0' + tens, b'0' + ones, b'\r', b'\n']);
        }
        _ => {
            bytes.push(kind);
            // A `Vec` takes all that is written.
            _ = write!(bytes, "{length}\r\n");
        }
    }
}

#[cfg(test)]
mod tests;
