use super::*;
use crate::{
    command::profile,
    exec::scatter::ground::{Ground, cmd},
};
use proptest::prelude::*;
use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(5);

const LOADING: &str = "-LOADING Redis is loading the dataset in memory";

/// A step of which there are more, with this cursor.
fn not_the_last(cursor: u64) -> String {
    format!("*2\r\n${}\r\n{cursor}\r\n*0", cursor.to_string().len())
}

async fn step_of(ground: &Ground, line: &str) -> RedisResult<Value> {
    let cmd = cmd(line);
    step(&ground.core, &mut Memory::default(), &cmd, profile(&cmd)).await
}

/// Of both the step alone and the one together with the question who answers.
#[tokio::test(start_paused = true)]
async fn the_first_step_has_one_deadline() {
    let tries = AtomicUsize::new(0);
    let ground = Ground::new(64, LIMIT, move |_, words| match words {
        // It is let in when most of the time is over.
        "HSCAN b 0" if tries.fetch_add(1, SeqCst) == 12 => not_the_last(7),
        _ => LOADING.to_owned(),
    });
    let began = Instant::now();
    let error = step_of(&ground, "HSCAN b 0").await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert_eq!(began.elapsed(), LIMIT);
}

/// Until its deadline, the transaction is refused for what the server is in at the moment.
#[tokio::test(start_paused = true)]
async fn a_state_that_passes_ends_no_signatures() {
    for state in ["CLUSTERDOWN The cluster is down", "LOADING Redis is loading", "BUSY Redis is busy"] {
        let ground = Ground::new(64, LIMIT, {
            let is_in_multi = AtomicBool::new(false);
            move |_, words| match words {
                "MULTI" => {
                    is_in_multi.store(true, SeqCst);
                    "+OK".to_owned()
                }
                "EXEC" => {
                    is_in_multi.store(false, SeqCst);
                    "-EXECABORT Transaction discarded because of previous errors.".to_owned()
                }
                "HSCAN b 0" if !is_in_multi.load(SeqCst) => not_the_last(7),
                _ => format!("-{state}"),
            }
        });
        step_of(&ground, "HSCAN b 0").await.unwrap_err();
        assert!(ground.core.signed_cursors.are_possible(profile(&cmd("HSCAN b 0"))), "{state}");
    }
}

/// Each command is only given cursors of its own.
#[tokio::test]
async fn large_cursors_of_one_command_are_none_of_another_one() {
    let ground = Ground::new(64, LIMIT, |_, words| match words {
        "MULTI" => "+OK".to_owned(),
        "INFO server" => "+QUEUED".to_owned(),
        "EXEC" => format!("*2\r\n{}\r\n$8\r\nrun_id:1", not_the_last(1 << 50)),
        _ => not_the_last(1 << 50),
    });
    let reply = step_of(&ground, "SSCAN b 0").await.unwrap();
    assert_eq!(cursor::answered(&reply), Some(1 << 50));
    for (line, possible) in [("SSCAN b 0", false), ("HSCAN b 0", true), ("ZSCAN b 0", true), ("SCAN 0", true)] {
        assert_eq!(ground.core.signed_cursors.are_possible(profile(&cmd(line))), possible, "{line}");
    }
}

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
