use super::*;

#[test]
fn each_number_has_one_hint() {
    let mut codes: Vec<_> = HINTS.iter().flat_map(|(codes, _)| codes.iter().copied()).collect();
    let count = codes.len();
    codes.sort_unstable();
    codes.dedup();
    assert!(codes.len() == count && count >= 40, "{count}");
}

#[test]
fn a_number_that_nobody_knows_has_none() {
    assert_eq!(hint(1), None);
}
