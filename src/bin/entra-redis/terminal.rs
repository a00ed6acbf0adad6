//! Colour, lines that are redrawn, and Ctrl-C.

use std::{
    env,
    fmt::Display,
    io::{self, IsTerminal, Write, stderr, stdout},
};

/// How standard output, or standard error, is written to.
#[derive(Clone, Copy)]
pub(crate) struct Screen {
    /// Whether somebody looks at it, on a terminal that can move its cursor.
    is_live: bool,
    is_coloured: bool,
}

#[derive(Clone, Copy)]
pub(crate) enum Colour {
    Green,
    Yellow,
    Red,
    Cyan,
    Grey,
}

impl Colour {
    fn code(self) -> u8 {
        match self {
            Self::Red => 31,
            Self::Green => 32,
            Self::Yellow => 33,
            Self::Cyan => 36,
            Self::Grey => 90,
        }
    }
}

pub(crate) fn of_output() -> Screen {
    Screen::new(&stdout())
}

pub(crate) fn of_errors() -> Screen {
    Screen::new(&stderr())
}

impl Screen {
    fn new(stream: &impl IsTerminal) -> Self {
        let is_live = stream.is_terminal() && env::var_os("TERM").is_none_or(|term| term != "dumb");
        // https://no-color.org: set, and not empty.
        let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { is_live, is_coloured: is_live && !unwanted }
    }

    pub(crate) fn is_live(self) -> bool {
        self.is_live
    }

    pub(crate) fn paint(self, colour: Colour, text: &str) -> String {
        if self.is_coloured { format!("\x1b[{}m{text}\x1b[0m", colour.code()) } else { text.to_owned() }
    }
}

/// Lines at the bottom of a terminal, which each drawing writes over.
#[derive(Default)]
pub(crate) struct Lines {
    drawn: usize,
}

impl Lines {
    pub(crate) fn draw(&mut self, out: &mut impl Write, lines: &[String]) -> io::Result<()> {
        if self.drawn > 0 {
            write!(out, "\x1b[{}A", self.drawn)?;
        }
        for line in lines {
            writeln!(out, "\r\x1b[2K{line}")?;
        }
        // Whatever stood below, such as `^C`, or a line that there is no more.
        write!(out, "\x1b[J")?;
        self.drawn = lines.len();
        out.flush()
    }
}

/// A line on standard error. Where nobody reads that, nobody is told; `eprintln!` would panic.
pub(crate) fn note(line: impl Display) {
    _ = writeln!(stderr(), "{line}");
}

/// Waits for Ctrl-C, or for what a supervisor sends.
pub(crate) async fn interrupted() -> io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminated = signal(SignalKind::terminate())?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => result,
            _ = terminated.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

/// A number for people, with commas between thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
