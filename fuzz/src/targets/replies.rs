//! Replies of a server.

use entra_redis::{
    bench_api::parsers::{ParsedReply, Pieces, reply},
    redis::{Value, parse_redis_value},
};

/// Bytes are a reply, or none, or the beginning of one: in pieces as in whole, and by the `redis` crate as here.
pub fn resp_reply(data: &[u8]) {
    let whole = reply(data);
    let in_one = Pieces::new().resume(data);
    match &whole {
        ParsedReply::Whole(_, len) | ParsedReply::Unreadable(len) => assert_eq!(in_one, Ok(Some(*len))),
        ParsedReply::Incomplete => assert_eq!(in_one, Ok(None)),
        ParsedReply::Garbage => assert!(in_one.is_err(), "{in_one:?}"),
    }
    for size in [1, 2, 7] {
        assert_eq!(in_pieces(data, size), in_one, "in pieces of {size} bytes");
    }
    let (ParsedReply::Whole(_, len) | ParsedReply::Unreadable(len)) = whole else {
        return;
    };
    // What follows is nobody's business, and what lacks a byte is no reply.
    assert!(matches!(reply(&data[..len - 1]), ParsedReply::Incomplete), "{len} bytes, and one less");
    let alone = reply(&data[..len]);
    assert_eq!(format!("{alone:?}"), format!("{whole:?}"));
    // NaN is not equal to itself, but looks like it.
    if let Ok(theirs) = parse_redis_value(&data[..len]) {
        match alone {
            ParsedReply::Whole(ours, _) => assert_eq!(format!("{ours:?}"), format!("{theirs:?}")),
            other => panic!("the redis crate reads {theirs:?}, here it is {other:?}"),
        }
    }
}

/// Looks for the end of a reply with every so many bytes that come.
fn in_pieces(data: &[u8], size: usize) -> Result<Option<usize>, &'static str> {
    let mut pieces = Pieces::new();
    for end in (0..data.len()).step_by(size).chain([data.len()]) {
        if let Some(len) = pieces.resume(&data[..end])? {
            assert!(len <= end && pieces.least() <= end);
            return Ok(Some(len));
        }
    }
    Ok(None)
}

/// A push of any elements is a push of this kind, or its frame is sound all the same.
pub fn resp_push(data: &[u8]) {
    let (count, elements) = data.split_first().map_or((0, data), |(count, elements)| (count % 8, elements));
    let push = [format!(">{count}\r\n").as_bytes(), elements].concat();
    resp_reply(&push);
    if let ParsedReply::Whole(value, len) = reply(&push) {
        let Value::Push { data, .. } = value else {
            panic!("{value:?} is no push");
        };
        assert_eq!(data.len(), usize::from(count).saturating_sub(1));
        // A reply may follow: it begins where the push ends.
        let followed = [&push[..len], b"+OK\r\n"].concat();
        assert!(matches!(reply(&followed), ParsedReply::Whole(Value::Push { .. }, same) if same == len));
    }
}
