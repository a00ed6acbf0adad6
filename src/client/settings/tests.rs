use super::{reference::Reference, *};
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
        "token_manager": {"expiration_refresh_ratio": 0.9, "lower_refresh_bound": "3min"},
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
    assert!(config.validate().is_ok());
}

#[test]
fn what_is_missing_has_its_default() {
    let (config, default) = (read(json!({})).unwrap(), Config::new(Credential::from_env_later()));
    let shown = |config: Config| format!("{config:?}");
    assert_eq!(shown(config), shown(default));
    let config = read(json!({"host": "cache"})).unwrap();
    assert_eq!(config.located(|_| None).unwrap().0.port, 10_000);
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
    let Reference::File(path) = serde_json::from_value(json!({"file": file.path()})).unwrap() else {
        panic!("it is a file");
    };
    assert_eq!(Reference::File(path).read().unwrap().expose(), "s3cr3t");
    let error = principal(json!({"file": "/no/such/file"})).unwrap().validate().unwrap_err();
    assert!(error.to_string().contains("/no/such/file"), "{error}");
}
