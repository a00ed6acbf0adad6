use super::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn what_a_cursor_says_is_read_again(
        restarts in 0..=MOST_RESTARTS,
        process in 0..=PROCESS_MASK,
        cursor in 1..=CURSOR_MASK,
    ) {
        let signed = Signed { restarts, process, cursor };
        prop_assert_eq!(Signed::read(signed.number()), Some(signed));
        prop_assert!(i64::try_from(signed.number()).is_ok());
        // A server that is given it by mistake looks at the lower bits alone.
        prop_assert_eq!(signed.number() & CURSOR_MASK, cursor);
    }

    #[test]
    fn a_cursor_of_a_server_is_not_taken_for_a_signed_one(cursor in 0..=CURSOR_MASK) {
        prop_assert_eq!(Signed::read(cursor), None);
    }
}

#[test]
fn processes_are_told_from_each_other_in_both_protocols() {
    let info = |run_id: &str| format!("# Server\r\nredis_version:7.4.0\r\nrun_id:{run_id}\r\ntcp_port:6379\r\n");
    let bulk = |run_id| process_of(&Value::BulkString(info(run_id).into_bytes()));
    let format = redis::VerbatimFormat::Text;
    let verbatim = |run_id| process_of(&Value::VerbatimString { format: format.clone(), text: info(run_id) });
    assert!(bulk("0a").is_some());
    assert_eq!(bulk("0a"), verbatim("0a"));
    assert_ne!(bulk("0a"), bulk("0b"));
    assert_eq!(process_of(&Value::BulkString(b"# Server\r\nredis_version:7.4.0\r\n".to_vec())), None);
    assert_eq!(process_of(&Value::Nil), None);
}
