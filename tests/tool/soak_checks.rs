//! What `entra-redis soak` counts as a fault, by histories that have one, and that have none.

#[path = "../../src/bin/entra-redis/soak/blocking/elements.rs"]
mod elements;
#[path = "../../src/bin/entra-redis/soak/pubsub/heard.rs"]
mod heard;
#[path = "../../src/bin/entra-redis/soak/transactions/log.rs"]
mod log;
#[path = "../../src/bin/entra-redis/soak/cached/versions.rs"]
mod versions;

use elements::Elements;
use heard::{Gap, Heard, Verdict};
use log::{Disagreement, Log};
use std::time::{Duration, Instant, SystemTime};
use versions::Versions;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
}

/// A channel over which a message a second was sent, number 1 in the first second.
fn sent(numbers: impl IntoIterator<Item = u64>) -> Heard {
    let mut heard = Heard::default();
    for number in numbers {
        heard.sending(number, at(number));
        heard.sent(number, at(number), true);
    }
    heard
}

fn gap(from: u64, until: u64, may_repeat: bool) -> Gap {
    Gap { from: at(from), until: at(until), may_repeat }
}

fn missing(numbers: &[u64]) -> Verdict {
    Verdict { missing: numbers.to_vec(), ..Verdict::default() }
}

#[test]
fn messages_in_order_are_right() {
    let mut heard = sent(1..=50);
    for number in 1..=50 {
        assert_eq!(heard.message(number), Verdict::default(), "{number}");
    }
    assert!(heard.has_heard(50) && !heard.has_heard(51));
}

#[test]
fn a_hole_that_no_gap_tells_of_is_missing() {
    let mut heard = sent(1..=50);
    heard.message(1);
    assert_eq!(heard.message(5), missing(&[2, 3, 4]));
    assert_eq!(heard.message(6), Verdict::default(), "it is told once");
    // One that tells of another time, before or after.
    heard.gap(gap(7, 9, false));
    assert_eq!(heard.message(20), missing(&(10..20).collect::<Vec<_>>()));
    heard.gap(gap(40, 41, false));
    assert_eq!(heard.message(40), missing(&(21..35).collect::<Vec<_>>()), "what was on its way may be lost as well");
}

#[test]
fn the_first_messages_may_be_missing_as_little_as_others() {
    assert_eq!(sent(1..=9).message(3), missing(&[1, 2]));
}

#[test]
fn a_hole_within_a_gap_is_told() {
    let mut heard = sent(1..=50);
    heard.message(1);
    heard.gap(gap(2, 9, false));
    assert_eq!(heard.message(6), Verdict::default());
    assert_eq!(heard.message(10), Verdict::default(), "it is still that gap");
    assert_eq!(heard.message(12), missing(&[11]), "it is over");
}

#[test]
fn a_gap_that_comes_after_the_hole_is_too_late() {
    let mut heard = sent(1..=9);
    heard.message(1);
    assert_eq!(heard.message(4), missing(&[2, 3]));
    heard.gap(gap(2, 3, false));
    assert_eq!(heard.message(5), Verdict::default());
}

#[test]
fn a_message_that_comes_again_is_twice() {
    let mut heard = sent(1..=9);
    for number in 1..=5 {
        heard.message(number);
    }
    for number in [5, 2] {
        assert!(heard.message(number).is_twice, "{number}");
    }
    heard.gap(gap(1, 5, false));
    assert!(heard.message(5).is_twice, "no gap but one of a handover explains that");
    assert!(heard.history().contains("the greatest is 5"));
    heard.gap(gap(1, 5, true));
    assert_eq!(heard.message(5), Verdict { is_again: true, ..Verdict::default() });
    assert!(heard.message(77).is_twice, "it was never sent");
}

#[test]
fn a_message_behind_later_ones_is_out_of_order() {
    let mut heard = sent(1..=9);
    heard.message(1);
    heard.gap(gap(1, 9, false));
    heard.message(4);
    assert_eq!(heard.message(2), Verdict { is_out_of_order: true, ..Verdict::default() });
    assert!(heard.message(2).is_twice);
    heard.gap(gap(3, 3, true));
    assert_eq!(heard.message(3), Verdict::default(), "it comes from elsewhere");
}

