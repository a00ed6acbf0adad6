//! How the demo is shown: a line for each connection that is redrawn on a terminal, a line for each event elsewhere.

use super::{Options, Tally};
use crate::terminal::{self, Colour, Lines, Screen, grouped};
use entra_redis::{Event, LinkState, LinkStats, Stats};
use std::{
    io::{self, Write, stdout},
    time::{Duration, Instant},
};

/// How often the lines are redrawn.
pub(super) const FRAME: Duration = Duration::from_millis(100);

/// How long a connection is shown as just re-authenticated.
const AFTERGLOW: Duration = Duration::from_millis(600);

pub(super) struct View<'a> {
    is_cluster: bool,
    tally: &'a Tally,
    rotations: u64,
    began: Instant,
    screen: Screen,
    lines: Lines,
    /// The last re-AUTH of each connection.
    reauths: Vec<(u64, Instant)>,
}

impl<'a> View<'a> {
    pub(super) fn new(tally: &'a Tally, options: &Options) -> Self {
        let screen = terminal::of_output();
        let (rotations, is_cluster) = (options.rotations, options.cluster.is_some());
        Self {
            is_cluster,
            tally,
            rotations,
            began: Instant::now(),
            screen,
            lines: Lines::default(),
            reauths: Vec::new(),
        }
    }

    /// On a terminal, how it is now.
    pub(super) fn draw(&mut self, stats: &Stats) -> io::Result<()> {
        if !self.screen.is_live() {
            return Ok(());
        }
        let newest = stats.token.as_ref().map_or(0, |token| token.generation);
        let refresh = stats.token.as_ref().map_or(0.0, |token| token.refresh_in.as_secs_f32());
        let mut lines = vec![
            format!(
                "{:5.1} s   token {}, the next one in {refresh:.1} s   rotation {} of {}",
                self.began.elapsed().as_secs_f32(),
                self.screen.paint(Colour::Cyan, &newest.to_string()),
                stats.counters.rotations,
                self.rotations,
            ),
            format!(
                "          {} commands, {} failed, the slowest took {:.1} ms",
                grouped(self.tally.commands()),
                self.tally.failed(),
                self.tally.slowest_ms(),
            ),
            String::new(),
        ];
        let mut links: Vec<_> = stats.links.iter().collect();
        links.sort_unstable_by_key(|link| (&link.node, link.link));
        lines.extend(links.into_iter().map(|link| self.link(link, newest)));
        self.lines.draw(&mut stdout(), &lines)
    }

    fn link(&self, link: &LinkStats, newest: u64) -> String {
        let is_fresh = self.reauths.iter().any(|(number, at)| *number == link.link && at.elapsed() < AFTERGLOW);
        let (colour, state) = match link.state {
            LinkState::Open if is_fresh => (Colour::Green, "re-authenticated, in use all the while"),
            LinkState::Open if link.generation < newest => (Colour::Yellow, "still on the token before"),
            LinkState::Open => (Colour::Grey, "in use"),
            LinkState::Reauthenticating => (Colour::Yellow, "AUTH under way, commands go around it"),
            _ => (Colour::Red, "down, a new one is being opened"),
        };
        let node = if self.is_cluster { format!("{}  ", link.node) } else { String::new() };
        let (number, generation, reauths) = (link.link, link.generation, link.reauths);
        let bars = self.screen.paint(Colour::Cyan, &"▮".repeat(usize::try_from(reauths).unwrap_or(0).min(12)));
        format!("  link {number:<3} {node}token {generation:<4} {}  {bars}", self.screen.paint(colour, state))
    }

    /// Elsewhere, what has happened.
    pub(super) fn tell(&mut self, event: &Event) -> io::Result<()> {
        if let Event::Reauthenticated { link, .. } = event {
            self.reauths.retain(|(number, _)| number != link);
            self.reauths.push((*link, Instant::now()));
        }
        if self.screen.is_live() {
            return Ok(());
        }
        let mut out = stdout();
        let at = format!("{:5.1} s  ", self.began.elapsed().as_secs_f32());
        match event {
            Event::TokenRefreshed { generation, next_refresh, .. } => {
                let seconds = next_refresh.as_secs_f32();
                writeln!(out, "{at}token {generation} is here; the next is due in {seconds:.1} s")
            }
            Event::Reauthenticated { link, .. } => {
                let (commands, failed) = (self.tally.commands(), self.tally.failed());
                writeln!(out, "{at}  link {link} re-authenticated; {commands} commands so far, {failed} failed")
            }
            Event::LinkDown { link, reason, .. } => writeln!(out, "{at}  link {link} went down: {reason}"),
            _ => Ok(()),
        }
    }
}
