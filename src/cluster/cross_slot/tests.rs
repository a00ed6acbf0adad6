use super::*;

fn key(command: usize, argument: usize, slot: u16) -> KeyPlace {
    KeyPlace { command, argument, slot: Slot::new(slot).unwrap() }
}

#[test]
fn keys_of_one_slot_may_go_together() {
    assert_eq!(one_slot([].into_iter()).unwrap(), None);
    assert_eq!(one_slot([key(0, 1, 7), key(0, 2, 7), key(3, 1, 7)].into_iter()).unwrap(), Slot::new(7));
}

#[test]
fn keys_of_several_slots_are_an_error_that_names_each_key_s_slot() {
    let error = one_slot([key(0, 1, 7), key(1, 1, 9), key(1, 3, 7)].into_iter()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server(ServerErrorKind::CrossSlot));
    assert_eq!(error.code(), Some("CROSSSLOT"));
    let text = error.to_string();
    assert!(
        text.contains("slot 7 has argument 1 of command 0, argument 3 of command 1; slot 9 has argument 1"),
        "{text}"
    );
}

#[test]
fn an_error_about_many_keys_stays_short() {
    let error = one_slot((0..10_000).map(|n| key(n, 1, u16::try_from(n).unwrap()))).unwrap_err().to_string();
    assert!(error.len() < 6000 && error.contains("and 9900 more keys"), "{error}");
}
