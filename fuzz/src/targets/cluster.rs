//! What nodes say of a cluster: which of them has which slots, and where a command is to go.

use entra_redis::{
    bench_api::parsers::{
        ParsedNode, ParsedRange, ParsedRedirect, ParsedReply, explained, node_address, redirect, reply, topology,
    },
    redis::{ServerErrorKind, Value, parse_redis_value},
};

/// What the nodes of all answers were given by.
const ANSWERED_BY: &str = "10.0.0.4";

/// An answer names for each slot one primary or none, or it is refused without a word of it; what was read of it is
/// read as the same again. It is the reply that the bytes are, and another one with an entry for each line: the slots,
/// then host and port of each node.
pub fn cluster_slots(data: &[u8]) {
    if let ParsedReply::Whole(value, _) = reply(data) {
        read(&value, data);
    }
    let text = String::from_utf8_lossy(data);
    let entries: Vec<_> = text.lines().take(64).map(entry).collect();
    read(&Value::Array(entries), data);
}

fn entry(line: &str) -> Value {
    let mut words = line.split(' ');
    let mut entry: Vec<_> = words.by_ref().take(2).map(word).collect();
    let nodes: Vec<_> = words.map(word).collect();
    entry.extend(nodes.chunks(2).map(|node| Value::Array(node.to_vec())));
    Value::Array(entry)
}

fn word(word: &str) -> Value {
    match word.parse() {
        Ok(number) => Value::Int(number),
        Err(_) if word == "-" => Value::Nil,
        Err(_) => Value::BulkString(word.as_bytes().to_vec()),
    }
}

fn read(value: &Value, data: &[u8]) {
    let ranges = match topology(value) {
        Ok(ranges) => ranges,
        Err(error) => {
            assert!(error.len() < 200 && !error.contains(char::is_control), "{error:?}");
            let text = String::from_utf8_lossy(data);
            let mut quoted = text.split_whitespace().filter(|word| word.len() > 20);
            assert!(!quoted.any(|word| error.contains(word)), "{error:?}");
            return;
        }
    };
    let mut next = 0;
    for (start, end, primary) in &ranges {
        assert!(*start >= next && start <= end && *end < 16_384, "{ranges:?}");
        next = end + 1;
        sound(primary);
    }
    let is_one = |pair: &[ParsedRange]| pair[0].1 + 1 == pair[1].0 && pair[0].2 == pair[1].2;
    assert!(!ranges.windows(2).any(is_one), "two ranges that are one: {ranges:?}");
    let again: Vec<_> = ranges.iter().map(written).collect();
    assert_eq!(topology(&Value::Array(again)), Ok(ranges));
}

fn written((start, end, primary): &ParsedRange) -> Value {
    let node = vec![Value::BulkString(primary.host.clone().into_bytes()), Value::Int(primary.port.into())];
    Value::Array(vec![Value::Int((*start).into()), Value::Int((*end).into()), Value::Array(node)])
}

/// It can be dialled and shown, and what is shown is read as the same.
fn sound(node: &ParsedNode) {
    assert!(node.port != 0 && (1..=253).contains(&node.host.len()), "{node:?}");
    assert!(!node.host.contains(|c: char| c.is_control() || c.is_whitespace() || "[]@/?#".contains(c)), "{node:?}");
    assert_eq!(node_address(&node.shown).as_ref(), Some(node));
}

/// A text is an address or none. One without a host is at the node that gave it; all writings of one are one.
pub fn cluster_address(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(node) = node_address(&text) {
        sound(&node);
        assert!(text.ends_with(&node.port.to_string()) || text.ends_with(&format!("0{}", node.port)), "{node:?}");
        let upper = node_address(&text.to_ascii_uppercase()).expect("case makes no difference");
        assert!(upper == node || node.host.contains('%'), "{upper:?}");
    }
    if let Ok(port) = text.parse::<u16>()
        && port > 0
    {
        for unknown in ["", "?", "0.0.0.0", "[::]"] {
            let node = node_address(&format!("{unknown}:{port}")).expect("it has a port");
            assert_eq!((&*node.host, node.port), (ANSWERED_BY, port));
        }
        assert_eq!(node_address(&format!("::1:{port}")), node_address(&format!("[0:0:0:0:0:0:0:1]:{port}")));
    }
}

/// An error sends a command to a sound address or nowhere, and never a command of another slot.
///
/// The first two bytes are the command's slot, the highest bit whether it runs a script; the rest is the error's line.
pub fn cluster_redirect(data: &[u8]) {
    let (head, line) = data.split_at(data.len().min(2));
    let [high, low] = [0, 1].map(|at| head.get(at).copied().unwrap_or_default());
    let (runs_script, own) = (high & 0x80 != 0, u16::from_be_bytes([high & 0x3f, low]));
    let line: Vec<u8> = line.iter().copied().filter(|byte| !b"\r\n".contains(byte)).collect();
    let Ok(Value::ServerError(error)) = parse_redis_value(&[b"-", &*line, b"\r\n"].concat()) else {
        return;
    };
    let named = error.details().and_then(|details| details.split(' ').next()?.parse::<u16>().ok());
    for slot in [Some(own), named.filter(|slot| *slot < 16_384), None] {
        let found = redirect(&error, slot, runs_script);
        let kind = error.kind();
        match &found {
            Some(ParsedRedirect::Moved(to) | ParsedRedirect::Ask(to)) => {
                sound(to);
                assert!(slot.is_some() && slot == named, "{error:?} is not of slot {slot:?}");
            }
            Some(ParsedRedirect::Later) => {
                assert!(matches!(kind, Some(ServerErrorKind::TryAgain | ServerErrorKind::ClusterDown)), "{error:?}");
            }
            Some(ParsedRedirect::CrossSlot) => assert_eq!(kind, Some(ServerErrorKind::CrossSlot)),
            None => {}
        }
        // A script is believed less than Redis, and never more.
        if runs_script && found.is_some() {
            assert_eq!(redirect(&error, slot, false), found);
        }
    }
    match explained(Value::ServerError(error.clone())) {
        Value::ServerError(told) => {
            assert_eq!((told.kind(), told.code()), (error.kind(), error.code()));
            let says = told.details().is_some_and(|details| details.contains("Topology::Auto"));
            assert_eq!(says, told != error, "{told:?}");
            assert_eq!(told != error, error.kind() == Some(ServerErrorKind::Moved), "{told:?}");
        }
        other => panic!("{other:?} of {error:?}"),
    }
}