#[test]
fn a_message_whose_sending_failed_may_come_late_once_or_never() {
    let mut heard = sent([1, 4]);
    heard.sending(2, at(2));
    heard.sending(3, at(3));
    heard.sending(5, at(5));
    heard.message(1);
    assert_eq!(heard.message(4), Verdict::default());
    assert_eq!(heard.message(2), Verdict::default());
    assert!(heard.message(2).is_twice);
    heard.not_sent(5);
    assert!(heard.message(5).is_twice, "it was certainly not sent");
}

#[test]
fn what_passes_between_nodes_may_be_lost_there() {
    let mut heard = sent([1, 3]);
    heard.sending(2, at(2));
    heard.sent(2, at(2), false);
    heard.message(1);
    assert_eq!(heard.message(3), Verdict { lost_between_nodes: 1, ..Verdict::default() });
    assert_eq!(heard.message(2), Verdict::default(), "two connections between nodes keep no order");
    assert!(heard.message(2).is_twice);
}

/// So many elements, pushed.
fn pushed(count: u64) -> Elements {
    let mut elements = Elements::default();
    for number in 0..count {
        assert_eq!(elements.pushing(), number);
        elements.pushed(number);
    }
    elements
}

fn lost(elements: &Elements) -> Vec<u64> {
    elements.missing().map(|(number, _)| number).collect()
}

#[test]
fn an_element_that_nobody_gets_is_lost() {
    let mut elements = pushed(3);
    for number in [0, 2] {
        assert!(elements.take(number, 7));
        elements.settle(number);
    }
    assert_eq!(lost(&elements), [1]);
}

#[test]
fn an_element_that_comes_again_is_twice() {
    let mut elements = pushed(3);
    assert!(elements.take(0, 7) && elements.is_taken(0) && !elements.is_taken(1));
    assert!(!elements.take(0, 7), "the same consumer is told of it twice");
    assert!(!elements.take(0, 8), "another one is");
    assert!(!elements.find(0, 8), "another one finds it");
    elements.settle(0);
    assert!(!elements.take(0, 7) && !elements.find(0, 7), "it was removed");
    assert!(!elements.take(77, 7), "it was never pushed");
}

#[test]
fn an_element_whose_removal_failed_is_found_again() {
    let mut elements = pushed(1);
    assert!(elements.take(0, 7) && elements.find(0, 7) && elements.find(0, 7));
    elements.settle(0);
    assert_eq!(lost(&elements), [0_u64; 0]);
}

#[test]
fn an_element_of_which_nobody_was_told_is_found() {
    let mut elements = pushed(1);
    assert!(elements.find(0, 7));
    assert!(!elements.take(0, 8));
}

#[test]
fn an_element_whose_push_failed_may_come_once_or_never() {
    let mut elements = Elements::default();
    let (perhaps, never) = (elements.pushing(), elements.pushing());
    elements.not_pushed(never);
    assert_eq!(lost(&elements), [0_u64; 0]);
    assert!(elements.take(perhaps, 7) && !elements.take(perhaps, 7) && !elements.take(never, 7));
}

#[test]
fn what_a_server_has_lost_explains_what_was_then_and_nothing_else() {
    let mut elements = pushed(3);
    assert!(elements.take(0, 7));
    elements.settle(0);
    assert!(elements.take(1, 7));
    let (never, always) = (|_: Instant| false, |_: Instant| true);
    assert!(!elements.take_after_loss(0, 8, never) && !elements.take_after_loss(1, 8, never));
    assert!(
        !elements.may_have_gone(1, never) && elements.may_have_gone(1, always) && !elements.may_have_gone(2, always)
    );
    assert!(elements.take_after_loss(0, 8, always), "its removal is lost");
    assert!(elements.take_after_loss(1, 8, always), "that it was taken is");
    assert!(!elements.take(0, 9) && !elements.take(1, 9), "once");
    assert!(!elements.take_after_loss(77, 7, always), "it was never pushed");
    let until = Instant::now();
    let after = elements.pushing();
    elements.pushed(after);
    assert!(elements.take(after, 7) && !elements.take_after_loss(after, 8, |moment| moment < until));
    let left: Vec<_> = elements.missing().filter(|(_, pushed)| *pushed < until).map(|(number, _)| number).collect();
    assert_eq!(left, [2], "nobody has got it");
}

/// What two tasks have written, three transactions and one.
fn written() -> Log {
    let mut log = Log::new(2);
    for (task, number) in [(0, 0), (0, 1), (1, 0), (0, 2)] {
        assert_eq!(log.next(task), number);
        log.committed(task);
    }
    log
}

