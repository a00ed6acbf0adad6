use super::*;
use crate::cluster::topology::tests::topology_of;
use proptest::{collection::vec, prelude::*};
use std::collections::BTreeSet;

fn slot(number: u16) -> Slot {
    Slot::new(number).unwrap()
}

fn map(ranges: &[(u16, u16, &str)]) -> SlotMap<String> {
    SlotMap::empty().rebuilt(&topology_of(ranges), &[], |address| address.host().to_owned())
}

/// One step of a scan: who was asked with what, and the next cursor, if the node answers with `answer`.
fn step(positions: &mut Positions, cursor: u64, map: &SlotMap<String>, answer: u64) -> (String, u64, u64) {
    let position = positions.resume(cursor, map).unwrap().unwrap();
    let asked = map.get(position.slot).unwrap().clone();
    let next = positions.advance(position, answer, map);
    (asked, position.cursor, next)
}

/// Goes on with the answers, as long as there are some: who was asked with what.
fn scan(positions: &mut Positions, map: &SlotMap<String>, mut cursor: u64, answers: &[u64]) -> (Vec<String>, u64) {
    let mut asked = Vec::new();
    for answer in answers {
        let (host, with, next) = step(positions, cursor, map, *answer);
        asked.push(format!("{host}:{with}"));
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    (asked, cursor)
}

const THREE: [(u16, u16, &str); 5] =
    [(0, 99, "a"), (100, 199, "b"), (200, 299, "a"), (300, 399, "c"), (400, 16_383, "b")];

#[test]
fn nodes_are_scanned_one_after_the_other_to_the_end() {
    let mut positions = Positions::default();
    let (asked, end) = scan(&mut positions, &map(&THREE), 0, &[17, 0, 0, 5, 9, 0, 1]);
    assert_eq!(asked, ["a:0", "a:17", "b:0", "c:0", "c:5", "c:9"]);
    assert_eq!(end, 0);
    assert!(positions.remembered.is_empty());
}

#[test]
fn cursors_fit_signed_numbers_and_are_never_zero_before_the_end() {
    let mut positions = Positions::default();
    let last = map(&[(0, 16_382, "a"), (16_383, 16_383, "b")]);
    for answer in [1, CURSOR_MASK, CURSOR_MASK + 1, u64::MAX] {
        let (_, cursor) = scan(&mut positions, &last, 0, &[answer]);
        assert!(cursor != 0 && i64::try_from(cursor).is_ok());
        assert_eq!(step(&mut positions, cursor, &last, 0).1, answer);
        let (asked, cursor) = scan(&mut positions, &last, cursor, &[0, answer, 0]);
        assert_eq!((asked, cursor), (vec![format!("a:{answer}"), "b:0".to_owned(), format!("b:{answer}")], 0));
    }
    assert_eq!(positions.remembered.len(), 4);
}

#[test]
fn a_cluster_with_gaps_or_without_slots() {
    let mut positions = Positions::default();
    let gaps = map(&[(50, 99, "b"), (200, 299, "a")]);
    assert_eq!(scan(&mut positions, &gaps, 0, &[0, 0, 0]), (vec!["b:0".to_owned(), "a:0".to_owned()], 0));
    assert_eq!(positions.resume(0, &map(&[])).unwrap(), None);
}

#[test]
fn a_remembered_cursor_can_be_used_again_until_it_is_forgotten() {
    let mut positions = Positions::default();
    let map = map(&THREE);
    let (_, first) = scan(&mut positions, &map, 0, &[u64::MAX]);
    for _ in 0..2 {
        assert_eq!(positions.resume(first, &map).unwrap().unwrap().cursor, u64::MAX);
    }
    let last = (1..REMEMBERED).map(|n| scan(&mut positions, &map, 0, &[u64::MAX - n as u64]).1).last().unwrap();
    assert!(positions.resume(first, &map).is_ok());
    let newest = scan(&mut positions, &map, 0, &[u64::MAX]).1;
    let error = positions.resume(first, &map).unwrap_err();
    assert!(error.to_string().contains("begin again"), "{error}");
    assert!(positions.resume(last, &map).is_ok() && positions.resume(newest, &map).is_ok());
    assert_eq!(positions.remembered.len(), REMEMBERED);
    // One that is not given out yet, and one of another process.
    assert!(positions.resume(newest + 1, &map).is_err());
    assert!(Positions::default().resume(newest, &map).is_err());
}

#[test]
fn numbers_of_remembered_cursors_go_round() {
    let mut positions = Positions { oldest: TICKET_MASK, remembered: VecDeque::new() };
    let map = map(&THREE);
    let cursors: Vec<_> = (0..3).map(|n| scan(&mut positions, &map, 0, &[u64::MAX - n]).1).collect();
    for (n, cursor) in (0..).zip(cursors) {
        assert_eq!(positions.resume(cursor, &map).unwrap().unwrap().cursor, u64::MAX - n);
    }
}

#[test]
fn after_a_change_what_is_left_is_scanned_from_its_beginning() {
    let mut positions = Positions::default();
    let (asked, cursor) = scan(&mut positions, &map(&THREE), 0, &[0, 7]);
    assert_eq!(asked, ["a:0", "b:0"]);
    // The replica of `b` has taken its place, and `c` has a slot below the position now.
    let changed =
        map(&[(0, 49, "a"), (50, 50, "c"), (51, 99, "a"), (100, 199, "d"), (200, 299, "a"), (300, 16_383, "c")]);
    let (asked, end) = scan(&mut positions, &changed, cursor, &[3, 0, 0, 4, 0]);
    assert_eq!((asked, end), (["d:0", "d:3", "a:0", "c:0", "c:4"].map(str::to_owned).to_vec(), 0));
}

#[test]
fn a_slot_that_nobody_serves_any_more_is_passed_over() {
    let mut positions = Positions::default();
    let (_, cursor) = scan(&mut positions, &map(&[(0, 99, "a"), (100, 199, "b"), (200, 299, "c")]), 0, &[0, 7]);
    let (asked, end) = scan(&mut positions, &map(&[(0, 99, "a"), (200, 299, "c")]), cursor, &[0]);
    assert_eq!((asked, end), (vec!["c:0".to_owned()], 0));
    assert_eq!(positions.resume(cursor, &map(&[(0, 99, "a")])).unwrap(), None);
}

/// Nodes for the slots, in stretches of 2,048.
fn owners() -> impl Strategy<Value = Vec<u8>> {
    vec(0..5_u8, 8)
}

fn map_of(owners: &[u8]) -> SlotMap<String> {
    let names = ["", "a", "b", "c", "d"];
    let ranges: Vec<_> = (0..).zip(owners).filter(|(_, owner)| **owner > 0).collect();
    map(&ranges.iter().map(|(n, owner)| (n * 2048, n * 2048 + 2047, names[usize::from(**owner)])).collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Each node has pages 0 (cursor 0), 1 and 2. A slot that has one owner all the time is seen on all pages of it.
    #[test]
    fn no_slot_is_missed_while_owners_change(
        maps in vec(owners(), 1..4), changes in vec(1..9_usize, 3), first in prop_oneof![Just(1_u64), Just(1 << 40)]
    ) {
        let pages = [0, first, first + 1];
        let maps: Vec<_> = maps.iter().map(|owners| map_of(owners)).collect();
        let mut positions = Positions::default();
        let mut seen = BTreeSet::new();
        let (mut cursor, mut current, mut steps) = (0, 0, 0);
        loop {
            if changes.get(current).is_some_and(|after| steps >= *after) && current + 1 < maps.len() {
                (current, steps) = (current + 1, 0);
            }
            let map = &maps[current];
            let Some(position) = positions.resume(cursor, map).unwrap() else { break };
            let asked = map.get(position.slot).unwrap();
            let page = pages.iter().position(|page| *page == position.cursor).unwrap();
            let owned = (0..8).filter(|stretch| map.get(slot(stretch * 2048)) == Some(asked));
            seen.extend(owned.map(|stretch| (asked.clone(), stretch, page)));
            cursor = positions.advance(position, pages.get(page + 1).copied().unwrap_or(0), map);
            steps += 1;
            if cursor == 0 { break }
        }
        let used = &maps[..=current];
        for stretch in 0..8_u16 {
            let owner = |map: &SlotMap<String>| map.get(slot(stretch * 2048)).cloned();
            if used.iter().all(|map| owner(map) == owner(&used[0])) && let Some(name) = owner(&used[0]) {
                for page in 0..3 {
                    prop_assert!(seen.contains(&(name.clone(), stretch, page)), "{} of {}, page {}", stretch, name, page);
                }
            }
        }
    }

    #[test]
    fn any_cursor_is_a_position_or_an_error(cursor: u64, owners in owners()) {
        let map = map_of(&owners);
        let mut positions = Positions::default();
        if let Ok(Some(position)) = positions.resume(cursor, &map) {
            prop_assert!(map.get(position.slot).is_some());
            let next = positions.advance(position, 0, &map);
            prop_assert!(next == 0 || next >> SLOT_SHIFT > u64::from(position.slot.number()));
        }
    }
}

/// The cursor for a turn that begins once more at slot 0 must not look like the end, whatever the map's fingerprint is.
#[test]
fn a_position_is_never_the_end() {
    let mut positions = Positions::default();
    let begin = Position { slot: Slot::MIN, cursor: 0, base: Slot::MIN, fingerprint: 0 };
    let cursor = positions.again(begin);
    assert_ne!(cursor, 0);
    assert_eq!(positions.decode(cursor).unwrap(), begin);
}
