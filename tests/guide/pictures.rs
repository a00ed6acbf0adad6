//! The guide's pictures. `make pictures` draws them; otherwise those in the repository are compared with what is drawn
//! here, so that nobody edits them by hand.

use crate::page::{read, root};
use std::{env, fmt::Write, fs};

const INK: &str = "#24292f";
const PALE: &str = "#6e7781";
const OLD: &str = "#54aeff";
const NEW: &str = "#4ac26b";
const AUTH: &str = "#fb8f44";
const EMPTY: &str = "#eaeef2";

/// A picture of lines, each an element, without empty ones: in a page of Markdown an empty line ends it.
struct Picture(String);

impl Picture {
    fn new(width: u32, height: u32, title: &str) -> Self {
        let mut svg = String::new();
        _ = writeln!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             style=\"max-width:100%\" font-family=\"sans-serif\" font-size=\"13\" role=\"img\">"
        );
        _ = writeln!(svg, "<title>{title}</title>");
        // Pages are light or dark.
        _ = writeln!(svg, "<rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"#ffffff\"></rect>");
        Self(svg)
    }

    fn bar(&mut self, (x, y): (u32, u32), (width, height): (u32, u32), fill: &str) {
        _ = writeln!(
            self.0,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"3\" fill=\"{fill}\"></rect>"
        );
    }

    fn words(&mut self, (x, y): (u32, u32), anchor: &str, fill: &str, words: &str) {
        _ = writeln!(self.0, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\" fill=\"{fill}\">{words}</text>");
    }

    fn line(&mut self, (x1, y1): (u32, u32), (x2, y2): (u32, u32), dashes: &str) {
        _ = writeln!(
            self.0,
            "<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\" stroke=\"{PALE}\" stroke-dasharray=\"{dashes}\"></line>"
        );
    }

    fn arrow(&mut self, (x, y): (u32, u32), length: u32) {
        let (end, tip) = (x + length, x + length - 7);
        self.line((x, y), (end, y), "none");
        _ = writeln!(
            self.0,
            "<polygon points=\"{end},{y} {tip},{} {tip},{}\" fill=\"{PALE}\"></polygon>",
            y - 4,
            y + 4
        );
    }

    fn end(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }
}

/// Two tokens, and how the second one reaches four links while commands go on.
fn rotation() -> String {
    const LEFT: u32 = 110;
    const LIFE: u32 = 560;
    const RIGHT: u32 = 830;
    let (due, dead) = (LEFT + LIFE * 7 / 10, LEFT + LIFE);
    let mut picture = Picture::new(860, 300, "A new token reaches each link in turn, while commands go on");

    picture.words((LEFT - 10, 47), "end", INK, "token 1");
    picture.bar((LEFT, 32), (due - LEFT, 20), OLD);
    picture.bar((due, 32), (dead - due, 20), "#b6e3ff");
    picture.words((LEFT + 10, 47), "start", INK, "0.7 of its life");
    picture.words((dead + 6, 47), "start", PALE, "expires");
    picture.words((LEFT - 10, 81), "end", INK, "token 2");
    picture.bar((due, 66), (RIGHT - due, 20), NEW);
    picture.words((due + 10, 81), "start", INK, "fetched; the next one is due at 0.7 of its life");
    picture.line((due, 22), (due, 252), "4 4");
    picture.line((dead, 22), (dead, 252), "4 4");

    for link in 0..4 {
        let (y, auth) = (112 + link * 34, due + 14 + link * 36);
        picture.words((LEFT - 10, y + 15), "end", INK, &format!("link {}", link + 1));
        picture.bar((LEFT, y), (auth - LEFT, 20), OLD);
        picture.bar((auth, y), (34, 20), AUTH);
        picture.bar((auth + 34, y), (RIGHT - auth - 34, 20), NEW);
        picture.words((auth + 17, y + 14), "middle", INK, "<tspan font-size=\"10\">AUTH</tspan>");
        picture.words((LEFT + 10, y + 15), "start", INK, "commands");
        picture.words((RIGHT - 10, y + 15), "end", INK, "commands");
    }
    picture.words(
        (LEFT, 276),
        "start",
        PALE,
        "While a link waits for the answer to its AUTH, commands go over the others. No link is closed.",
    );
    picture.end()
}

/// Tasks, the links that carry their commands, and who looks after the links.
fn pool() -> String {
    let mut picture = Picture::new(860, 330, "Tasks share the links of a pool, which are filled in order");
    for task in 0..8 {
        let y = 50 + task * 24;
        picture.bar((40, y - 9), (70, 18), EMPTY);
        picture.words((75, y + 4), "middle", INK, "task");
        picture.line((110, y), (190, 134), "none");
    }
    picture.bar((190, 112), (90, 44), EMPTY);
    picture.words((235, 131), "middle", INK, "handle,");
    picture.words((235, 147), "middle", INK, "its clones");

    let links = [
        (350, OLD, "link 1: filled first, so that batches are large"),
        (0, AUTH, "link 2: AUTH with the new token; commands go around it"),
        (90, OLD, "link 3: takes what link 1 has no room for"),
        (0, OLD, "link 4: idle, ready when one is lost"),
    ];
    for (y, (filled, fill, words)) in (40..).step_by(54).zip(links) {
        picture.line((280, 134), (330, y + 14), "none");
        picture.bar((330, y), (380, 28), EMPTY);
        picture.bar((330, y), (if filled == 0 { 8 } else { filled }, 28), fill);
        picture.words((342, y + 44), "start", PALE, words);
        picture.arrow((710, y + 14), 40);
    }
    picture.bar((750, 32), (70, 216), EMPTY);
    picture.words((785, 144), "middle", INK, "Redis");

    picture.bar((190, 276), (130, 30), EMPTY);
    picture.words((255, 296), "middle", INK, "token actor");
    picture.arrow((320, 291), 60);
    picture.bar((380, 276), (130, 30), EMPTY);
    picture.words((445, 296), "middle", INK, "keeper");
    picture.words((520, 296), "start", PALE, "opens, re-authenticates and replaces the links");
    picture.words((180, 296), "end", PALE, "renews the token");
    picture.end()
}

#[test]
fn pictures_are_as_they_are_drawn() {
    for (name, drawn) in [("rotation", rotation()), ("pool", pool())] {
        let path = format!("src/guide/pictures/{name}.svg");
        assert!(!drawn.contains("\n\n"));
        if env::var("GUIDE_PICTURES").is_ok_and(|what| what == "write") {
            fs::write(root().join(&path), &drawn).unwrap();
        }
        assert!(read(&path) == drawn, "{path} is not as it is drawn: `make pictures` writes it");
    }
}
