use super::*;
use crate::{
    exec::scatter::ground::{Ground, address, cmd},
    lock::lock,
};
use proptest::{collection::vec, prelude::*};
use redis::{Cmd, RedisResult, Value};
use std::{sync::Mutex, time::Duration};
use tokio::runtime::Builder;

const PATIENCE: Duration = Duration::from_secs(10);

/// With which a node says that it has not run a command on a key of the slot of `a`.
fn refusals() -> Vec<String> {
    let words = [
        "-TRYAGAIN Multiple keys request during rehashing of slot",
        "-LOADING Redis is loading the dataset in memory",
        "-CLUSTERDOWN The cluster is down",
        "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "-READONLY You can't write against a read only replica.",
    ];
    let elsewhere = [format!("-MOVED 15495 {}", address(0)), format!("-ASK 15495 {}", address(1))];
    words.into_iter().map(str::to_owned).chain(elsewhere).collect()
}

/// The words of each unit.
fn words_of(plan: &Plan<'_>) -> Vec<String> {
    let words = |cmd: &Cmd| {
        let words = cmd.args_iter().map(|word| match word {
            redis::Arg::Simple(word) => String::from_utf8_lossy(word).into_owned(),
            _ => panic!("no command has a cursor"),
        });
        words.collect::<Vec<_>>().join(" ")
    };
    plan.units.iter().map(|unit| words(&unit.cmd)).collect()
}

/// A cluster whose third node answers the first command that it is sent with this line, and what all of them have run.
fn refusing_first(refusal: &str) -> (Ground, Arc<Mutex<Vec<String>>>) {
    let (ran, left) = (Arc::<Mutex<Vec<String>>>::default(), Mutex::new(Some(refusal.to_owned())));
    let by_nodes = Arc::clone(&ran);
    let ground = Ground::new(64, PATIENCE, move |node, words| {
        if node == 2
            && words != "ASKING"
            && let Some(refusal) = lock(&left).take()
        {
            return refusal;
        }
        lock(&by_nodes).push(words.to_owned());
        "+OK".to_owned()
    });
    (ground, ran)
}

