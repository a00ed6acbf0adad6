use super::*;
use crate::exec::scatter::ground::{Ground, address, cmd};

/// What is sent where: `@slot`, `@node:port` of a primary or of that node alone, `@any`.
fn units(plan: &Plan<'_>) -> Vec<String> {
    let unit = |unit: &Unit<'_>| {
        let words: Vec<_> = unit.cmd.args_iter().map(|argument| word(&argument)).collect();
        let to = match &unit.to {
            To::Slot(slot) => slot.number().to_string(),
            To::Primary { node, lowest } => format!("{}, or the owner of {}", node.name(), lowest.number()),
            To::Node(node) => node.name().to_string(),
            To::Any => "any".to_owned(),
        };
        format!("{} @{to}", words.join(" "))
    };
    plan.units.iter().map(unit).collect()
}

fn word(argument: &redis::Arg<&[u8]>) -> String {
    match argument {
        redis::Arg::Simple(word) => String::from_utf8_lossy(word).into_owned(),
        _ => "(cursor)".to_owned(),
    }
}

fn units_of(ground: &Ground, lines: &[&str]) -> Vec<String> {
    let commands: Vec<Cmd> = lines.iter().map(|line| cmd(line)).collect();
    units(&Plan::of(&commands.iter().collect::<Vec<_>>(), &ground.cluster).unwrap())
}

#[tokio::test]
async fn a_command_over_several_slots_is_split_by_slot_in_the_order_of_its_keys() {
    let ground = Ground::quiet();
    assert_eq!(
        units_of(&ground, &["MGET a b {a}1 c {b}1 {a}2"]),
        ["MGET a {a}1 {a}2 @15495", "MGET b {b}1 @3300", "MGET c @7365"]
    );
    // Two slots of one node are two parts: Redis would refuse them as one.
    assert_eq!(units_of(&ground, &["DEL b bar"]), ["DEL b @3300", "DEL bar @5061"]);
    // Each key keeps what belongs to it.
    assert_eq!(units_of(&ground, &["MSET a 1 b 2 {a}1 3"]), ["MSET a 1 {a}1 3 @15495", "MSET b 2 @3300"]);
}

#[tokio::test]
async fn each_part_knows_which_of_the_keys_it_has() {
    let ground = Ground::quiet();
    let mset = cmd("MSET a 1 b 2 {a}1 3");
    let plan = Plan::of(&[&mset], &ground.cluster).unwrap();
    let Assembly::Parts { shares, writes, .. } = &plan.commands[0] else {
        panic!("it is not split");
    };
    assert!(writes);
    let keys: Vec<_> = shares.iter().map(|share| (share.unit, share.keys.clone())).collect();
    assert_eq!(keys, [(0, vec![0, 2]), (1, vec![1])]);
}

#[tokio::test]
async fn what_has_one_place_is_one_unit() {
    let ground = Ground::quiet();
    for (line, to) in [
        ("GET a", "15495"),
        ("MGET {a}1 {a}2", "15495"),
        ("EVAL script 1 b a", "3300"),
        ("EVAL script 0 b a", "any"),
        ("PUBLISH channel a", "any"),
        ("TIME", "any"),
        // It is malformed, which the server is to say.
        ("MSET a 1 b", "15495"),
    ] {
        assert_eq!(units_of(&ground, &[line]), [format!("{line} @{to}")]);
    }
}

#[tokio::test]
async fn commands_of_a_pipeline_keep_their_order() {
    let ground = Ground::quiet();
    assert_eq!(
        units_of(&ground, &["SET a 1", "MGET b a", "SET a 2", "TIME"]),
        ["SET a 1 @15495", "MGET b @3300", "MGET a @15495", "SET a 2 @15495", "TIME @any"]
    );
}

#[tokio::test]
async fn a_command_for_all_nodes_goes_to_each_primary_or_whoever_takes_its_place() {
    let ground = Ground::quiet();
    let to = [(0, 0), (1, 5461), (2, 10_923)].map(|(node, lowest)| (address(node), lowest));
    let expected = to.map(|(address, lowest)| format!("DBSIZE @{address}, or the owner of {lowest}"));
    assert_eq!(units_of(&ground, &["DBSIZE"]), expected);
    // To put replies together they are needed, whether the caller wants to see them or not.
    let mut quiet = cmd("DBSIZE");
    quiet.set_no_response(true);
    let plan = Plan::of(&[&quiet], &ground.cluster).unwrap();
    assert!(plan.units.iter().all(|unit| !unit.cmd.is_no_response()));
}

#[tokio::test]
async fn a_scan_goes_to_the_node_of_its_cursor_alone() {
    let ground = Ground::quiet();
    let first = address(0);
    assert_eq!(units_of(&ground, &["SCAN 0 MATCH a*"]), [format!("SCAN 0 MATCH a* @{first}")]);
    let position = lock(&ground.cluster.positions).resume(0, &ground.cluster.map()).unwrap().unwrap();
    let second = lock(&ground.cluster.positions).advance(position, 0, &ground.cluster.map());
    assert_eq!(units_of(&ground, &[&format!("SCAN {second}")]), [format!("SCAN 0 @{}", address(1))]);
    let stranger = cmd("SCAN 18446744073709551615");
    let Err(error) = Plan::of(&[&stranger], &ground.cluster) else {
        panic!("nobody gave out this cursor");
    };
    assert!(error.to_string().contains("not known"), "{error}");
}

/// What goes to a node once more, which may have it already, must not fail there for that.
#[tokio::test]
async fn only_what_may_run_twice_is_loaded_at_nodes_that_come_later() {
    let ground = Ground::quiet();
    let lines = ["PING", "SCRIPT LOAD script", "FUNCTION LOAD code", "FUNCTION LOAD replace code", "FLUSHALL"];
    let commands = lines.map(cmd);
    let plan = Plan::of(&commands.iter().collect::<Vec<_>>(), &ground.cluster).unwrap();
    let loaded = plan.loads.iter().map(|units| (units.len(), &*plan.units[units.start].cmd));
    let loaded: Vec<_> = loaded.map(|(count, cmd)| (count, cmd.get_packed_command())).collect();
    assert_eq!(loaded, [1, 3].map(|at: usize| (3, commands[at].get_packed_command())));
}

#[tokio::test]
async fn nothing_is_loaded_anywhere_while_there_is_no_node() {
    let ground = Ground::quiet();
    ground.cluster.hand_out(&[]);
    let commands = ["SCRIPT LOAD script", "EVALSHA hash 1 a"].map(cmd);
    let plan = Plan::of(&commands.iter().collect::<Vec<_>>(), &ground.cluster).unwrap();
    assert!(plan.loads.is_empty());
    assert_eq!(units(&plan), ["EVALSHA hash 1 a @15495"]);
}
