//! What the tests of this room share.

#[cfg(unix)]
mod against_server;

use redis::Cmd;

/// A command from its words.
pub(super) fn cmd(line: &str) -> Cmd {
    let mut words = line.split(' ');
    let mut cmd = redis::cmd(words.next().unwrap());
    words.for_each(|word| _ = cmd.arg(word));
    cmd
}