/// The outcomes of the commands' units, and what has been run, with the third node refusing what it is sent first.
async fn with_the_first_refused(refusal: &str, lines: &[&str]) -> (Vec<RedisResult<Value>>, Vec<String>) {
    let (ground, ran) = refusing_first(refusal);
    let commands: Vec<Cmd> = lines.iter().map(|line| cmd(line)).collect();
    let outcomes = ground.outcomes(&ground.plan(&commands), PATIENCE).await.unwrap();
    let mut ran = lock(&ran).clone();
    ran.retain(|words| words != "ASKING");
    (outcomes, ran)
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_does_not_run_after_a_later_command_on_its_key() {
    for refusal in refusals() {
        for lines in [
            ["MSET {a}1 x {a}2 y", "SET {a}1 z"],
            ["SET a 1", "SET a 2"],
            // What has been read would be what has not been written.
            ["MSET {a}1 x {a}2 y", "GET {a}2"],
            ["MGET {a}1 {a}2", "SET {a}1 z"],
            ["EVAL script 2 {a}1 {a}2", "DEL {a}1"],
            ["NEWS a 1", "NEWS a 2"],
        ] {
            let (outcomes, ran) = with_the_first_refused(&refusal, &lines).await;
            assert_eq!(ran, [lines[1]], "{refusal}: {lines:?}");
            let Ok(Value::ServerError(error)) = &outcomes[0] else {
                panic!("{refusal}: {lines:?}: {outcomes:?}");
            };
            assert!(refusal[1..].starts_with(error.code()), "{refusal}: {error:?}");
            // Most of these errors a script may have made up itself.
            let is_explained = error.details().unwrap().ends_with("has run on one of its keys");
            assert!(is_explained || lines[0].starts_with("EVAL"), "{error:?}");
            assert_eq!(outcomes[1], Ok(Value::Okay), "{refusal}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_runs_if_nothing_on_its_keys_has_run_behind_it() {
    for refusal in refusals() {
        for lines in [
            ["MSET {a}1 x {a}2 y", "SET {a}3 z"],
            ["SET a 1", "SET foo 2"],
            ["SET a 1", "SET b 2"],
            // One sees what the other one sees.
            ["MGET {a}1 {a}2", "GET {a}1"],
            ["SET a 1", "DBSIZE"],
        ] {
            let (outcomes, ran) = with_the_first_refused(&refusal, &lines).await;
            assert!(outcomes.iter().all(|outcome| *outcome == Ok(Value::Okay)), "{refusal}: {lines:?}: {outcomes:?}");
            assert_eq!(ran.iter().filter(|words| *words == lines[0]).count(), 1, "{refusal}: {ran:?}");
        }
    }
}

/// All keys of a node are those of what empties it.
#[tokio::test(start_paused = true)]
async fn nothing_is_emptied_after_a_later_write_and_nothing_written_after_it_was_emptied() {
    let loading = "-LOADING Redis is loading the dataset in memory";
    for (lines, runs) in [
        (["FLUSHALL", "SET a 1"], 0),
        (["FLUSHDB", "GET a"], 0),
        (["SET a 1", "FLUSHALL"], 0),
        (["FLUSHALL", "SET b 1"], 1),
        (["PING", "SET a 1"], 1),
    ] {
        let (_, ran) = with_the_first_refused(loading, &lines).await;
        // The other nodes run it in any case, if it is for all of them.
        let elsewhere = if lines[0].starts_with("SET") { 0 } else { 2 };
        assert_eq!(ran.iter().filter(|words| *words == lines[0]).count(), elsewhere + runs, "{lines:?}: {ran:?}");
    }
}

/// The third node's slots go to the first one, which then gets what was to empty the third one.
#[tokio::test]
async fn a_node_that_takes_a_place_is_not_emptied_after_later_writes_to_what_it_has() {
    let ground = Ground::quiet();
    let commands = ["FLUSHALL", "SET a 1", "SET b 1", "SET c 1"].map(cmd);
    let plan = ground.plan(&commands);
    let (first, second) = (Arc::clone(&ground.nodes[0]), Arc::clone(&ground.nodes[1]));
    let third = &ground.nodes[2];
    let of_third = |unit: &Unit<'_>| matches!(&unit.to, To::Primary { node, .. } if Arc::ptr_eq(node, third));
    let flush = plan.units.iter().position(of_third).unwrap();
    let is_overtaken = |written: &str| {
        let runs = |unit: &Unit<'_>| unit.cmd.args_iter().nth(1) == Some(redis::Arg::Simple(written.as_bytes()));
        let have_run: Vec<_> = plan.units.iter().map(runs).collect();
        !overtaken(&plan, &HashMap::from([(flush, &Way::Owner)]), &have_run, &ground.cluster.map()).is_empty()
    };
    assert_eq!(["a", "b", "c"].map(is_overtaken), [true, false, false]);
    ground.cluster.hand_out(&[(0..=5460, Arc::clone(&first)), (5461..=10_922, second), (10_923..=16_383, first)]);
    assert_eq!(["a", "b", "c"].map(is_overtaken), [true, true, false]);
}

/// Where a key is that has moved, nothing has been emptied behind it, unless that node was emptied, too.
#[tokio::test]
async fn what_goes_to_a_node_that_was_not_emptied_is_sent_there() {
    let ground = Ground::quiet();
    let commands = ["SET a 1", "FLUSHALL"].map(cmd);
    let plan = ground.plan(&commands);
    let [first, second] = [0, 1].map(|node| Way::Redirected { to: Arc::clone(&ground.nodes[node]), asking: false });
    let flushes = |node: usize| -> Vec<_> {
        let of =
            |unit: &Unit<'_>| matches!(&unit.to, To::Primary { node: to, .. } if Arc::ptr_eq(to, &ground.nodes[node]));
        plan.units.iter().map(of).collect()
    };
    for (way, emptied, is_overtaken) in
        [(&first, 0, true), (&first, 2, false), (&second, 1, true), (&Way::Owner, 2, true), (&Way::Owner, 0, false)]
    {
        let overtaken = overtaken(&plan, &HashMap::from([(0, way)]), &flushes(emptied), &ground.cluster.map());
        assert_eq!(!overtaken.is_empty(), is_overtaken, "{emptied}");
    }
}

/// Commands of a pipeline, by their kind and the numbers of two keys.
fn line(number: usize, kind: u8, (one, two): (u8, u8)) -> String {
    let (one, two) = (format!("{{a}}{one}"), format!("{{a}}{two}"));
    match kind {
        0 => format!("SET {one} {number}"),
        1 => format!("MSET {one} {number} {two} {number}"),
        2 => format!("GETRANGE {one} 0 {number}"),
        3 => format!("MGET {one} {two} {{a}}of{number}"),
        4 => format!("EVAL {number} 2 {one} {two}"),
        // What is not known is taken to have its key there.
        _ => format!("NEWS {one} {number}"),
    }
}

/// Whether the order of two commands is to be seen from outside.
fn are_ordered(plan: &Plan<'_>, first: usize, second: usize) -> bool {
    let [first, second] = [first, second].map(|unit| &plan.units[unit]);
    let mut keys = first.profile.keys(&first.cmd);
    let shares_key = keys.any(|key| second.profile.keys(&second.cmd).any(|other| other == key));
    shares_key && !(first.profile.only_reads() && second.profile.only_reads())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever nodes refuse in whatever order, and wherever they send it.
    #[test]
    fn commands_on_one_key_run_in_order_whatever_is_refused(
        commands in vec((0_u8..6, (0_u8..4, 0_u8..4)), 1..12),
        answers in vec(prop_oneof![2 => Just(None), 3 => (0_usize..7).prop_map(Some)], 0..40),
    ) {
        let lines: Vec<_> = commands.iter().enumerate().map(|(number, (kind, keys))| line(number, *kind, *keys)).collect();
        let commands: Vec<Cmd> = lines.iter().map(|line| cmd(line)).collect();
        let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (ran, answers) = (Arc::<Mutex<Vec<String>>>::default(), Mutex::new(answers.into_iter()));
            let by_nodes = Arc::clone(&ran);
            let ground = Ground::new(64, PATIENCE, move |_, words| {
                if words == "ASKING" {
                    return "+OK".to_owned();
                }
                if let Some(Some(refusal)) = lock(&answers).next() {
                    return refusals().swap_remove(refusal);
                }
                lock(&by_nodes).push(words.to_owned());
                "+OK".to_owned()
            });
            let plan = ground.plan(&commands);
            let outcomes = ground.outcomes(&plan, PATIENCE).await.unwrap();
            let words = words_of(&plan);
            let ran: Vec<_> = lock(&ran).iter().map(|ran| words.iter().position(|words| words == ran).unwrap()).collect();
            for (unit, outcome) in outcomes.iter().enumerate() {
                let times = ran.iter().filter(|ran| **ran == unit).count();
                let expected = usize::from(*outcome == Ok(Value::Okay));
                assert_eq!(times, expected, "{}: {outcome:?}", words[unit]);
            }
            for (place, second) in ran.iter().enumerate() {
                for first in &ran[place..] {
                    assert!(first >= second || !are_ordered(&plan, *first, *second), "{ran:?} of {words:?}");
                }
            }
        });
    }
}
