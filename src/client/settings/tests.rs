use super::{reference::Reference, *};
use crate::{retry::RetryPolicy, transport::tls::Tls};
use serde_json::json;
use std::{fs, time::Duration};

const ID: &str = "7e57e57e-0000-4000-8000-000000000002";

fn read(settings: serde_json::Value) -> Result<Config, String> {
    serde_json::from_value(settings).map_err(|error| error.to_string())
}

#[test]
fn settings_have_the_names_of_the_setters() {
    let config = read(json!({
        "url": "rediss://me@cache:7", "credential": {"managed_identity": {"client_id": ID}},
        "pool_size": 2, "command_timeout": "2s", "connect_timeout": "250ms", "auth_timeout": "1min 30s",
        "token_manager": {"expiration_refresh_ratio": 0.9, "lower_refresh_bound": "3min",
            "retry_policy": {"max_attempts": 3, "delay": "1s", "max_delay": "9s", "multiplier": 1.5}},
        "imds_host": "127.0.0.1:9", "tenant_id": "tenant.example",
        "tls": {"server_name": "cache"}, "overload": "wait", "topology": "oss_cluster", "startup": "lazy",
        "protocol": "resp2", "max_in_flight": 10, "pubsub_buffer": 7, "retry_reads": true, "client_name": "orders",
    }))
    .unwrap();
    let (target, config) = config.located(|_| None).unwrap();
    assert_eq!(
        (target.host.as_str(), target.port, config.username.as_ref().map(UserName::expose)),
        ("cache", 7, Some("me"))
    );
    assert!(format!("{:?}", config.credential).contains(&format!(r#"UserAssignedClientId(\"{ID}\")"#)));
    assert_eq!((config.pool_size, config.max_in_flight, config.retry_reads), (Some(2), 10, true));
    assert_eq!(config.pubsub_buffer, 7);
    assert_eq!(config.command_timeout, Duration::from_secs(2));
    assert_eq!(config.connect_timeout, Duration::from_millis(250));
    assert_eq!(config.auth_timeout, Duration::from_secs(90));
    assert_eq!((config.overload, config.topology), (Overload::Wait, Topology::OssCluster));
    assert_eq!((config.startup, config.wire_protocol()), (Startup::Lazy, ProtocolVersion::RESP2));
    let policy = RetryPolicy::new().max_attempts(3).delay(Duration::from_secs(1)).max_delay(Duration::from_secs(9));
    assert_eq!(config.token_manager.retry_policy, policy.multiplier(1.5));
    assert!(format!("{:?}", config.credential).contains("127.0.0.1:9"));
    assert!(config.validate().is_ok());
}

#[test]
fn what_is_missing_has_its_default() {
    let (config, default) = (read(json!({})).unwrap(), Config::new(Credential::from_env_later()));
    let shown = |config: Config| format!("{config:?}");
    assert_eq!(shown(config), shown(default));
    let config = read(json!({"host": "cache"})).unwrap();
    assert_eq!(config.located(|_| None).unwrap().0.port, 10_000);
    let config = read(json!({"host": "cache.redis.cache.windows.net"})).unwrap();
    assert_eq!(config.located(|_| None).unwrap().0.port, 6380, "as with a URL, and with the environment");
}

/// A file has no order: of the two, the one that says more counts.
#[test]
fn an_authority_host_counts_beside_a_cloud() {
    let config = read(json!({"cloud": "china", "authority_host": "https://login.example"})).unwrap();
    let shown = format!("{:?}", config.credential);
    assert!(shown.contains("China") && shown.contains("login.example"), "{shown}");
}

#[test]
fn certificates_and_keys_are_texts_and_secrets() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "a key\n").unwrap();
    let tls = json!({"ca_pem": "a", "client_cert_pem": "b", "client_key_pem": {"file": file.path()}});
    let config = read(json!({"tls": tls})).unwrap();
    let expected = Tls::new().ca_pem("a").client_cert_pem("b").client_key_pem("a key");
    assert_eq!(format!("{:?}", config.tls.as_ref().unwrap()), format!("{expected:?}"));
    assert!(config.validate().is_ok());
    let chain = json!({"client_id": ID, "tenant_id": "b", "certificate_file": "c.pem", "send_chain": true});
    let config = read(json!({"credential": {"service_principal": chain}})).unwrap();
    assert!(format!("{:?}", config.credential).contains("send_chain: true"));
}

#[test]
fn what_is_wrong_is_refused_with_its_name() {
    for (settings, parts) in [
        (json!({"pool_sise": 2}), &["pool_sise"][..]),
        (json!({"tls": {"verify": false}}), &["verify"]),
        (json!({"command_timeout": "soon"}), &["`soon`", "5s"]),
        (json!({"command_timeout": "-5s"}), &["`-5s`"]),
        (json!({"command_timeout": 5}), &["string"]),
        (json!({"url": "rediss://a:hunter2@b"}), &["password"]),
        (json!({"url": "rediss://a", "host": "b"}), &["`url`", "`host`"]),
        (json!({"port": 1}), &["`port`"]),
        (json!({"credential": {"service_principal": {"client_id": "a", "tenant_id": "b"}}}), &["`client_secret`"]),
        (
            json!({"credential": {"service_principal":
                {"client_id": "a", "tenant_id": "b", "client_secret": 271_828}}}),
            &["a number", "a reference to a secret"],
        ),
        (
            json!({"credential": {"service_principal":
                {"client_id": "a", "tenant_id": "b", "client_secret": {"env": "ENTRA_REDIS_NOT_SET"}}}}),
            &["`ENTRA_REDIS_NOT_SET`"],
        ),
        (
            json!({"credential": {"service_principal":
                {"client_id": "a", "tenant_id": "b", "client_secret": "hunter2"}}}),
            &["a reference to a secret"],
        ),
    ] {
        let read = read(settings.clone());
        let problem = read.and_then(|config| config.validate().map_err(|error| error.to_string())).unwrap_err();
        let names_it = parts.iter().all(|part| problem.contains(part));
        assert!(names_it && !problem.contains("hunter2"), "{settings}: {problem}");
    }
}

/// Readers of TOML show the line of what is wrong while they read: it is told later, and without what stands there.
#[test]
fn where_a_secret_may_stand_nothing_is_told_while_reading() {
    let principal = |more: serde_json::Value| {
        let mut fields = json!({"client_id": ID, "tenant_id": "tenant.example"});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"credential": {"service_principal": fields}})
    };
    let by = |reference: serde_json::Value| principal(json!({"client_secret": reference}));
    for (settings, parts) in [
        (principal(json!({"client_secrett": "hunter2"})), &["`client_secrett`"][..]),
        (principal(json!({"hunter2": 1})), &["not shown"]),
        (principal(json!({"client_secret": "hunter2", "tenant_id": null})), &["`tenant_id`"]),
        (principal(json!({"client_secret": "hunter2", "tenant_id": 5})), &["`tenant_id`"]),
        (
            principal(json!({"client_secret": {"env": "A"}, "certificate_password": "hunter2"})),
            &["`certificate_password`"],
        ),
        (principal(json!({"client_secret": {"env": "A"}, "send_chain": true})), &["`send_chain`"]),
        (principal(json!({"certificate_file": "a", "certificate_password": "hunter2"})), &["a reference"]),
        (json!({"credential": "hunter2"}), &["`credential`", "service_principal"]),
        (json!({"credential": {"service_principle": {"client_secret": "hunter2"}}}), &["service_principal"]),
        (json!({"credential": {"managed_identity": "hunter2"}}), &["system_assigned", "`client_id`"]),
        (json!({"credential": {"managed_identity": {"client_secret": "hunter2"}}}), &["`client_id`"]),
        (json!({"password": "hunter2"}), &["`password` is no setting"]),
        (json!({"a": 1, "secrets": [{"b": "hunter2"}]}), &["`secrets` is no setting"]),
        (json!({"token_manager": {"secret": "hunter2"}}), &["`secret` is no setting"]),
        (json!({"token_manager": {"retry_policy": {"secret": "hunter2"}}}), &["`secret` is no setting"]),
        (json!({"tls": {"client_key": "hunter2"}}), &["`client_key` is no setting"]),
        (json!({"tls": {"client_key_pem": "hunter2"}}), &["`tls`", "a reference"]),
        // Other things that are wrong, too, may stand in the same line.
        (json!({"port": 1, "credential": "hunter2"}), &["`credential`"]),
        // Templates that were filled in by mistake.
        (by(json!({"env": "hunter2"})), &["`env`", "not shown"]),
        (by(json!({"env": "HUNTER2HUNTER2HUNTER2"})), &["`env`", "not shown"]),
        (by(json!({"file": "hunter2"})), &["`file`", "not shown"]),
        (by(json!({"file": "/hunter2hunter2hunter2hunter2hunter2hunter2"})), &["`file`", "not shown"]),
    ] {
        let config = read(settings.clone()).unwrap_or_else(|told| panic!("{settings}: {told} is told while reading"));
        let problem = config.validate().unwrap_err().to_string();
        let is_told = parts.iter().all(|part| problem.contains(part));
        assert!(is_told && !problem.to_lowercase().contains("hunter2"), "{settings}: {problem}");
        assert!(!format!("{config:?}").to_lowercase().contains("hunter2"), "{settings}");
    }
}

