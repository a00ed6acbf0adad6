//! What `entra-redis soak` says of a cache can be relied on: nothing right is a wrong read, nothing wrong a right one,
//! and its status tells errors that chaos explains from others.

#[path = "../../src/bin/entra-redis/soak/register.rs"]
mod register;

use common::{
    Azure, SECOND,
    child::{self, Run, Variables},
    eventually,
};
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
};
use redis::Value;
use register::Register;
use serde_json::Value as Report;
use std::{
    fs,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The emulator on a real redis-server, and the variables that lead to it.
struct Cache {
    emulator: Azure,
    variables: Variables,
    _dir: TempDir,
}

impl Cache {
    async fn start() -> Self {
        let emulator = common::start(common::emulator(Duration::from_secs(60))).await;
        let dir = tempfile::tempdir().unwrap();
        let ca_file = dir.path().join("ca.pem");
        fs::write(&ca_file, emulator.ca_pem()).unwrap();
        let mut variables = emulator.env();
        variables.push(("REDIS_CA_CERT", ca_file.display().to_string()));
        Self { emulator, variables, _dir: dir }
    }

    /// Runs a soak with these options besides, and does `meddle` meanwhile.
    async fn soak(&mut self, options: &[&str], meddle: impl AsyncFnOnce(&mut Azure)) -> Run {
        let mut arguments = vec!["soak", "--seconds", "5", "--tasks", "8", "--json"];
        arguments.extend(options);
        let soak = child::tool(&arguments, &self.variables);
        tokio::join!(soak, meddle(&mut self.emulator)).0
    }
}

/// Waits until commands pass.
async fn load(emulator: &Azure) {
    let commands = || emulator.redis_front().stats().commands;
    let before = commands();
    eventually("commands", 10 * SECOND, async || (commands() >= before + 500).then_some(())).await;
}

/// Runs a command, whose words are parted by single spaces, beside the soak.
async fn tell(emulator: &Azure, line: &str) {
    let mut redis = emulator.connect(emulator.config()).await;
    let mut words = line.split(' ');
    let mut cmd = redis::cmd(words.next().unwrap());
    words.for_each(|word| _ = cmd.arg(word));
    cmd.query_async::<Value>(&mut redis).await.unwrap();
}

fn assert_none(report: &Report, figures: &[&str]) {
    for figure in figures {
        assert_eq!(report[figure], 0, "{figure}: {report}");
    }
}

#[tokio::test]
async fn what_a_server_has_forgotten_that_was_started_anew_is_no_wrong_read() {
    let mut cache = Cache::start().await;
    let run = cache
        .soak(&["--chaos"], async |emulator| {
            for _ in 0..2 {
                load(emulator).await;
                emulator.restart_redis().await.unwrap();
            }
        })
        .await;
    assert_eq!(run.code, Some(0), "{} {}", run.output, run.complaint);
    let report = run.json();
    assert_none(&report, &["wrong_reads", "unexplained_errors"]);
    assert!(report["errors"].as_u64() > Some(0) && report["reconnects"].as_u64() > Some(0), "{report}");
    assert_eq!(report["recovered"], true, "{report}");
}

#[tokio::test]
async fn what_a_server_has_lost_is_a_wrong_read_in_any_weather() {
    let mut cache = Cache::start().await;
    for options in [vec![], vec!["--chaos"]] {
        let run = cache
            .soak(&options, async |emulator| {
                for _ in 0..5 {
                    load(emulator).await;
                    tell(emulator, "FLUSHALL").await;
                }
            })
            .await;
        assert_eq!(run.code, Some(1), "{options:?}: {} {}", run.output, run.complaint);
        let report = run.json();
        assert_none(&report, &["errors"]);
        assert!(report["wrong_reads"].as_u64() > Some(0), "{report}");
        assert!(report["first_wrong_read"].as_str().unwrap().contains("found None"), "{report}");
    }
}

#[tokio::test]
async fn connections_that_are_lost_are_errors_unless_there_is_chaos() {
    let mut cache = Cache::start().await;
    for (options, code) in [(vec![], 1), (vec!["--chaos"], 0)] {
        let run = cache
            .soak(&options, async |emulator| {
                for _ in 0..3 {
                    load(emulator).await;
                    emulator.redis_front().cut_all();
                }
            })
            .await;
        assert_eq!(run.code, Some(code), "{options:?}: {} {}", run.output, run.complaint);
        let report = run.json();
        let lost = &report["errors_by_kind"]["lost"];
        assert!(lost.as_u64() > Some(0), "{report}");
        assert_eq!(&report["errors"], lost, "{report}");
        assert_none(&report, &["wrong_reads"]);
        assert!(report["first_error"].is_string() && report["last_error_at_s"].is_f64(), "{report}");
        let unexplained = if options.is_empty() { lost.as_u64() } else { Some(0) };
        assert_eq!(report["unexplained_errors"].as_u64(), unexplained, "{report}");
    }
}

#[tokio::test]
async fn chaos_does_not_explain_what_redis_answers() {
    let mut cache = Cache::start().await;
    let run = cache
        .soak(&["--chaos"], async |emulator| {
            load(emulator).await;
            tell(emulator, "CONFIG SET maxmemory 1").await;
        })
        .await;
    assert_eq!(run.code, Some(1), "{} {}", run.output, run.complaint);
    let report = run.json();
    let answered = &report["errors_by_kind"]["answered"];
    assert!(answered.as_u64() > Some(0), "{report}");
    assert_eq!(&report["unexplained_errors"], answered, "{report}");
    assert_none(&report, &["wrong_reads"]);
    assert!(report["first_unexplained_error"].as_str().unwrap().contains("OOM"), "{report}");
}

#[tokio::test]
async fn chaos_does_not_explain_that_nothing_works_at_the_end() {
    let mut cache = Cache::start().await;
    let run = cache
        .soak(&["--chaos", "--recovery", "2", "--command-timeout", "500"], async |emulator| {
            load(emulator).await;
            emulator.redis_front().refuse_connections(true);
            emulator.redis_front().cut_all();
        })
        .await;
    assert_eq!(run.code, Some(1), "{} {}", run.output, run.complaint);
    let report = run.json();
    assert_none(&report, &["wrong_reads", "unexplained_errors"]);
    assert_eq!(report["recovered"], false, "{report}");
}

#[test]
fn a_read_finds_the_newest_write() {
    let mut register = Register::default();
    assert!(register.may_hold(None) && !register.may_hold(Some(1)));
    register.written(1);
    assert!(register.may_hold(Some(1)) && !register.may_hold(None));
    register.written(2);
    assert!(register.may_hold(Some(2)) && !register.may_hold(Some(1)) && !register.may_hold(None));
}

#[test]
fn after_a_write_that_failed_a_read_finds_the_old_value_or_the_new_one() {
    let mut register = Register::default();
    register.written(1);
    register.perhaps_written(2);
    assert!(!register.may_hold(None) && !register.may_hold(Some(3)));
    assert!(register.may_hold(Some(1)) && register.may_hold(Some(1)));
    // Once the new one has been seen, the old one is gone.
    assert!(register.may_hold(Some(2)) && register.may_hold(Some(2)) && !register.may_hold(Some(1)));
}

#[test]
fn a_write_that_failed_may_happen_late_but_once() {
    let mut register = Register::default();
    register.perhaps_written(1);
    register.written(2);
    assert!(register.may_hold(Some(2)) && register.may_hold(Some(1)) && !register.may_hold(Some(2)));
    register.written(3);
    assert!(register.may_hold(Some(3)) && !register.may_hold(Some(1)));
}

#[test]
fn a_server_that_was_started_anew_may_have_lost_what_was_written_before() {
    let mut register = Register::default();
    register.written(1);
    assert!(!register.may_hold_after_loss(None, |_| false));
    assert!(register.may_hold_after_loss(None, |_| true) && register.may_hold(None) && !register.may_hold(Some(1)));
    register.written(2);
    assert!(register.may_hold_after_loss(Some(2), |_| true) && !register.may_hold(None), "it has kept it");
    let loss = Instant::now();
    register.written(3);
    assert!(!register.may_hold_after_loss(None, |moment| moment < loss), "it has come after that");
    assert!(!register.may_hold_after_loss(Some(2), |moment| moment < loss));
}

#[test]
fn a_replica_that_takes_the_servers_place_may_not_have_had_the_last_writes() {
    let mut register = Register::default();
    register.written(1);
    register.written(2);
    let had_until = Instant::now();
    register.written(3);
    register.written(4);
    let lost = |moment| moment >= had_until;
    assert!(!register.may_hold_after_loss(None, lost) && !register.may_hold_after_loss(Some(1), lost), "it had those");
    assert!(!register.may_hold_after_loss(Some(5), lost) && !register.may_hold(Some(3)));
    assert!(register.may_hold_after_loss(Some(3), lost) && register.may_hold(Some(3)), "the last one is lost");
    assert!(register.may_hold_after_loss(Some(2), lost) && !register.may_hold(Some(3)), "and the one before");
    assert!(!register.may_hold_after_loss(Some(1), lost));
    register.written(6);
    assert!(!register.may_hold_after_loss(Some(2), |_| false));
}

/// What can happen to a key.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Written,
    /// The write fails, and has not happened yet.
    Failed,
    /// One of those happens after all.
    Late,
    Restart,
    Read,
}

