//! The texts of errors that pages quote stand in the code.

use crate::page::{self, Page, root};
use std::{fs, path::Path};

/// Everything under `src/` but the guide and tests, as one text, without what parts a text in the code: line ends
/// within a string, and the backticks that pages leave out.
fn sources() -> String {
    fn add(folder: &Path, all: &mut String) {
        let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                if name != "guide" {
                    add(&path, all);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests.rs" {
                all.push_str(&fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut all = String::new();
    add(&root().join("src"), &mut all);
    let mut joined = String::new();
    let mut rest = all.as_str();
    while let Some((before, after)) = rest.split_once("\\\n") {
        joined.push_str(before);
        rest = after.trim_start();
    }
    joined.push_str(rest);
    joined.replace('`', "")
}

/// What stands between backticks.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Whether a string of the code has these parts in this order. `…` may be anything within one string.
fn is_there(sources: &str, text: &str) -> bool {
    let parts: Vec<_> = text.split('…').map(str::trim).filter(|part| !part.is_empty()).collect();
    let (first, others) = parts.split_first().expect("a text has words");
    sources.match_indices(first).any(|(at, _)| {
        let rest = &sources[at + first.len()..];
        let mut rest = &rest[..rest.find('"').unwrap_or(rest.len())];
        others.iter().all(|part| match rest.split_once(part) {
            Some((_, after)) => {
                rest = after;
                true
            }
            None => false,
        })
    })
}

/// A code of Microsoft Entra ID is a number there.
fn is_known(sources: &str, text: &str) -> bool {
    match text.strip_prefix("AADSTS") {
        Some(number) => {
            sources.split(|c: char| !c.is_ascii_digit() && c != '_').any(|word| word.replace('_', "") == number)
        }
        None => is_there(sources, text),
    }
}

#[test]
fn every_text_that_a_page_explains_is_one_of_ours() {
    let sources = sources();
    let troubleshooting = Page::open("src/guide/troubleshooting.md");
    let headings: Vec<_> =
        troubleshooting.text.lines().filter_map(|line| line.strip_prefix("### ")).flat_map(quoted).collect();
    assert!(headings.len() > 40, "{headings:?}");
    let unknown: Vec<_> = headings.iter().filter(|text| !is_known(&sources, text)).collect();
    assert!(unknown.is_empty(), "not in the code: {unknown:#?}");

    let readme = Page::open("README.md");
    let rows = readme.table("| error | what to do |");
    assert_eq!(rows.len(), 8, "the README has the eight that people meet most");
    for text in rows.iter().flat_map(|row| quoted(row[0])) {
        assert!(headings.iter().any(|heading| heading.starts_with(text.trim_end_matches([' ', '…', ':']))), "{text}");
    }
}

#[test]
fn a_text_that_has_gone_is_noticed() {
    let sources = sources();
    assert!(is_known(&sources, "AADSTS7000215") && !is_known(&sources, "AADSTS7999999"));
    assert!(is_there(&sources, "cannot resolve the host name of …"));
    assert!(!is_there(&sources, "cannot resolve the hostname of …"));
    assert!(!is_there(&sources, "cannot resolve the host name of … pool_size"), "not within one string");
}

/// Names of settings, methods and variables that pages have in backticks and that look like ours.
#[test]
fn settings_that_a_page_names_are_there() {
    let sources = sources();
    for page in page::all() {
        let prose: String = page.text.split("```").step_by(2).collect();
        for name in quoted(&prose).filter(|name| {
            let is_path = name.starts_with("Config::") || name.starts_with("Credential::") || name.starts_with("Tls::");
            is_path && !name.ends_with("::…") && name.chars().all(|c| c.is_alphanumeric() || ":_()…".contains(c))
        }) {
            let function = name.split("::").nth(1).and_then(|rest| rest.split('(').next()).unwrap();
            assert!(sources.contains(&format!("pub fn {function}")), "{}: {name}", page.path.display());
        }
    }
}
