use super::*;

#[test]
fn patterns_of_keyspace_notifications_are_told_from_others() {
    let is = |pattern: &str| Topic::Pattern(pattern.into()).is_of_each_node();
    for pattern in ["__keyspace@0__:*", "__keyevent@*:set", "__key*__:*", "__keyspace@*", "__key[es]*", "__keyspac?*"] {
        assert!(is(pattern), "{pattern}");
    }
    for pattern in ["*", "__*", "_", "news*", "__keyboard*", "x__keyspace@0__:*", "[_]_keyspace@*"] {
        assert!(!is(pattern), "{pattern}");
    }
    assert!(Topic::Channel(b"__keyevent@0__:del".to_vec()).is_of_each_node());
    assert!(!Topic::Sharded(b"__keyevent@0__:del".to_vec()).is_of_each_node());
}
