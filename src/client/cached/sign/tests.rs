use super::*;
use crate::{cluster::slot::Slot, near_cache::Store};
use std::time::Duration;

fn slots(slots: &[u16]) -> SlotSet {
    SlotSet::of(slots.iter().filter_map(|slot| Slot::new(*slot)))
}

fn info(state: &str, epoch: u64) -> Value {
    let text = format!("cluster_state:{state}\r\ncluster_current_epoch:9\r\ncluster_my_epoch:{epoch}\r\n");
    Value::BulkString(text.into_bytes())
}

fn asked() -> Both {
    let limits = crate::near_cache::Limits { max_bytes: 0, ttl: Duration::ZERO, max_staleness: Duration::ZERO };
    Store::new(limits).moment()
}

#[test]
fn what_has_been_read_counts_whether_or_not_the_node_had_it_at_the_last_sign() {
    let asked = asked();
    let read = Coverage::from(asked.wall);
    let sign = |has: &[u16]| Sign::of_cluster(asked, &info("ok", 1), slots(has)).unwrap();
    assert!(!sign(&[]).has_not(&read), "nothing has been read");
    read.note_slot(7);
    // The signs before and after say the same: it had the slot between them.
    assert!(sign(&[5, 6]).has_not(&read));
    assert!(!sign(&[5, 7]).has_not(&read), "a slot that goes of which nothing has been read is nobody's loss");
    assert!(!Sign { asked, slots: None, epoch: None }.has_not(&read), "there are no slots but in a cluster");
}

#[test]
fn slots_that_come_may_have_been_away() {
    let asked = asked();
    let sign = |info: &Value| Sign::of_cluster(asked, info, slots(&[7])).unwrap();
    let (before, same, after) = (sign(&info("ok", 1)), sign(&info("ok", 1)), sign(&info("ok", 2)));
    assert!(!same.has_changed_since(&before, asked) && after.has_changed_since(&before, asked));
    let silent = sign(&Value::Nil);
    assert!(!silent.has_changed_since(&before, asked) && !after.has_changed_since(&silent, asked));
    assert!(Sign::of_cluster(asked, &info("fail", 1), slots(&[7])).is_none());
}

#[test]
fn a_clock_that_has_been_set_back_is_noticed() {
    let before = asked();
    let sign = Sign { asked: before, slots: None, epoch: None };
    let later = Both { monotonic: before.monotonic + Duration::from_secs(1), ..before };
    assert!(sign.has_changed_since(&sign, later) && !sign.has_changed_since(&sign, before));
}
