use super::*;

#[test]
fn it_holds_for_as_long_as_the_server_answers() {
    let limit = 1_000;
    let coverage = Coverage::from(Moment(10));
    assert!(coverage.holds(Moment(1_009), limit));
    assert!(!coverage.holds(Moment(1_010), limit));
    coverage.told(Moment(500));
    assert!(coverage.holds(Moment(1_499), limit));
    // An answer that is overtaken takes nothing back.
    coverage.told(Moment(400));
    assert!(coverage.holds(Moment(1_499), limit));
}

#[test]
fn one_that_is_lost_never_holds_again() {
    let coverage = Coverage::from(Moment(10));
    let next = coverage.succeed();
    coverage.told(Moment(20));
    assert!(!coverage.holds(Moment(21), 1_000));
    assert!(next.holds(Moment(21), 1_000));
    assert!(!next.holds(Moment(1_010), 1_000), "it knows no more than the one before");
}
