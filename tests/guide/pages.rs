//! The pages as a whole: that each is listed, that links lead somewhere, that the README is short.

use crate::page::{self, Page, read, root};
use std::collections::BTreeSet;

#[test]
fn every_page_is_in_the_list_and_in_the_readme() {
    let list = read("src/guide/mod.rs");
    let readme = read("README.md");
    for page in page::all() {
        let Some(name) = page.path.strip_prefix("src/guide").ok().and_then(|path| path.file_stem()) else {
            continue;
        };
        let name = name.to_str().unwrap();
        assert!(list.contains(&format!("pub mod {name} {{}}")), "{name} has no module");
        assert!(list.contains(&format!("| [`{name}`] |")), "{name} is not in the list at the top");
        assert!(readme.contains(&format!("(src/guide/{name}.md)")), "the README has no link to {name}");
    }
}

/// Crates.io and docs.rs show it to people who decide within a minute.
#[test]
fn the_readme_is_short() {
    let length = read("README.md").len();
    assert!(length <= 10 << 10, "the README has {length} bytes");
}

#[test]
fn links_within_the_repository_lead_somewhere() {
    for page in page::all() {
        let folder = page.path.parent().unwrap();
        for target in targets(&page) {
            if target.contains("://") || target.starts_with("crate::") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let place = page.path.display();
            assert!(path.is_empty() || root().join(folder).join(path).exists(), "{place}: {target}");
            if path.is_empty() {
                assert!(anchors(&page).contains(anchor), "{place}: {target}");
            }
        }
    }
}

/// What stands in round brackets behind square ones.
fn targets(page: &Page) -> impl Iterator<Item = &str> {
    page.text.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

/// Of its headings.
fn anchors(page: &Page) -> BTreeSet<String> {
    let headings = page.text.lines().filter_map(|line| line.strip_prefix('#'));
    let anchor = |heading: &str| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        heading.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
    };
    headings.map(anchor).collect()
}

/// A page shows a file as it is, so that what is tried is what is read.
#[test]
fn files_are_shown_as_they_are() {
    let mut shown = BTreeSet::new();
    for page in page::all() {
        for block in page.blocks() {
            if let Some(file) = block.mark("file") {
                assert!(block.text == read(format!("src/guide/files/{file}")), "{} is not {file}", block.place());
                shown.insert(file.to_owned());
            }
        }
    }
    let linked = Page::open("src/guide/observability.md");
    for entry in root().join("src/guide/files").read_dir().unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(shown.contains(&name) || linked.text.contains(&format!("files/{name}")), "no page shows {name}");
    }
}
