use super::*;

#[test]
fn a_mark_is_in_the_slot_that_it_is_for() {
    for number in [0, 1, 12_182, 16_383] {
        let slot = Slot::new(number).unwrap();
        assert_eq!(Slot::of(mark_in(slot).as_bytes()), slot);
    }
}
