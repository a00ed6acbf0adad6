//! `entra-redis completions`: for shells.

use crate::failure::Failure;
use clap::{Args, Command};
use clap_complete::Shell;
use std::{
    io::{Write, stdout},
    process::ExitCode,
};

/// Prints a script with which your shell completes this program's commands and options.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// The shell that it is for.
    shell: Shell,
}

const EXAMPLES: &str = "\
Examples:
  entra-redis completions bash > ~/.local/share/bash-completion/completions/entra-redis
  entra-redis completions zsh > \"${fpath[1]}/_entra-redis\"
  entra-redis completions fish > ~/.config/fish/completions/entra-redis.fish";

pub(crate) fn run(options: &Options, program: &mut Command) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, program, "entra-redis", &mut script);
    stdout().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}
