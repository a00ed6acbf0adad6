use super::*;
use proptest::{collection::vec, prelude::*};
use redis::{Value, VerbatimFormat};

/// A topology of these slots and the hosts that have them.
pub(in crate::cluster) fn topology_of(ranges: &[(u16, u16, &str)]) -> Topology {
    let range = |(start, end, host): &(u16, u16, &str)| SlotRange {
        start: Slot::new(*start).unwrap(),
        end: Slot::new(*end).unwrap(),
        primary: NodeAddress::new(host, 1),
    };
    Topology::new(&ranges.iter().map(range).collect::<Vec<_>>())
}

fn seed() -> NodeAddress {
    NodeAddress::new("seed", 10_000)
}

fn text(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

fn node(host: Value, port: i64) -> Value {
    Value::Array(vec![host, Value::Int(port)])
}

fn entry(start: i64, end: i64, nodes: Vec<Value>) -> Value {
    Value::Array([vec![Value::Int(start), Value::Int(end)], nodes].concat())
}

fn parse(entries: Vec<Value>) -> Result<Topology, String> {
    Topology::parse(&Value::Array(entries), &seed())
}

/// The ranges as `start-end primary`.
fn shown(topology: &Topology) -> Vec<String> {
    let show = |range: &SlotRange| format!("{}-{} {}", range.start, range.end, range.primary);
    topology.ranges().iter().map(show).collect()
}

fn range(start: u16, end: u16, host: &str) -> SlotRange {
    let [start, end] = [start, end].map(|slot| Slot::new(slot).unwrap());
    SlotRange { start, end, primary: NodeAddress::new(host, 1) }
}

/// How many slots have an owner.
fn covered(topology: &Topology) -> usize {
    topology.ranges().iter().map(|range| range.slots().count()).sum()
}

#[test]
fn a_reply_of_redis_7() {
    let named = |host: &str, port: i64, names: Value| {
        Value::Array(vec![text(host), Value::Int(port), text("09dbe9720cda62f7865eabc5fd8857c5d2678366"), names])
    };
    let reply = vec![
        entry(5461, 10922, vec![named("10.0.0.2", 8502, Value::Array(vec![text("hostname"), text("two.example")]))]),
        entry(
            0,
            5460,
            vec![
                named("10.0.0.1", 8501, Value::Array(Vec::new())),
                named("10.0.0.4", 8504, Value::Map(vec![(text("hostname"), text("four.example"))])),
            ],
        ),
        entry(10923, 16383, vec![named("10.0.0.3", 8503, Value::Nil)]),
    ];
    let topology = parse(reply).unwrap();
    assert_eq!(shown(&topology), ["0-5460 10.0.0.1:8501", "5461-10922 10.0.0.2:8502", "10923-16383 10.0.0.3:8503"]);
    assert_eq!(covered(&topology), 16_384);
    assert_eq!(topology.owner(Slot::new(5461).unwrap()).unwrap().port(), 8502);
}

#[test]
fn hosts_in_all_the_forms_there_are() {
    let verbatim = Value::VerbatimString { format: VerbatimFormat::Text, text: "h".to_owned() };
    let attribute = Value::Attribute { data: Box::new(text("h")), attributes: vec![(text("a"), text("b"))] };
    for (host, expected) in [
        (text("h"), "h:1"),
        (Value::SimpleString("h".to_owned()), "h:1"),
        (verbatim, "h:1"),
        (attribute, "h:1"),
        (Value::Nil, "seed:1"),
        (text(""), "seed:1"),
        (text("?"), "seed:1"),
        (text("0.0.0.0"), "seed:1"),
        (text("fe80::1"), "[fe80::1]:1"),
    ] {
        let shape = format!("{host:?}");
        let topology = parse(vec![entry(0, 9, vec![node(host, 1)])]).unwrap();
        assert_eq!(topology.ranges()[0].primary.to_string(), expected, "{shape}");
    }
    // Where a node has no host name its address is what the cluster says of it besides.
    for names in [
        Value::Array(vec![text("ip"), text("10.0.0.9")]),
        Value::Map(vec![(text("port"), Value::Int(1)), (text("ip"), text("10.0.0.9"))]),
    ] {
        let node = Value::Array(vec![text("?"), Value::Int(1), text("id"), names]);
        let topology = parse(vec![entry(0, 9, vec![node])]).unwrap();
        assert_eq!(topology.ranges()[0].primary.to_string(), "10.0.0.9:1");
    }
}

#[test]
fn what_is_malformed_is_an_error_that_says_what() {
    let ok = || node(text("h"), 1);
    for (reply, says) in [
        (Value::Nil, "is not a list"),
        (Value::Int(1), "is not a list"),
        (Value::Array(vec![Value::Int(1)]), "entry (0) that is not a list"),
        (Value::Array(vec![entry(0, 1, vec![ok()]), entry(2, 3, vec![])]), "entry (1) with less than"),
        (Value::Array(vec![entry(0, 16_384, vec![ok()])]), "0 to 16383"),
        (Value::Array(vec![entry(-1, 1, vec![ok()])]), "0 to 16383"),
        (Value::Array(vec![entry(65_536, 65_537, vec![ok()])]), "0 to 16383"),
        (Value::Array(vec![entry(2, 1, vec![ok()])]), "ends before it starts"),
        (Value::Array(vec![entry(0, 1, vec![text("h")])]), "node that is not a list"),
        (Value::Array(vec![entry(0, 1, vec![Value::Array(vec![text("h")])])]), "lacks a host or a port"),
        (Value::Array(vec![entry(0, 1, vec![node(text("h"), 65_536)])]), "port that is not one"),
        (Value::Array(vec![entry(0, 1, vec![node(text("h"), -1)])]), "port that is not one"),
        (Value::Array(vec![entry(0, 1, vec![node(Value::Int(1), 1)])]), "host that is not a text"),
        (Value::Array(vec![entry(0, 1, vec![node(Value::BulkString(vec![0xff]), 1)])]), "host that is not a text"),
        (Value::Array(vec![entry(0, 1, vec![node(text("a b"), 1)])]), "host that is not one"),
    ] {
        let error = Topology::parse(&reply, &seed()).unwrap_err();
        assert!(error.contains(says), "{reply:?}: {error}");
    }
}

#[test]
fn an_error_is_told_by_its_code_alone() {
    for (line, says) in [
        ("-ERR This instance has cluster support disabled\r\n", "(ERR)"),
        ("-NOPERM User secret has no permissions\r\n", "(NOPERM)"),
        ("-secret text\r\n", "(an error without a code)"),
    ] {
        let error = Topology::parse(&redis::parse_redis_value(line.as_bytes()).unwrap(), &seed()).unwrap_err();
        assert!(error.contains(says) && !error.contains("secret"), "{error}");
    }
}

#[test]
fn a_node_without_a_port_costs_its_own_slots_only() {
    let reply = vec![
        entry(0, 9, vec![node(text("a"), 0), node(text("b"), 2)]),
        entry(10, 19, vec![node(text("b"), 2), node(text("a"), 0), node(text("c"), 3)]),
    ];
    assert_eq!(shown(&parse(reply).unwrap()), ["10-19 b:2"]);
}

/// Whatever a server says there, and however replicas differ from range to range.
#[test]
fn nothing_is_read_of_what_follows_a_primary() {
    let primary = || node(text("a"), 1);
    for replica in [Value::Nil, text("h"), node(text("a b"), 1), node(text("h"), 65_536), node(Value::Int(1), 1)] {
        let shape = format!("{replica:?}");
        let reply = vec![entry(0, 9, vec![primary(), replica]), entry(10, 19, vec![primary()])];
        assert_eq!(shown(&parse(reply).unwrap()), ["0-19 a:1"], "{shape}");
    }
}

#[test]
fn a_cluster_without_slots_is_a_cluster() {
    assert_eq!(parse(Vec::new()).unwrap(), Topology::default());
    assert_eq!(covered(&Topology::default()), 0);
}

#[test]
fn the_later_of_two_ranges_has_the_slots_of_both() {
    let topology = Topology::new(&[range(0, 100, "a"), range(40, 60, "b"), range(60, 70, "a")]);
    assert_eq!(shown(&topology), ["0-39 a:1", "40-59 b:1", "60-100 a:1"]);
    assert_eq!(covered(&topology), 101);
    assert_eq!(Topology::new(&[range(0, 9, "a"), range(10, 19, "a"), range(21, 22, "a")]).ranges().len(), 2);
    assert_eq!(topology.primaries(), [&NodeAddress::new("a", 1), &NodeAddress::new("b", 1)]);
}

#[test]
fn owners_of_single_slots_can_be_replaced() {
    let topology = Topology::new(&[range(0, 99, "a")]);
    let moved =
        [(Slot::new(50).unwrap(), NodeAddress::new("b", 1)), (Slot::new(200).unwrap(), NodeAddress::new("b", 1))];
    assert_eq!(shown(&topology.with_owners(moved)), ["0-49 a:1", "50-50 b:1", "51-99 a:1", "200-200 b:1"]);
    assert_eq!(topology.with_owners([]), topology);
}

fn any_value() -> impl Strategy<Value = Value> {
    let host = prop_oneof![Just(""), Just("?"), Just("ip"), Just("a"), Just("::1"), Just("a b"), Just("\u{fffd}")];
    let leaf = prop_oneof![
        Just(Value::Nil),
        (-2..16_400_i64).prop_map(Value::Int),
        any::<i64>().prop_map(Value::Int),
        host.prop_map(text),
        vec(any::<u8>(), 0..4).prop_map(Value::BulkString),
        Just(Value::Okay),
        Just(Value::Double(1.0)),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            4 => vec(inner.clone(), 0..6).prop_map(Value::Array),
            1 => vec((inner.clone(), inner.clone()), 0..3).prop_map(Value::Map),
            1 => inner.prop_map(|data| Value::Attribute { data: Box::new(data), attributes: Vec::new() }),
        ]
    })
}

