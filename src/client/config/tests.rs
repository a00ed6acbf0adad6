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

/// The guide's table of settings.
const PAGE: &str = include_str!("../../guide/settings.md");

/// The default in the row that has this setting.
fn of_page(name: &str) -> &'static str {
    let named = format!("`{name}`");
    let mut rows = PAGE.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    let row = rows.find(|(names, _)| names.split([',', ' ']).any(|one| one == named));
    row.unwrap_or_else(|| panic!("no row for {named}")).1.split(" |").next().unwrap()
}

/// `30 s`, `3 min`.
fn time(text: &str) -> Duration {
    let (number, unit) = text.split_once(' ').unwrap();
    let number: u64 = number.parse().unwrap();
    match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "min" => Duration::from_secs(60 * number),
        _ => panic!("{text}"),
    }
}

#[test]
fn the_guide_has_every_default() {
    let (config, tokens) = (config(), TokenManagerConfig::new());
    for (name, value) in [
        ("topology_refresh_interval", config.topology_refresh_interval),
        ("command_timeout", config.command_timeout),
        ("connect_timeout", config.connect_timeout),
        ("auth_timeout", config.auth_timeout),
        ("startup_timeout", config.startup_timeout),
        ("ping_interval", config.ping_interval),
        ("lower_refresh_bound", tokens.lower_refresh_bound),
        ("min_refresh_interval", tokens.min_refresh_interval),
        ("token_request_execution_timeout", tokens.token_request_execution_timeout),
    ] {
        assert_eq!(time(of_page(name)), value, "{name}");
    }
    let number = |name: &str| -> usize { of_page(name).replace(',', "").parse().unwrap() };
    for (name, value) in [
        ("max_in_flight", config.max_in_flight),
        ("max_leased", config.max_leased),
        ("pubsub_buffer", config.pubsub_buffer),
        ("max_attempts", tokens.retry_policy.max_attempts as usize),
    ] {
        assert_eq!(number(name), value, "{name}");
    }
    let policy = &tokens.retry_policy;
    let delays = format!("{:?}, {}, {} s", policy.delay, policy.multiplier, policy.max_delay.as_secs());
    assert_eq!(of_page("max_delay").replace(" ms", "ms"), delays);
    assert_eq!(of_page("expiration_refresh_ratio"), tokens.expiration_refresh_ratio.to_string());
    assert!(of_page("pool_size").starts_with("4; of a cluster, 2 ") && config.pool_size.is_none());
    for (name, value) in
        [("startup", format!("`Startup::{:?}`", config.startup)), ("protocol", format!("{:?}", config.wire_protocol()))]
    {
        assert_eq!(of_page(name), value);
    }
}

#[test]
fn the_guide_has_every_setting() {
    let sources = [
        include_str!("../config.rs"),
        include_str!("limits.rs"),
        include_str!("times.rs"),
        include_str!("../../token/manager_config.rs"),
        include_str!("../../retry/policy.rs"),
        include_str!("../../credential/settings.rs"),
    ];
    let functions = sources.iter().flat_map(|source| source.split("    pub fn ").skip(1));
    let setters = functions.filter_map(|text| text.split_once("(mut self, ")).map(|(name, _)| name.split('<').next());
    let names: Vec<_> = setters.flatten().filter(|name| !name.contains('(')).collect();
    assert!(names.len() > 25, "{names:?}");
    for name in names {
        // These are what the sections of the table, and the page on TLS, are about.
        if !["credential", "token_manager", "retry_policy", "tls"].contains(&name) {
            of_page(name);
        }
    }
}

/// What the environment says of the cache, and of who is to be trusted.
fn environment(name: &str) -> Option<String> {
    let value = match name {
        "REDIS_URL" => "rediss://of-url@cache?protocol=resp2",
        "REDIS_CA_CERT" => "/ca.pem",
        _ => return None,
    };
    Some(value.to_owned())
}

#[test]
fn what_the_program_sets_wins_over_the_environment() {
    let located = |config: Config| config.endpoint_from_env().located(environment).unwrap().1;
    let seen = |config: &Config| (config.wire_protocol(), config.username.clone());
    let name = |name: &str| Some(UserName::new(name.to_owned()));
    assert_eq!(seen(&located(config())), (ProtocolVersion::RESP2, name("of-url")));
    let set = config().protocol(ProtocolVersion::RESP3).username("mine");
    assert_eq!(seen(&located(set)), (ProtocolVersion::RESP3, name("mine")));
}

#[test]
fn the_environment_names_authorities_where_the_program_has_set_no_tls() {
    let shown = |config: Config| format!("{:?}", config.transport_security(environment));
    let of_file = format!("{:?}", Tls::new().ca_file("/ca.pem"));
    assert_ne!(of_file, format!("{:?}", Tls::new()));
    assert_eq!(shown(config().endpoint_from_env()), of_file);
    assert_eq!(shown(config().endpoint_from_env().endpoint("cache", 1)), of_file);
    assert_eq!(shown(config()), format!("{:?}", Tls::new()), "it is not asked");
    let own = Tls::new().server_name("cache");
    for config in [config().tls(own.clone()).endpoint_from_env(), config().endpoint_from_env().tls(own.clone())] {
        assert_eq!(shown(config), format!("{own:?}"));
    }
}
