use super::*;

/// How many rows are looked at until a name is found.
fn looks(row: usize) -> usize {
    let first = place_of(ROWS[row].name);
    (0..PLACES).find(|step| usize::from(INDEX[(first + step) % PLACES]) == row).unwrap() + 1
}

fn at(text: &str) -> usize {
    ROWS.iter().position(|row| row.text == text).unwrap_or_else(|| panic!("{text}"))
}

#[test]
fn the_groups_are_in_order_and_no_row_is_there_twice() {
    for group in GROUPS {
        assert!(group.is_sorted_by(|a, b| a.text < b.text));
    }
    let mut texts: Vec<_> = ROWS.iter().map(|row| row.text).collect();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), LEN);
    for row in &ROWS {
        assert!(!row.text.is_empty() && row.text == row.text.to_ascii_uppercase(), "{}", row.text);
    }
}

#[test]
fn every_row_is_found_by_its_name() {
    for (at, row) in ROWS.iter().enumerate() {
        assert!(std::ptr::eq(find(row.name).unwrap(), row), "{}", row.text);
        let command = command(row).unwrap();
        match split(row.text) {
            (_, None) => assert_eq!(usize::from(row.command), at, "{}", row.text),
            (name, Some(_)) => {
                assert_eq!(command.text.as_bytes(), name);
                assert_ne!(command.words, Words::Name, "{}: nobody looks for it", row.text);
            }
        }
    }
}

#[test]
fn names_are_found_with_few_looks() {
    const COMMON: &str = "GET SET MGET MSET DEL UNLINK EXISTS EXPIRE TTL INCR DECR SETEX GETEX HGET HSET HMGET HGETALL HDEL \
        EVAL EVALSHA ZADD ZRANGE ZSCORE XADD XREAD XACK LPUSH RPUSH LPOP LRANGE SADD SMEMBERS SISMEMBER PUBLISH PING";
    for common in COMMON.split_ascii_whitespace() {
        assert_eq!(looks(at(common)), 1, "{common}");
    }
    assert!((0..LEN).all(|row| looks(row) <= 3), "another factor in `Name::hash` may serve better");
}

#[test]
fn what_is_split_by_slot_has_keys_at_that_distance() {
    for row in &ROWS {
        if let FanOut::Split { each, last, .. } = row.fan_out {
            let end = if last { -2 } else { -1 };
            assert_eq!(row.keys, Keys::Range { first: 1, last: end, step: each }, "{}", row.text);
        }
    }
}

#[test]
fn a_row_fits_into_a_line_of_the_cache() {
    assert_eq!(size_of::<Row>(), 64);
}
