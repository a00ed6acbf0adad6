//! A page, its code blocks and its tables.

use std::{
    fs,
    path::{Path, PathBuf},
};

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) struct Page {
    /// From the root of the repository.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// A code block: what stands behind its first backticks, and what is in it.
pub(crate) struct Block<'a> {
    pub(crate) path: &'a Path,
    /// The number of its first line in the page.
    pub(crate) line: usize,
    pub(crate) language: &'a str,
    /// The words after the language: `run`, `file:main.tf`.
    pub(crate) marks: Vec<&'a str>,
    pub(crate) text: String,
}

impl Block<'_> {
    /// Whether it has this mark: `run`, or `run:…`.
    pub(crate) fn mark(&self, name: &str) -> Option<&str> {
        self.marks.iter().find_map(|mark| match mark.split_once(':') {
            Some((key, value)) => (key == name).then_some(value),
            None => (*mark == name).then_some(""),
        })
    }

    pub(crate) fn place(&self) -> String {
        format!("{}:{}", self.path.display(), self.line)
    }
}

impl Page {
    pub(crate) fn open(path: &str) -> Self {
        Self { path: path.into(), text: read(path) }
    }

    pub(crate) fn blocks(&self) -> Vec<Block<'_>> {
        let mut blocks = Vec::new();
        let mut open: Option<Block<'_>> = None;
        for (number, line) in self.text.lines().enumerate() {
            match (&mut open, line.strip_prefix("```")) {
                (None, Some(info)) => {
                    // Rust blocks have commas there.
                    let mut words = info.split([' ', ',']);
                    let language = words.next().unwrap_or_default();
                    let marks = words.collect();
                    open = Some(Block { path: &self.path, line: number + 2, language, marks, text: String::new() });
                }
                (Some(_), Some("")) => blocks.extend(open.take()),
                (Some(block), _) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a code block without an end", self.path.display());
        blocks
    }

    /// The cells of all rows below this head of a table.
    pub(crate) fn table(&self, head: &str) -> Vec<Vec<&str>> {
        let mut lines = self.text.lines().skip_while(|line| *line != head);
        assert!(lines.next().is_some(), "{}: no table `{head}`", self.path.display());
        // The line under the head.
        let rows = lines.skip(1).take_while(|line| line.starts_with('|'));
        rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
    }
}

/// The README and every page of the guide.
pub(crate) fn all() -> Vec<Page> {
    let paths = fs::read_dir(root().join("src/guide")).unwrap().map(|entry| entry.unwrap().path());
    let pages = paths.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let mut names: Vec<_> =
        pages.map(|path| format!("src/guide/{}", path.file_name().unwrap().to_str().unwrap())).collect();
    names.sort();
    assert!(names.len() > 10, "{names:?}");
    names.push("README.md".to_owned());
    names.iter().map(|name| Page::open(name)).collect()
}

/// Whether each bracket has its other one.
pub(crate) fn brackets_fit(text: &str) -> bool {
    let mut open = Vec::new();
    for c in text.chars() {
        match c {
            '(' => open.push(')'),
            '[' => open.push(']'),
            '{' => open.push('}'),
            ')' | ']' | '}' if open.pop() != Some(c) => return false,
            _ => {}
        }
    }
    open.is_empty()
}
