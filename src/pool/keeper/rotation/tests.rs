use super::*;

#[test]
fn re_auths_are_spread_by_the_links_in_all_and_never_over_more_than_a_tenth_of_what_is_left() {
    const HOUR: Duration = Duration::from_secs(3600);
    for (links, life, expected) in
        [(4, HOUR, 1_000), (100, HOUR, 1_000), (1_000, HOUR, 10_000), (1_000, HOUR / 60, 6_000)]
    {
        assert_eq!(spread(links, life), Duration::from_millis(expected), "{links} links, {life:?} left");
    }
    assert_eq!(spread(4, Duration::from_secs(2)), Duration::from_millis(200));
    assert_eq!(spread(usize::MAX, HOUR), HOUR / 10);
}
