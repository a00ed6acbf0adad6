//! The tables of the guide's page, so that they cannot part from the code.

const PAGE: &str = include_str!("../../src/guide/observability.md");

/// The cells of the table with this head, without their backticks.
pub(crate) fn table(head: &str) -> Vec<Vec<String>> {
    let mut lines = PAGE.lines().skip_while(|line| *line != head);
    assert!(lines.next().is_some(), "the page has no table `{head}`");
    // The line under the head.
    let rows = lines.skip(1).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect()).collect()
}
