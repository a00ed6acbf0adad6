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
