use super::*;
use crate::cluster::topology::tests::topology_of as topology;
use proptest::prelude::*;

fn address(host: &str) -> NodeAddress {
    NodeAddress::new(host, 1)
}

fn slot(number: u16) -> Slot {
    Slot::new(number).unwrap()
}

/// A map whose nodes are the numbers in which they were made.
fn map(ranges: &[(u16, u16, &str)]) -> SlotMap<u32> {
    SlotMap::empty().rebuilt(&topology(ranges), &[], counter(0))
}

fn counter(mut next: u32) -> impl FnMut(&NodeAddress) -> u32 {
    move |_| {
        next += 1;
        next
    }
}

fn hosts(members: &[Member<u32>]) -> Vec<&str> {
    members.iter().map(|member| member.address.host()).collect()
}

#[test]
fn slots_lead_to_their_owners() {
    let map = map(&[(0, 99, "a"), (100, 199, "b"), (300, 16_383, "a")]);
    assert_eq!((map.get(slot(99)), map.get(slot(100))), (Some(&1), Some(&2)));
    assert_eq!((map.get(slot(200)), map.get(slot(16_383))), (None, Some(&1)));
    assert_eq!(map.covered(), 100 + 100 + 16_084);
    assert_eq!(map.members()[0].ranges(), [(slot(0), slot(99)), (slot(300), slot(16_383))]);
    assert_eq!(map.members()[1].ranges(), [(slot(100), slot(199))]);
    assert_eq!(SlotMap::<u32>::empty().get(slot(0)), None);
}

#[test]
fn nodes_that_stay_are_the_same_and_new_ones_are_made() {
    let old = map(&[(0, 99, "a"), (100, 199, "b")]);
    let new = old.rebuilt(&topology(&[(0, 49, "c"), (50, 199, "b")]), &[], counter(10));
    assert_eq!((new.get(slot(0)), new.get(slot(50))), (Some(&11), Some(&2)));
    // A node without slots stays until it is told to be gone: a refresh may have been wrong.
    assert_eq!((hosts(new.members()), hosts(new.primaries())), (vec!["c", "b", "a"], vec!["c", "b"]));
    let newest = new.rebuilt(&topology(&[(0, 49, "c"), (50, 199, "b")]), &[address("a")], counter(20));
    assert_eq!(hosts(newest.members()), ["c", "b"]);
    assert_eq!(newest.get(slot(0)), Some(&11));
}

#[test]
fn a_hint_makes_a_new_map_and_leaves_the_old_one() {
    let old = map(&[(0, 99, "a"), (100, 199, "b")]);
    let [a, b, c] = ["a", "b", "c"].map(address);
    let new = old.with_moved([(slot(0), &c), (slot(1), &c), (slot(5000), &b), (slot(2), &a)], counter(10)).unwrap();
    assert_eq!((new.get(slot(0)), new.get(slot(1)), new.get(slot(2))), (Some(&11), Some(&11), Some(&1)));
    assert_eq!((new.get(slot(5000)), old.get(slot(5000)), old.get(slot(0))), (Some(&2), None, Some(&1)));
    assert_eq!(hosts(new.primaries()), ["c", "a", "b"]);
    assert!(old.with_moved([(slot(0), &a), (slot(150), &b)], counter(10)).is_none());
}

#[test]
fn a_fingerprint_tells_who_owns_what_and_nothing_else() {
    let ranges = [(0, 99, "a"), (100, 199, "b")];
    let old = map(&ranges);
    assert_eq!(old.fingerprint(), map(&ranges).fingerprint());
    assert_ne!(old.fingerprint(), map(&[(0, 99, "a"), (100, 199, "c")]).fingerprint());
    assert_ne!(old.fingerprint(), map(&[(0, 98, "a"), (100, 199, "b")]).fingerprint());
    let lone = old.rebuilt(&topology(&[(0, 199, "a")]), &[], counter(10));
    assert_eq!(lone.members().len(), 2);
    assert_eq!(lone.fingerprint(), map(&[(0, 199, "a")]).fingerprint());
}

#[test]
fn a_slot_moved_twice_at_once_is_where_it_went_last() {
    let old = map(&[(0, 99, "a"), (100, 199, "b")]);
    let [a, b] = ["a", "b"].map(address);
    let new = old.with_moved([(slot(0), &b), (slot(0), &a)], counter(10)).unwrap();
    assert_eq!(new.get(slot(0)), Some(&1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    #[test]
    fn a_map_says_what_its_topology_says(
        given in proptest::collection::vec((0..16_384_u16, 0..3000_u16, "[a-f]"), 0..20),
        moved in proptest::collection::vec((0..16_384_u16, "[a-h]"), 0..20),
    ) {
        let ranges: Vec<_> =
            given.iter().map(|(start, length, host)| (*start, (start + length).min(16_383), &**host)).collect();
        let topology = topology(&ranges);
        let map = map(&ranges);
        let covered = Slot::all().filter(|slot| topology.owner(*slot).is_some()).count();
        prop_assert_eq!(map.covered(), covered);
        for slot in Slot::all() {
            prop_assert_eq!(map.owner(slot).map(|owner| &owner.address), topology.owner(slot));
        }
        prop_assert!(map.primaries().windows(2).all(|pair| pair[0].lowest() < pair[1].lowest()));
        let moved: Vec<_> = moved.iter().map(|(number, host)| (slot(*number), address(host))).collect();
        let expected = topology.with_owners(moved.clone());
        let map = map.with_moved(moved.iter().map(|(slot, to)| (*slot, to)), counter(100)).unwrap_or(map);
        for slot in Slot::all() {
            prop_assert_eq!(map.owner(slot).map(|owner| &owner.address), expected.owner(slot));
        }
        let ranges: usize = map
            .members()
            .iter()
            .flat_map(Member::ranges)
            .map(|(start, end)| end.index() - start.index() + 1)
            .sum();
        prop_assert_eq!(ranges, map.covered());
    }
}
