use super::*;
use proptest::prelude::*;

fn assert_same(cmd: &Cmd) {
    let mut packed = b"before".to_vec();
    pack(cmd, &mut packed);
    assert_eq!(packed[6..], cmd.get_packed_command());
}

#[test]
fn lengths_and_counts_of_one_two_and_three_digits() {
    for length in [0, 1, 9, 10, 11, 99, 100, 101, 999, 1000] {
        assert_same(redis::cmd("SET").arg("key").arg("x".repeat(length)));
        let mut many = redis::cmd("DEL");
        for key in 1..length {
            many.arg(key);
        }
        assert_same(&many);
    }
}

fn assert_same_pipeline(pipeline: &Pipeline) {
    assert_eq!(pack_pipeline(pipeline), pipeline.get_packed_pipeline());
}

#[test]
fn a_transaction_stands_between_its_two_commands() {
    let mut pipeline = redis::pipe();
    assert_same_pipeline(&pipeline);
    assert_same_pipeline(pipeline.clone().atomic());
    pipeline.set("key", "x".repeat(200_000)).get("key");
    assert_same_pipeline(&pipeline);
    assert_same_pipeline(pipeline.atomic());
}

proptest! {
    #[test]
    fn it_is_what_the_redis_crate_writes(
        args in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..1200), 1..120),
        cursor in proptest::option::of(any::<u64>()),
    ) {
        let mut cmd = redis::cmd("SCAN");
        for arg in &args {
            cmd.arg(arg.as_slice());
        }
        if let Some(cursor) = cursor {
            cmd.cursor_arg(cursor);
        }
        assert_same(&cmd);
        let mut pipeline = redis::pipe();
        pipeline.add_command(cmd.clone()).get("key").add_command(cmd);
        assert_same_pipeline(&pipeline);
        assert_same_pipeline(pipeline.atomic());
    }
}
