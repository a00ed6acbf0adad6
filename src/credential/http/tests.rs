use super::*;
use std::time::UNIX_EPOCH;

#[test]
fn retry_after_in_seconds_and_as_a_date() {
    let now = UNIX_EPOCH + Duration::from_secs(784_111_717);
    assert_eq!(retry_after(" 120 ", now), Some(Duration::from_secs(120)));
    assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(60)));
    assert_eq!(retry_after("Sun, 06 Nov 1994 08:00:00 GMT", now), Some(Duration::ZERO));
    for nonsense in ["", "-1", "soon", "99999999999999999999999"] {
        assert_eq!(retry_after(nonsense, now), None);
    }
}

proptest::proptest! {
    #[test]
    fn no_text_is_a_reason_to_panic(text in ".{0,40}", seconds in proptest::prelude::any::<u64>()) {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_717);
        _ = retry_after(&text, now);
        assert_eq!(retry_after(&seconds.to_string(), now), Some(Duration::from_secs(seconds)));
    }
}
