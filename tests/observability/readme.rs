//! The README's tables, so that they cannot part from the code.

const README: &str = include_str!("../../README.md");

/// The cells of the table with this head, without their backticks.
pub(crate) fn table(head: &str) -> Vec<Vec<String>> {
    let mut lines = README.lines().skip_while(|line| *line != head);
    assert!(lines.next().is_some(), "the README has no table `{head}`");
    // The line under the head.
    let rows = lines.skip(1).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect()).collect()
}
