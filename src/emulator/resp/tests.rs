use super::*;
use proptest::{collection::vec, prelude::*};

/// Bytes that look like the protocol often enough to get past the first line.
fn input() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        "[*$+:_,#(!=~%>|?-]-?[0-9]{0,20}\r?\n".prop_map(String::into_bytes),
        "[*$%|]1\r\n".prop_map(String::into_bytes),
        "[a-zA-Z ]{0,12}\r?\n".prop_map(String::into_bytes),
        vec(any::<u8>(), 0..12),
    ];
    vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

/// A reply as some server sends it, in RESP3.
fn reply() -> impl Strategy<Value = Reply> {
    let leaf = prop_oneof![
        Just(Reply::OK),
        Just(Reply::Nil),
        any::<i64>().prop_map(Reply::Int),
        ".{0,20}".prop_map(Reply::error),
        vec(any::<u8>(), 0..40).prop_map(Reply::Bulk),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Reply::Array),
            vec(inner.clone(), 0..6).prop_map(Reply::Set),
            vec(inner.clone(), 0..6).prop_map(Reply::Push),
            vec((inner.clone(), inner), 0..6).prop_map(Reply::Map),
        ]
    })
}

/// However much of the input is there: what is found lies within it, and more input changes no verdict.
fn same_with_more<T: PartialEq + std::fmt::Debug>(
    bytes: &[u8],
    parse: impl Fn(&[u8]) -> Result<Option<T>, String>,
    len: impl Fn(&T) -> usize,
) {
    let mut first = None;
    for end in 0..=bytes.len() {
        let verdict = parse(&bytes[..end]);
        if let Ok(Some(found)) = &verdict {
            assert!((1..=end).contains(&len(found)), "{} of {end} bytes", len(found));
        }
        match &first {
            Some(first) => assert_eq!(first, &verdict, "another verdict with {end} bytes"),
            None if verdict == Ok(None) => {}
            None => first = Some(verdict),
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_request_or_an_error_or_incomplete(bytes in input()) {
        same_with_more(&bytes, parse_request, |request| request.len);
    }

    #[test]
    fn any_bytes_are_a_reply_or_an_error_or_incomplete(bytes in input()) {
        same_with_more(&bytes, frame_len, |len| *len);
    }

    #[test]
    fn what_is_written_is_measured_whole(reply in reply(), resp3 in any::<bool>(), rest in vec(any::<u8>(), 0..20)) {
        let mut bytes = Vec::new();
        reply.write(resp3, &mut bytes);
        let len = bytes.len();
        bytes.extend_from_slice(&rest);
        prop_assert_eq!(frame_len(&bytes), Ok(Some(len)));
        prop_assert_eq!(is_push(&bytes), resp3 && matches!(reply, Reply::Push(_)));
        for cut in 0..len {
            prop_assert_eq!(frame_len(&bytes[..cut]), Ok(None));
        }
    }

    #[test]
    fn a_request_of_any_bytes_is_read_as_it_was_sent(
        args in vec(vec(any::<u8>(), 0..40), 1..8),
        rest in vec(any::<u8>(), 0..20),
    ) {
        let mut bytes = Vec::new();
        Reply::Array(args.iter().map(Reply::bulk).collect()).write(false, &mut bytes);
        let len = bytes.len();
        bytes.extend_from_slice(&rest);
        prop_assert_eq!(parse_request(&bytes), Ok(Some(Request { args, len })));
        for cut in 0..len {
            prop_assert_eq!(parse_request(&bytes[..cut]), Ok(None));
        }
    }
}

#[test]
fn requests_come_whole_or_not_at_all() {
    let bytes = b"*2\r\n$3\r\nGET\r\n$4\r\nk\r\ny\r\nPING\r\n";
    let first = parse_request(bytes).unwrap().unwrap();
    assert_eq!((first.name().as_str(), first.arg(1), first.len), ("GET", Some(&b"k\r\ny"[..]), 23));
    assert_eq!(parse_request(&bytes[first.len..]).unwrap().unwrap().name(), "PING");
    for cut in 0..first.len {
        assert_eq!(parse_request(&bytes[..cut]).unwrap(), None, "cut at {cut}");
    }
}

#[test]
fn broken_requests_are_errors_not_panics() {
    for bytes in [&b"*x\r\n"[..], b"*99999999999\r\n", b"*1\r\n:1\r\n", b"*1\r\n$-1\r\n", b"*1\r\n$99999999999\r\n"] {
        assert!(parse_request(bytes).is_err(), "{bytes:?}");
    }
    assert!(parse_request(&vec![b'x'; LONGEST_LINE + 1]).is_err());
    assert_eq!(parse_request(b"*-1\r\n").unwrap().unwrap().args.len(), 0);
    assert_eq!(parse_request(b"\r\n").unwrap().unwrap().args.len(), 0);
}

#[test]
fn frames_of_every_kind_are_measured_and_cut_anywhere() {
    let frames: [&[u8]; 18] = [
        b"+OK\r\n",
        b"-ERR x\r\n",
        b":1\r\n",
        b"$3\r\na\r\n\r\n",
        b"$-1\r\n",
        b"*-1\r\n",
        b"*0\r\n",
        b"_\r\n",
        b",1.5\r\n",
        b"#t\r\n",
        b"(123\r\n",
        b"!3\r\nERR\r\n",
        b"=6\r\ntxt:ab\r\n",
        b"*2\r\n$1\r\na\r\n:1\r\n",
        b"~1\r\n+a\r\n",
        b"%1\r\n+a\r\n*1\r\n:1\r\n",
        b">2\r\n+message\r\n+x\r\n",
        b"|1\r\n+ttl\r\n:1\r\n+value\r\n",
    ];
    for frame in frames {
        let mut two = frame.to_vec();
        two.extend_from_slice(frame);
        assert_eq!(frame_len(&two), Ok(Some(frame.len())), "{:?}", String::from_utf8_lossy(frame));
        for cut in 0..frame.len() {
            assert_eq!(frame_len(&frame[..cut]), Ok(None), "{:?} cut at {cut}", String::from_utf8_lossy(frame));
        }
    }
    assert!(frame_len(b"?x\r\n").is_err());
    assert!(frame_len(b"$x\r\n").is_err());
    assert!(frame_len("*1\r\n".repeat(10_000).as_bytes()).is_err());
}

#[test]
fn replies_in_both_protocols() {
    let written = |reply: Reply, resp3| {
        let mut out = Vec::new();
        reply.write(resp3, &mut out);
        String::from_utf8(out).unwrap()
    };
    let map = Reply::Map(vec![(Reply::bulk("a"), Reply::Int(1))]);
    assert_eq!(written(map.clone(), true), "%1\r\n$1\r\na\r\n:1\r\n");
    assert_eq!(written(map, false), "*2\r\n$1\r\na\r\n:1\r\n");
    assert_eq!(written(Reply::Nil, true), "_\r\n");
    assert_eq!(written(Reply::Nil, false), "$-1\r\n");
    assert_eq!(written(Reply::NullArray, false), "*-1\r\n");
    assert_eq!(written(Reply::error("ERR a\r\nb"), true), "-ERR a  b\r\n");
    assert_eq!(written(Reply::Push(vec![Reply::OK]), true), ">1\r\n+OK\r\n");
}