/// What is no secret is told where it stands.
#[test]
fn what_is_wrong_and_no_secret_is_told_while_reading() {
    for settings in [
        json!({"pool_sise": 2}),
        json!({"comand_timeout": "5s"}),
        json!({"tls": {"verify": false}}),
        json!({"token_manager": {"retry_policy": {"max_atempts": 2}}}),
        json!({"port": 1}),
    ] {
        assert!(read(settings.clone()).is_err(), "{settings}");
    }
}

#[test]
fn a_secret_is_read_from_where_it_is() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "s3cr3t\n").unwrap();
    let principal = |secret: serde_json::Value| {
        let principal = json!({"client_id": ID, "tenant_id": "tenant.example", "client_secret": secret});
        read(json!({"credential": {"service_principal": principal}}))
    };
    let config = principal(json!({"file": file.path()})).unwrap();
    let shown = format!("{config:?}");
    assert!(
        shown.contains(&format!("service principal {ID} in tenant tenant.example")) && !shown.contains("s3cr3t"),
        "{shown}"
    );
    assert_eq!(Reference::of(&json!({"file": file.path()})).read().unwrap().expose(), "s3cr3t");
    let error = principal(json!({"file": "/no/such/file"})).unwrap().validate().unwrap_err();
    assert!(error.to_string().contains("/no/such/file"), "{error}");
}
