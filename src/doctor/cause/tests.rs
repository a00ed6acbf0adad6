use super::Cause;
use std::collections::BTreeSet;

const PAGE: &str = include_str!("../../guide/doctor.md");

/// The first cells of the page's tables of causes, each of which is a cause in backticks.
fn on_the_page() -> Vec<&'static str> {
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter(|row| row.split(" | ").count() == 3).filter_map(|row| row.split('`').next()).collect()
}

#[test]
fn the_guide_explains_each_cause_once_and_no_other() {
    let listed = on_the_page();
    let named: BTreeSet<_> = Cause::ALL.iter().map(|cause| cause.name()).collect();
    let explained: BTreeSet<_> = listed.iter().copied().collect();
    assert_eq!(named.len(), Cause::ALL.len(), "two causes have one name");
    assert_eq!(explained.len(), listed.len(), "the page has two rows for one cause");
    let missing: Vec<_> = named.difference(&explained).collect();
    let gone: Vec<_> = explained.difference(&named).collect();
    assert!(missing.is_empty() && gone.is_empty(), "not on the page: {missing:?}; no cause any more: {gone:?}");
}

#[test]
fn a_name_is_that_of_the_cause_in_the_code() {
    for cause in Cause::ALL {
        let words = cause.name().split('_').map(|word| format!("{}{}", word[..1].to_uppercase(), &word[1..]));
        assert_eq!(words.collect::<String>(), format!("{cause:?}"));
    }
}
