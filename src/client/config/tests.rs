use super::*;

fn config() -> Config {
    Config::new(Credential::service_principal("app", "secret", "tenant"))
}

#[test]
fn nonsense_is_named() {
    let zero = Duration::ZERO;
    for (config, setting) in [
        (config().pool_size(0), "`pool_size`"),
        (config().pool_size(usize::MAX), "`pool_size`"),
        (config().username(" "), "`username`"),
        (config().startup_timeout(zero), "`startup_timeout`"),
        (config().connect_timeout(zero), "`connect_timeout`"),
        (config().auth_timeout(zero), "`auth_timeout`"),
        (config().command_timeout(zero), "`command_timeout`"),
        (config().command_timeout(Duration::MAX), "`command_timeout`"),
        (config().shutdown_timeout(zero), "`shutdown_timeout`"),
        (config().ping_interval(zero), "`ping_interval`"),
    ] {
        let problem = config.validate().unwrap_err().to_string();
        assert!(problem.starts_with(setting), "{problem}");
    }
    assert!(config().validate().is_ok());
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
