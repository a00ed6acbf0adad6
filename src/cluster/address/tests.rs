use super::*;
use proptest::prelude::*;

fn seed() -> NodeAddress {
    NodeAddress::new("Seed.Example", 10_000)
}

fn parsed(text: &str) -> Option<String> {
    NodeAddress::parse(text, &seed()).map(|address| address.to_string())
}

#[test]
fn addresses_are_read_in_all_the_forms_that_redis_writes() {
    for (text, expected) in [
        ("10.1.2.3:8501", "10.1.2.3:8501"),
        ("Node-1.Example:8501", "node-1.example:8501"),
        (":8502", "seed.example:8502"),
        ("?:8502", "seed.example:8502"),
        ("0.0.0.0:8502", "seed.example:8502"),
        (":::8502", "seed.example:8502"),
        ("::0:8502", "seed.example:8502"),
        ("[0:0::]:8502", "seed.example:8502"),
        ("::ffff:0.0.0.0:8502", "seed.example:8502"),
        ("[::1]:6379", "[::1]:6379"),
        ("::1:6379", "[::1]:6379"),
        ("0:0:0:0:0:0:0:1:6379", "[::1]:6379"),
        ("[FE80::A]:1", "[fe80::a]:1"),
        ("fe80::1%Eth0:1", "[fe80::1%Eth0]:1"),
        ("2001:db8::8501:8501", "[2001:db8::8501]:8501"),
    ] {
        assert_eq!(parsed(text).as_deref(), Some(expected), "{text}");
    }
}

#[test]
fn what_is_no_address_is_none() {
    for text in [
        "",
        "host",
        "host:",
        "host:0",
        "host:65536",
        "host:+1",
        "host:-1",
        "host: 1",
        "host:1 ",
        "a b:1",
        "[]:1",
        "a:b:1",
        "::g:1",
        "host\n:1",
        "http://host:1",
        "ho\u{0}st:1",
    ] {
        assert_eq!(parsed(text), None, "{text:?}");
    }
    assert_eq!(parsed(&format!("{}:1", "a".repeat(254))), None);
}

#[test]
fn one_node_has_one_key() {
    let same = |a: &str, b: &str| assert_eq!(NodeAddress::new(a, 1), NodeAddress::new(b, 1));
    same("HOST", "host");
    same("[::1]", "::1");
    same("0:0::1", "::1");
    assert_ne!(NodeAddress::new("host", 1), NodeAddress::new("host", 2));
    assert_eq!((seed().host(), seed().port()), ("seed.example", 10_000));
}

proptest! {
    #[test]
    fn any_text_is_an_address_or_none(text in ".{0,40}") {
        if let Some(address) = NodeAddress::parse(&text, &seed()) {
            prop_assert_eq!(NodeAddress::parse(&address.to_string(), &seed()), Some(address));
        }
    }

    #[test]
    fn what_looks_like_an_address_is_read_back_as_written(text in "[]\\[:%.a-f0-9?A-F]{0,24}:[0-9]{1,6}") {
        if let Some(address) = NodeAddress::parse(&text, &seed()) {
            prop_assert_eq!(NodeAddress::parse(&address.to_string(), &seed()), Some(address));
        }
    }
}
