//! Differential tests: what the `redis` crate's parser makes of the same bytes, ours makes too.

use super::*;
use crate::resp::line::LONGEST_LINE;
use proptest::{collection::vec, prelude::*};

/// Replies of every type, as servers send them.
const CORPUS: [&[u8]; 40] = [
    b"+OK\r\n",
    b"+\r\n",
    b"+PONG\r\n",
    b"+a\rb\r\n",
    b"-ERR no such key\r\n",
    b"-WRONGPASS invalid username-password pair or user is disabled.\r\n",
    b"-LOADING Redis is loading the dataset in memory\r\n",
    b"-CODE\r\n",
    b"-\r\n",
    b":0\r\n",
    b":-1\r\n",
    b":+7\r\n",
    b": 12\r\n",
    b":9223372036854775807\r\n",
    b":-9223372036854775808\r\n",
    b":1234567890123456789\r\n",
    b"$0\r\n\r\n",
    b"$3\r\na\r\n\r\n",
    b"$-1\r\n",
    b"$11\r\nhello world\r\n",
    b"*0\r\n",
    b"*-1\r\n",
    b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n",
    b"*3\r\n+OK\r\n-LOADING wait\r\n$-1\r\n",
    b"~2\r\n+a\r\n+b\r\n",
    b"~-1\r\n",
    b"%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n_\r\n",
    b"%0\r\n",
    b"_\r\n",
    b"#t\r\n",
    b"#f\r\n",
    b",1.5\r\n",
    b",inf\r\n",
    b",-1e300\r\n",
    b"(3492890328409238509324850943850943825024385\r\n",
    b"!21\r\nSYNTAX invalid syntax\r\n",
    b"=15\r\ntxt:Some string\r\n",
    b">3\r\n+message\r\n+channel\r\n$2\r\nhi\r\n",
    b"|1\r\n+ttl\r\n:3600\r\n*2\r\n:1\r\n:2\r\n",
    b"*2\r\n|1\r\n+a\r\n,1\r\n$1\r\nx\r\n=6\r\nmkd:ab\r\n",
];

/// `NaN` is not equal to itself, but it looks the same.
fn shown(value: &Value) -> String {
    format!("{value:?}")
}

fn same_as_theirs(bytes: &[u8]) {
    let theirs = redis::parse_redis_value(bytes).unwrap();
    // With more behind it, as in a buffer.
    let mut longer = bytes.to_vec();
    longer.extend_from_slice(b"+next\r\n");
    let (ours, len) = parse(&longer).unwrap();
    assert_eq!((shown(&ours), len), (shown(&theirs), bytes.len()), "{:?}", String::from_utf8_lossy(bytes));
}

/// Incomplete wherever it is cut; its end is found however it comes.
fn cut_anywhere(bytes: &[u8]) {
    let mut scan = Scan::new();
    for cut in 0..bytes.len() {
        let part = &bytes[..cut];
        assert!(matches!(parse(part), Err(Stop::Incomplete)), "cut at {cut}: {:?}", parse(part));
        assert_eq!(scan.resume(part).unwrap(), None, "cut at {cut}");
        assert!(scan.least() <= bytes.len(), "cut at {cut}: {} of {}", scan.least(), bytes.len());
    }
    assert_eq!(scan.resume(bytes).unwrap(), Some(bytes.len()));
    assert_eq!(Scan::new().resume(bytes).unwrap(), Some(bytes.len()));
}

#[test]
fn the_corpus_is_read_as_the_redis_crate_reads_it_and_cut_anywhere() {
    for bytes in CORPUS {
        same_as_theirs(bytes);
        cut_anywhere(bytes);
    }
}

#[test]
fn garbage_is_garbage_at_once() {
    for bytes in [
        &b"?\r\n"[..],
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\0\0\0",
        b"$x\r\n",
        b"$1\r\nabc",
        b"$99999999999999999999\r\n",
        b"*99999999999999999999\r\n",
        b"*\r\n",
        b"%-1\r\n",
        b"*1\r\n?",
        b"=-1\r\n",
        b"=7\r\ntxt:abcde\r\n",
        b"!3\r\nERRxy",
        // What is unreadable in front of it makes it no sounder.
        b"*2\r\n:x\r\n$1\r\nabc",
    ] {
        assert!(matches!(parse(bytes), Err(Stop::Garbage(_))), "{:?}", String::from_utf8_lossy(bytes));
        assert!(Scan::new().resume(bytes).is_err(), "{:?}", String::from_utf8_lossy(bytes));
        assert!(redis::parse_redis_value(bytes).is_err(), "{:?}", String::from_utf8_lossy(bytes));
    }
    assert!(matches!(parse(&vec![b'+'; LONGEST_LINE + 2]), Err(Stop::Garbage(_))));
}