const HAPPENINGS: &[Happening] =
    &[Happening::Written, Happening::Failed, Happening::Late, Happening::Restart, Happening::Read];

proptest! {
    /// Whatever happens to a key, what it holds is always right, and what was overwritten never is.
    #[test]
    fn reads_are_judged_by_what_can_have_happened(happenings in vec((select(HAPPENINGS), any::<Index>()), 0..60)) {
        let (mut register, mut held) = (Register::default(), None);
        let mut is_new = false;
        let (mut acknowledged, mut pending) = (Vec::new(), Vec::new());
        for (write, (happening, which)) in happenings.into_iter().enumerate() {
            match happening {
                Happening::Written => {
                    held = Some(write);
                    acknowledged.push(write);
                    register.written(write);
                }
                Happening::Failed => {
                    pending.push(write);
                    register.perhaps_written(write);
                }
                Happening::Late if pending.is_empty() => {}
                Happening::Late => held = Some(pending.swap_remove(which.index(pending.len()))),
                Happening::Restart => {
                    held = None;
                    is_new = true;
                }
                Happening::Read => prop_assert!(register.may_hold_after_loss(held, |_| is_new)),
            }
        }
        prop_assert!(register.may_hold_after_loss(held, |_| is_new));
        acknowledged.pop();
        for overwritten in acknowledged {
            prop_assert!(!register.may_hold(Some(overwritten)));
        }
    }
}
