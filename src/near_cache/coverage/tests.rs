use super::*;
use std::time::{Duration, UNIX_EPOCH};

fn moment(micros: u64) -> Moment {
    Moment::of(UNIX_EPOCH + Duration::from_micros(micros))
}

#[test]
fn it_holds_for_as_long_as_the_server_answers() {
    let limit = 1_000;
    let coverage = Coverage::from(moment(10));
    assert!(coverage.holds(moment(1_009), limit));
    assert!(!coverage.holds(moment(1_010), limit));
    coverage.told(moment(500));
    assert!(coverage.holds(moment(1_499), limit));
}

#[test]
fn by_a_clock_that_was_set_back_it_holds_once_the_server_has_answered_again() {
    let limit = 1_000;
    let coverage = Coverage::from(moment(5_000));
    assert!(!coverage.holds(moment(4_999), limit));
    coverage.told(moment(3_000));
    assert!(coverage.holds(moment(3_999), limit));
    assert!(!coverage.holds(moment(4_000), limit));
}

#[test]
fn one_that_is_lost_never_holds_again() {
    let coverage = Coverage::from(moment(10));
    let next = coverage.succeed();
    coverage.told(moment(20));
    assert!(!coverage.holds(moment(21), 1_000));
    assert!(next.holds(moment(21), 1_000));
    assert!(!next.holds(moment(1_010), 1_000), "it knows no more than the one before");
}

#[test]
fn it_knows_which_slots_have_been_read() {
    let coverage = Coverage::from(moment(0));
    assert_eq!(coverage.slots().count(), 0);
    for slot in [0, 63, 64, 16_383, 16_384] {
        coverage.note_slot(slot);
    }
    let words: Vec<_> = coverage.slots().collect();
    assert_eq!((words.len(), words[0], words[1], words[255]), (256, 1 | 1 << 63, 1, 1 << 63));
    assert_eq!(words.iter().map(|word| word.count_ones()).sum::<u32>(), 4);
    assert_eq!(coverage.succeed().slots().count(), 0);
}
