use super::*;

fn target(url: &str) -> (String, u16, Option<String>) {
    let Target { host, port, username, .. } = Target::of_url("url", url).unwrap();
    (host, port, username.map(|name| name.expose().to_owned()))
}

fn problem(url: &str) -> String {
    Target::of_url("url", url).unwrap_err().to_string()
}

#[test]
fn a_url_says_where_the_cache_is() {
    assert_eq!(
        target("rediss://cache.westeurope.redis.azure.net:10000"),
        ("cache.westeurope.redis.azure.net".to_owned(), 10_000, None)
    );
    assert_eq!(target("rediss://cache.westeurope.redis.azure.net").1, 10_000);
    assert_eq!(target("rediss://cache.redis.cache.windows.net/").1, 6380);
    // The first regions of Azure Managed Redis.
    assert_eq!(target("rediss://cache.westeurope.redis.cache.windows.net").1, 10_000);
    assert_eq!(target("rediss://[::1]:1/0"), ("::1".to_owned(), 1, None));
    assert_eq!(target("rediss://me%40home@127.0.0.1:7").2.as_deref(), Some("me@home"));
    let resp2 = Target::of_url("url", "rediss://host?protocol=resp2").unwrap();
    assert_eq!(resp2.protocol, Some(ProtocolVersion::RESP2));
}

#[test]
fn a_url_that_asks_for_something_else_is_refused_with_the_reason() {
    for (url, reason) in [
        ("rediss://user:hunter2@host:1", "holds a password"),
        ("rediss://:hunter2@host:1", "holds a password"),
        ("redis://host", "without TLS"),
        ("http://host", "must begin with `rediss://`"),
        ("host:10000", "must begin with `rediss://`"),
        ("", "is no URL"),
        ("rediss://", "has no host"),
        ("rediss://host/1", "database"),
        ("rediss://host/?db=1", "parameter"),
        ("rediss://host#insecure", "fragment"),
        ("rediss://host:99999", "is no URL"),
    ] {
        let problem = problem(url);
        assert!(problem.contains(reason), "{url}: {problem}");
        assert!(!problem.contains("hunter2"), "{problem}");
    }
}

fn of(pairs: &[(&str, &str)]) -> Result<(String, u16), String> {
    let get = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    Target::of_variables(get).map(|target| (target.host, target.port)).map_err(|error| error.to_string())
}

#[test]
fn the_environment_says_where_the_cache_is() {
    let host = "cache.westeurope.redis.azure.net";
    let there = |port| Ok((host.to_owned(), port));
    assert_eq!(of(&[("REDIS_HOST", host)]), there(10_000));
    assert_eq!(of(&[("REDIS_HOST", host), ("REDIS_PORT", "7")]), there(7));
    assert_eq!(of(&[("REDIS_HOST", &format!("{host}:7"))]), there(7));
    assert_eq!(of(&[("REDIS_HOST", &format!("{host}:7")), ("REDIS_PORT", "7")]), there(7));
    assert_eq!(of(&[("AZURE_REDIS_HOST", host)]), there(10_000));
    assert_eq!(of(&[("REDIS_HOST", ""), ("AZURE_REDIS_HOST", host), ("REDIS_PORT", "")]), there(10_000));
    assert_eq!(
        of(&[("AZURE_REDIS_HOST", "a.redis.cache.windows.net")]),
        Ok(("a.redis.cache.windows.net".to_owned(), 6380))
    );
    assert_eq!(of(&[("REDIS_URL", &format!("rediss://{host}"))]), there(10_000));
    assert_eq!(of(&[("REDIS_URL", &format!("rediss://{host}")), ("REDIS_HOST", host)]), there(10_000));
    assert_eq!(of(&[("REDIS_HOST", "::1")]), Ok(("::1".to_owned(), 10_000)));
}

#[test]
fn variables_that_are_missing_or_contradict_each_other_are_named() {
    for (pairs, parts) in [
        (&[][..], &["REDIS_HOST", "REDIS_URL", "AZURE_REDIS_HOST"][..]),
        (&[("REDIS_HOST", "a"), ("REDIS_PORT", "many")], &["REDIS_PORT"]),
        (&[("REDIS_HOST", "a"), ("REDIS_PORT", "70000")], &["REDIS_PORT"]),
        (&[("REDIS_HOST", "a"), ("REDIS_URL", "rediss://b")], &["REDIS_HOST", "REDIS_URL"]),
        (&[("REDIS_PORT", "1"), ("REDIS_URL", "rediss://b:2")], &["REDIS_PORT", "REDIS_URL"]),
        (&[("REDIS_HOST", "a:7"), ("REDIS_PORT", "8")], &["REDIS_HOST", "REDIS_PORT"]),
        (&[("AZURE_REDIS_HOST", "[::1]:7"), ("REDIS_PORT", "8")], &["AZURE_REDIS_HOST", "REDIS_PORT"]),
        (&[("REDIS_HOST", "https://a/b")], &["REDIS_HOST"]),
        (&[("REDIS_HOST", "me:secret@a")], &["REDIS_HOST"]),
        (&[("REDIS_URL", "rediss://me:secret@a")], &["REDIS_URL", "password"]),
    ] {
        let problem = of(pairs).unwrap_err();
        assert!(
            parts.iter().all(|part| problem.contains(part)) && !problem.contains("secret@"),
            "{pairs:?}: {problem}"
        );
    }
}

#[test]
fn hosts_are_names_or_addresses() {
    for host in ["cache.westeurope.redis.azure.net", "localhost", "10.0.0.4", "::1", "a_b.c."] {
        assert_eq!(checked_host(host).unwrap(), host);
    }
    assert_eq!(checked_host("[::1]").unwrap(), "::1");
    for host in ["", " ", "a b", "rediss://cache", "cache:10000", "a..b", "[::1", "host/path", "é", ".", "-\0"] {
        let problem = checked_host(host).unwrap_err().to_string();
        assert!(problem.starts_with("`host`"), "{host}: {problem}");
    }
}

#[test]
fn what_is_no_host_is_not_shown() {
    let shown = |host: &str| format!("{:?}", Target::new(host.to_owned(), 1));
    assert!(shown("cache").contains(r#""cache""#) && shown("[::1]").contains("::1"));
    for host in ["cache:6380,password=hunter2=,ssl=True", "rediss://:hunter2@cache", ""] {
        assert!(!shown(host).contains("hunter2") && shown(host).contains("not shown"), "{}", shown(host));
    }
}
