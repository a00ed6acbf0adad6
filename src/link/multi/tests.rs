use super::*;

#[test]
fn only_what_is_refused_for_good_is_asked_for_each_time() {
    let reply = |line: &str| Ok::<_, ()>(redis::parse_redis_value(format!("{line}\r\n").as_bytes()).unwrap());
    let multi = Multi::default();
    assert!(!multi.must_be_asked_for(|| false) && multi.must_be_asked_for(|| true));
    for (line, asked) in [
        ("+OK", false),
        ("-NOAUTH Authentication required.", false),
        ("-NOPERM this user has no permissions to run the 'multi' command", true),
        ("-LOADING Redis is loading the dataset in memory", true),
        ("+OK", false),
        ("-ERR unknown command 'MULTI'", true),
    ] {
        multi.note(&reply(line));
        assert_eq!(multi.must_be_asked_for(|| unreachable!()), asked, "{line}");
    }
}