/// Where the redis crate gives up on the whole connection, and the next reply is there for the next request.
#[test]
fn what_a_sound_frame_holds_is_its_own_requests_business() {
    for (bytes, expected) in [
        (&b":x\r\n"[..], "64 bits"),
        (b":1x\r\n", "64 bits"),
        (b":\r\n", "64 bits"),
        (b":\xff\r\n", "64 bits"),
        (b":9223372036854775808\r\n", "64 bits"),
        (b":-99999999999999999999\r\n", "64 bits"),
        (b"#T\r\n", "boolean"),
        (b"#\xff\r\n", "boolean"),
        (b",x\r\n", "double"),
        (b",\xff\r\n", "double"),
        (b"(1\xff\r\n", "big number"),
        (b"=3\r\nabc\r\n", "verbatim"),
        (b">1\r\n:1\r\n", "push"),
        (b">1\r\n$1\r\n\xff\r\n", "push"),
        (b"*3\r\n:1\r\n#T\r\n$1\r\na\r\n", "boolean"),
        (b"~1\r\n#T\r\n", "boolean"),
        (b"%1\r\n+key\r\n*1\r\n,x\r\n", "double"),
        (b"%1\r\n,x\r\n+value\r\n", "double"),
        (b"|1\r\n+ttl\r\n:x\r\n+OK\r\n", "64 bits"),
        (b"|1\r\n+ttl\r\n:1\r\n#T\r\n", "boolean"),
        (b">2\r\n+message\r\n:x\r\n", "64 bits"),
        // The first one is told.
        (b"*2\r\n:x\r\n#T\r\n", "64 bits"),
    ] {
        let shown = String::from_utf8_lossy(bytes);
        let whole = |buf: &[u8]| match parse(buf) {
            Err(Stop::Unreadable { len, problem }) => (len, problem),
            other => panic!("{shown:?}: {other:?}"),
        };
        let (len, problem) = whole(bytes);
        assert!(len == bytes.len() && problem.contains(expected), "{shown:?}: {problem}");
        assert_eq!(whole(&[bytes, b"+next\r\n"].concat()), (len, problem), "{shown:?}");
        cut_anywhere(bytes);
        assert!(redis::parse_redis_value(bytes).is_err(), "{shown:?}");
    }
}

/// A status is text, and text is read as errors are.
#[test]
fn text_that_is_no_utf_8_is_text_all_the_same() {
    let text = |text: &str| Value::SimpleString(text.to_owned());
    for (bytes, expected) in [
        (&b"+caf\xe9\r\n"[..], text("caf\u{fffd}")),
        (b"*2\r\n+\xff\r\n:1\r\n", Value::Array(vec![text("\u{fffd}"), Value::Int(1)])),
        (b"%1\r\n+\xff\r\n_\r\n", Value::Map(vec![(text("\u{fffd}"), Value::Nil)])),
        (b"_\xff\r\n", Value::Nil),
        (
            b"|1\r\n+\xff\r\n:1\r\n+OK\r\n",
            Value::Attribute { data: Box::new(Value::Okay), attributes: vec![(text("\u{fffd}"), Value::Int(1))] },
        ),
    ] {
        assert_eq!(parse(bytes).unwrap(), (expected, bytes.len()));
        cut_anywhere(bytes);
    }
    // An error in an attribute, in a push.
    for bytes in [&b"|1\r\n+x\r\n-ERR \xff\r\n+OK\r\n"[..], b">2\r\n+x\r\n-ERR \xff\r\n"] {
        assert!(parse(bytes).is_ok_and(|(_, len)| len == bytes.len()));
    }
}

#[test]
fn errors_that_quote_bytes_are_errors_all_the_same() {
    let bytes = b"-ERR unknown command '\xd0', with args beginning with: '\xff'\r\n";
    let (value, len) = parse(bytes).unwrap();
    assert_eq!(len, bytes.len());
    assert!(matches!(value, Value::ServerError(error) if error.details().unwrap().starts_with("unknown command")));
}

#[test]
fn depth_is_bounded_where_the_redis_crate_bounds_it() {
    for open in ["*1\r\n", "%1\r\n:1\r\n", "~1\r\n", "|1\r\n:1\r\n:1\r\n", ">2\r\n+x\r\n"] {
        for inner in [":1\r\n", "-ERR x\r\n", "*0\r\n"] {
            for depth in [98, 99, 100, 101, 50_000] {
                let bytes = [open.repeat(depth).as_bytes(), inner.as_bytes()].concat();
                let theirs = redis::parse_redis_value(&bytes);
                let ours = parse(&bytes);
                match (&ours, &theirs) {
                    (Ok((ours, _)), Ok(theirs)) => assert_eq!(shown(ours), shown(theirs)),
                    (Err(Stop::Unreadable { len, .. }), Err(_)) => assert_eq!(*len, bytes.len()),
                    _ => panic!("{open:?} × {depth}, {inner:?}: {ours:?} and {theirs:?}"),
                }
            }
        }
    }
}