/// What the log comes to, if the server has these.
fn compare<const N: usize>(log: &Log, names: [&str; N]) -> Disagreement {
    let mut comparison = log.comparison();
    for name in names {
        comparison.name(name);
    }
    comparison.end().0
}

#[test]
fn a_log_that_agrees_is_right() {
    assert_eq!(compare(&written(), ["0:0", "1:0", "0:1", "0:2"]), Disagreement::default());
}

#[test]
fn transactions_that_are_missing_twice_or_strange_are_told() {
    let log = written();
    let told = compare(&log, ["0:0", "0:1", "0:1", "0:2"]);
    assert_eq!(told, Disagreement { missing: 1, twice: 1, strange: 0 });
    assert_eq!(told.total(), 2);
    let told = compare(&log, ["0:0", "1:0", "0:1", "0:2", "0:3", "1:1", "2:0", "x"]);
    assert_eq!(told, Disagreement { missing: 0, twice: 0, strange: 4 });
    assert_eq!(compare(&log, []).missing, 4);
    assert_eq!(compare(&log, ["0:0", "1:0", "0:2"]).missing, 1, "in the middle");
    assert_eq!(compare(&log, ["0:0", "1:0", "0:1"]).missing, 1, "at the end");
    assert_ne!(compare(&log, ["0:0", "1:0", "0:2", "0:1"]).total(), 0, "a task commits one after the other");
}

#[test]
fn a_transaction_whose_end_is_unknown_may_be_there_once() {
    let mut log = written();
    log.perhaps_committed(1);
    log.committed(1);
    for right in [&["0:0", "1:0", "0:1", "0:2", "1:2"][..], &["0:0", "1:0", "1:1", "0:1", "0:2", "1:2"]] {
        let mut comparison = log.comparison();
        for name in right {
            comparison.name(name);
        }
        assert_eq!(comparison.end(), (Disagreement::default(), Vec::new()));
    }
    assert_eq!(compare(&log, ["0:0", "1:0", "0:1", "0:2", "1:2", "1:1"]), Disagreement::default(), "late");
    assert_eq!(compare(&log, ["0:0", "1:0", "0:1", "1:1", "1:1", "0:2", "1:2"]).twice, 1);
    assert_eq!(compare(&log, ["0:0", "1:0", "0:1", "0:2", "1:1"]).missing, 1);
}

#[test]
fn of_transactions_that_are_missing_it_is_told_when_they_were_committed() {
    let mut log = written();
    let between = Instant::now();
    log.committed(1);
    let mut comparison = log.comparison();
    for name in ["0:0", "0:1", "0:2"] {
        comparison.name(name);
    }
    let (disagreement, missing) = comparison.end();
    assert_eq!(disagreement, Disagreement { missing: 2, twice: 0, strange: 0 });
    assert_eq!(missing.iter().filter(|moment| **moment < between).count(), 1);
}

#[test]
fn a_read_that_goes_back_or_is_too_old_is_stale() {
    let (second, now) = (Duration::from_secs(1), Instant::now());
    let mut versions = Versions::new(second);
    versions.written(now, 5);
    let floor = versions.floor(now + second);
    assert_eq!(floor, 0, "for so long nobody needs to know");
    assert!(versions.read(now, 4, floor));
    assert_eq!(versions.floor(now + second), 4, "none goes back");
    assert!(!versions.read(now, 3, 4) && versions.read(now, 4, 4));
    let floor = versions.floor(now + second + Duration::from_millis(1));
    assert_eq!(floor, 5, "from now on everybody has to know");
    assert!(!versions.read(now, 4, floor) && versions.read(now + second, 6, floor));
    versions.written(now + 2 * second, 8);
    versions.written(now + 3 * second, 9);
    for (seconds, floor) in [(2.5, 6), (3.0, 6), (3.5, 8), (4.5, 9)] {
        assert_eq!(versions.floor(now + second.mul_f64(seconds)), floor, "after {seconds} s");
    }
    let later = now + 2 * second;
    assert!(!versions.may_be_set_back(5, |moment| moment >= later), "6 was known before");
    assert!(versions.may_be_set_back(8, |moment| moment > later), "9 is lost");
    assert_eq!(versions.floor(now + 9 * second), 8);
    assert!(!versions.may_be_set_back(6, |moment| moment > later));
    assert!(versions.may_be_set_back(0, |_| true), "a server that was started again knows nothing");
    assert_eq!(versions.floor(now + 9 * second), 0);
}
