//! Where the cache is can be said by a URL or by the environment, and connections can be given a name.

use common::{Fixture, SECOND, within};
use entra_redis::{Config, Credential, EntraRedis, ErrorKind};
use redis::AsyncCommands;
use std::{env, fs};
use tokio::process::Command;

/// Set for the process that a test starts of itself.
const IS_CHILD: &str = "ENTRA_REDIS_TEST_CHILD";

#[tokio::test]
async fn a_url_says_where_to_connect_and_as_whom() {
    let (emulator, _) = Fixture::new().connect().await;
    let url = format!("rediss://{}@{}:{}", emulator.object_id(), emulator.host(), emulator.port());
    let config = Config::from_url(&url).unwrap().credential(emulator.credential()).tls(emulator.tls());
    let mut redis = EntraRedis::open(config).await.unwrap();
    let () = redis.set("key", 1).await.unwrap();

    let stranger = format!("rediss://stranger@{}:{}", emulator.host(), emulator.port());
    let config = Config::from_url(&stranger).unwrap().credential(emulator.credential()).tls(emulator.tls());
    let error = EntraRedis::open(config).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AuthenticationRejected);
    assert!(error.to_string().contains("`stranger`"), "{error}");
}

#[tokio::test]
async fn a_password_in_a_url_is_an_error_that_does_not_show_it() {
    let error = Config::from_url("rediss://me:hunter2@cache.westeurope.redis.azure.net:10000").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("password") && !format!("{error:?} {error}").contains("hunter2"), "{error:?}");
}

#[tokio::test]
async fn to_open_something_it_must_be_said_where() {
    let error = EntraRedis::open(Config::new(Credential::azure_cli())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("`endpoint`"), "{error}");
    let error = Config::from_url("rediss://cache").unwrap().client_name("two words");
    let error = EntraRedis::open(error).await.unwrap_err();
    assert!(error.to_string().contains("`client_name`"), "{error}");
}

#[tokio::test]
async fn the_environment_says_where_to_connect_and_as_whom() {
    if env::var_os(IS_CHILD).is_some() {
        let mut redis = EntraRedis::from_env().await.unwrap();
        let () = redis.set("from", "the environment").await.unwrap();
        return;
    }
    let (emulator, mut redis) = Fixture::new().connect().await;
    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("ca.pem");
    fs::write(&ca_file, emulator.ca_pem()).unwrap();
    // As Azure's Service Connector names a service principal.
    let connector = vec![
        ("AZURE_AUTHORITY_HOST", emulator.authority_host()),
        ("AZURE_REDIS_CLIENTID", emulator.client_id().to_owned()),
        ("AZURE_REDIS_CLIENTSECRET", emulator.client_secret().to_owned()),
        ("AZURE_REDIS_TENANTID", emulator.tenant_id().to_owned()),
        ("AZURE_REDIS_HOST", emulator.host().to_owned()),
        ("REDIS_PORT", emulator.port().to_string()),
    ];
    let mut url = emulator.env();
    url.retain(|(name, _)| !name.starts_with("REDIS_"));
    url.push(("REDIS_URL", format!("rediss://{}:{}", emulator.host(), emulator.port())));
    for variables in [emulator.env(), connector, url] {
        let () = redis.del("from").await.unwrap();
        let mut child = Command::new(env::current_exe().unwrap());
        child.args(["--exact", "set_up::the_environment_says_where_to_connect_and_as_whom"]).env_clear();
        child.env(IS_CHILD, "1").env("SSL_CERT_FILE", &ca_file).envs(variables.iter().cloned()).kill_on_drop(true);
        let output = within("it connects", 30 * SECOND, child.output()).await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        assert_eq!(redis.get::<_, Option<String>>("from").await.unwrap().as_deref(), Some("the environment"));
    }
}

#[tokio::test]
async fn a_variable_that_is_missing_is_named() {
    if env::var_os(IS_CHILD).is_some() {
        let error = EntraRedis::from_env().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("`REDIS_HOST` is not set"), "{error}");
        return;
    }
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", "set_up::a_variable_that_is_missing_is_named"]).env_clear().env(IS_CHILD, "1");
    let output = within("it fails", 30 * SECOND, child.kill_on_drop(true).output()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test]
async fn every_connection_has_the_name_that_it_is_given() {
    let (_emulator, mut redis) =
        Fixture::on_redis(3600 * SECOND).links(2).config(|config| config.client_name("orders-7")).up().await;
    let clients: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut redis).await.unwrap();
    assert_eq!(clients.matches(" name=orders-7 ").count(), 2, "{clients}");
}