#[test]
fn a_servers_word_alone_allocates_nothing() {
    for bytes in [&b"*4000000000\r\n"[..], b"%4000000000\r\n", b"~9223372036854775807\r\n", b"$9223372036854775000\r\n"]
    {
        assert!(matches!(parse(bytes), Err(Stop::Incomplete)), "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn a_huge_array_in_small_pieces_is_looked_at_once() {
    let bytes = [b"*200000\r\n".to_vec(), b":1\r\n".repeat(200_000)].concat();
    let mut scan = Scan::new();
    // Quadratic work would take minutes.
    for end in (0..bytes.len()).step_by(64) {
        assert_eq!(scan.resume(&bytes[..end]).unwrap(), None);
    }
    assert_eq!(scan.resume(&bytes).unwrap(), Some(bytes.len()));
}

/// A reply of any type, written as a server would.
fn reply() -> impl Strategy<Value = Vec<u8>> {
    let text = "[ -~]{0,20}";
    let leaf = prop_oneof![
        text.prop_map(|text| format!("+{text}\r\n").into_bytes()),
        text.prop_map(|text| format!("-{text}\r\n").into_bytes()),
        any::<i64>().prop_map(|number| format!(":{number}\r\n").into_bytes()),
        vec(any::<u8>(), 0..40)
            .prop_map(|bytes| { [format!("${}\r\n", bytes.len()).as_bytes(), &bytes, b"\r\n"].concat() }),
        Just(b"$-1\r\n".to_vec()),
        Just(b"*-1\r\n".to_vec()),
        Just(b"_\r\n".to_vec()),
        any::<bool>().prop_map(|yes| if yes { b"#t\r\n".to_vec() } else { b"#f\r\n".to_vec() }),
        any::<f64>().prop_map(|number| format!(",{number:?}\r\n").into_bytes()),
        any::<i128>().prop_map(|number| format!("({number}\r\n").into_bytes()),
        text.prop_map(|text| format!("!{}\r\n{text}\r\n", text.len()).into_bytes()),
        text.prop_map(|text| format!("={}\r\ntxt:{text}\r\n", text.len() + 4).into_bytes()),
    ];
    leaf.prop_recursive(6, 60, 6, |inner| {
        let some = |kind: char, inner: BoxedStrategy<Vec<u8>>| {
            vec(inner, 0..6)
                .prop_map(move |items| [format!("{kind}{}\r\n", items.len()).into_bytes(), items.concat()].concat())
        };
        let pairs = |inner: BoxedStrategy<Vec<u8>>| {
            vec((inner.clone(), inner), 0..4).prop_map(|pairs| {
                let body: Vec<u8> = pairs.iter().flat_map(|(key, value)| [key.as_slice(), value].concat()).collect();
                (pairs.len(), body)
            })
        };
        let inner = inner.boxed();
        prop_oneof![
            some('*', inner.clone()),
            some('~', inner.clone()),
            pairs(inner.clone()).prop_map(|(count, body)| [format!("%{count}\r\n").into_bytes(), body].concat()),
            (pairs(inner.clone()), inner.clone())
                .prop_map(|((count, body), value)| { [format!("|{count}\r\n").into_bytes(), body, value].concat() }),
            vec(inner, 0..4).prop_map(|items| {
                [format!(">{}\r\n+message\r\n", items.len() + 1).into_bytes(), items.concat()].concat()
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_reply_is_read_as_the_redis_crate_reads_it(bytes in reply()) {
        same_as_theirs(&bytes);
        cut_anywhere(&bytes);
    }

    /// Whatever comes: no panic, and no other verdict than the redis crate's.
    #[test]
    fn damaged_replies_are_read_as_the_redis_crate_reads_them(
        mut bytes in reply(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        match parse(&bytes) {
            Ok((value, len)) => {
                // Text need not be UTF-8 here.
                if str::from_utf8(&bytes[..len]).is_ok() {
                    prop_assert_eq!(shown(&redis::parse_redis_value(&bytes[..len]).unwrap()), shown(&value));
                }
                prop_assert_eq!(Scan::new().resume(&bytes).unwrap(), Some(len));
            }
            Err(stop) => {
                prop_assert!(redis::parse_redis_value(&bytes).is_err());
                if let Stop::Unreadable { len, .. } = stop {
                    prop_assert_eq!(Scan::new().resume(&bytes).unwrap(), Some(len));
                }
            }
        }
    }

    #[test]
    fn any_bytes_at_all_are_no_reason_to_panic(bytes in vec(any::<u8>(), 0..200)) {
        _ = parse(&bytes);
        _ = Scan::new().resume(&bytes);
    }
}
