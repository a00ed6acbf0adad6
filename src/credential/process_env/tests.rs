use super::*;

#[test]
fn what_is_missing_is_named_and_empty_is_missing() {
    let env = ProcessEnv::of_pairs(&[("A", "1"), ("B", ""), ("C", "3")]);
    assert_eq!(env.all(["A", "C"], "x").unwrap(), ["1", "3"]);
    let error = env.all(["A", "B", "D"], "a test").unwrap_err().to_string();
    assert_eq!(error, "`B`, `D` is missing for a test");
}
