use super::*;

fn found(pairs: &[(&str, &str)]) -> (Option<String>, u16, Option<&'static str>) {
    let get = |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let place = Place::find(None, None, get);
    (place.host, place.port, place.problem.and_then(|problem| problem.cause).map(Cause::name))
}

#[test]
fn the_environment_says_where_the_cache_is() {
    let at = |host: &str, port| (Some(host.to_owned()), port, None);
    assert_eq!(found(&[]), (None, 10_000, None));
    assert_eq!(found(&[("REDIS_HOST", "a"), ("REDIS_PORT", "7")]), at("a", 7));
    assert_eq!(found(&[("AZURE_REDIS_HOST", "a.redis.cache.windows.net")]), at("a.redis.cache.windows.net", 6380));
    assert_eq!(found(&[("REDIS_URL", "rediss://me@a:7/0")]), at("a", 7));
    assert_eq!(found(&[("REDIS_URL", "rediss://[::1]")]), at("::1", 10_000));
    assert_eq!(found(&[("REDIS_HOST", "a:7")]), at("a", 7));
    let both = found(&[("REDIS_URL", "rediss://b"), ("REDIS_HOST", "a")]);
    assert_eq!(both, (Some("a".to_owned()), 10_000, Some("settings_contradict")));
    for (name, value, cause) in [
        ("REDIS_URL", "rediss://me:key@a:7", "access_key_given"),
        ("REDIS_URL", "redis://a:6379", "url_without_tls"),
        ("REDIS_URL", "a:10000", "url_malformed"),
        ("REDIS_URL", "rediss://a:b", "url_malformed"),
        ("REDIS_PORT", "many", "port_malformed"),
    ] {
        assert_eq!(found(&[(name, value)]).2, Some(cause), "{value}");
    }
    let place = Place::find(Some("x"), Some(1), |_| Some("y".to_owned()));
    assert_eq!((place.host.as_deref(), place.port), (Some("x"), 1));
    // `--host "$HOST"` without such a variable.
    let place = Place::find(Some(" "), None, |_| None);
    assert_eq!((place.host.as_deref(), place.port), (None, 10_000));
}