/// Something near a reply, so that what is inside is reached.
fn near_reply() -> impl Strategy<Value = Value> {
    let node = vec(any_value(), 0..4).prop_map(|more| [vec![text("h"), Value::Int(1)], more].concat());
    let entry = (0..16_500_i64, 0..16_500_i64, vec(node.prop_map(Value::Array), 0..3), vec(any_value(), 0..2));
    vec(entry.prop_map(|(start, end, nodes, more)| entry_of(start, end, nodes, more)), 0..5).prop_map(Value::Array)
}

fn entry_of(start: i64, end: i64, nodes: Vec<Value>, more: Vec<Value>) -> Value {
    entry(start.min(end), start.max(end), [nodes, more].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_reply_is_read_or_refused(reply in prop_oneof![any_value(), near_reply()]) {
        if let Ok(topology) = Topology::parse(&reply, &seed()) {
            prop_assert!(covered(&topology) <= 16_384);
            for pair in topology.ranges().windows(2) {
                prop_assert!(pair[0].end < pair[1].start);
            }
        }
    }

    #[test]
    fn each_slot_has_the_owner_of_the_last_range_that_names_it(
        given in vec((0..16_384_u16, 0..400_u16, 0..3_u8), 0..20)
    ) {
        let ranges: Vec<_> = given
            .iter()
            .map(|(start, length, host)| range(*start, start.saturating_add(*length).min(16_383), &host.to_string()))
            .collect();
        let topology = Topology::new(&ranges);
        for slot in Slot::all() {
            let last = ranges.iter().rev().find(|range| range.start <= slot && slot <= range.end);
            prop_assert_eq!(topology.owner(slot), last.map(|range| &range.primary));
        }
        prop_assert_eq!(Topology::new(topology.ranges()), topology);
    }
}
