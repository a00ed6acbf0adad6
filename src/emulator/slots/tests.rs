use super::*;

#[test]
fn the_shares_cover_all_slots_once() {
    for parts in [1, 2, 3, 6, 7, 100, usize::from(SLOTS)] {
        assert!(shares(parts).flatten().eq(0..SLOTS), "{parts}");
    }
}

/// The check value of the algorithm, and what redis-server answers to `CLUSTER KEYSLOT`.
#[test]
fn keys_are_in_the_slots_that_redis_has_them_in() {
    assert_eq!(crc16(b"123456789"), 0x31c3);
    for (key, slot) in [
        ("", 0),
        ("foo", 12182),
        ("{foo}bar", 12182),
        ("bar{foo}", 12182),
        ("foo{}{bar}", 8363),
        ("foo{{bar}}zap", 4015),
        ("foo{bar}{zap}", 5061),
    ] {
        assert_eq!(slot_of(key.as_bytes()), slot, "{key}");
    }
}
