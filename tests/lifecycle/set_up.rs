//! Where the cache is can be said by a URL or by the environment, and connections can be given a name.

use common::{Fixture, SECOND, eventually, within};
use entra_redis::{
    Config, Credential, EntraRedis, ErrorKind, Startup,
    emulator::{Emulator, IdentityFault},
};
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
        // With a setting of one's own, and with a credential of one's own.
        let named = Config::from_env().unwrap().client_name("named");
        for config in [named.clone(), Config::new(Credential::from_env().unwrap()).endpoint_from_env()] {
            let mut redis = EntraRedis::open(config).await.unwrap();
            let () = redis.set("from", "the environment").await.unwrap();
        }
        // What the program says wins.
        let error = EntraRedis::open(named.endpoint("localhost", 1)).await.unwrap_err();
        assert!(error.to_string().contains("no connection to localhost:1"), "{error}");
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
        child.env(IS_CHILD, "1").env("REDIS_CA_CERT", &ca_file).envs(variables.iter().cloned()).kill_on_drop(true);
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
async fn the_emulators_settings_say_where_it_is() {
    let emulator = common::start(Emulator::builder()).await;
    for config in [emulator.config(), emulator.managed_identity_config()] {
        let mut redis = EntraRedis::open(config).await.unwrap();
        let () = redis.set("key", 1).await.unwrap();
    }
}

#[tokio::test]
async fn every_connection_has_the_name_that_it_is_given() {
    let (_emulator, mut redis) =
        Fixture::on_redis(3600 * SECOND).links(2).config(|config| config.client_name("orders-7")).up().await;
    let clients: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut redis).await.unwrap();
    assert_eq!(clients.matches(" name=orders-7 ").count(), 2, "{clients}");
}

/// A service may start before its cache does.
#[tokio::test]
async fn a_lazy_start_returns_at_once_and_serves_when_it_can() {
    let emulator = common::start(Emulator::builder()).await;
    emulator.redis_front().refuse_connections(true);
    let config = emulator.config().startup(Startup::Lazy).command_timeout(SECOND);
    let connect = EntraRedis::connect(emulator.host(), emulator.port(), config);
    let mut redis = within("connect returns", SECOND, connect).await.unwrap();
    assert!(!redis.manager().ready() && !redis.manager().health().is_ready());

    let error = redis.set::<_, _, ()>("key", 1).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    let shown = error.to_string();
    assert!(shown.contains("was not sent") && shown.contains("the last attempt"), "{shown}");
    let why = redis.manager().health().to_string();
    assert!(why.contains("no connection: "), "{why}");
    assert!(redis.manager().stats().last_connect_error.is_some());

    let mut waiting = redis.clone();
    let (set, ()) = tokio::join!(waiting.set::<_, _, ()>("key", 2), async {
        let waits = async || (redis.manager().stats().commands.waiting == 1).then_some(());
        eventually("it waits", SECOND, waits).await;
        emulator.redis_front().refuse_connections(false);
    });
    // What is between two attempts may be longer than the rest of its time.
    assert!(set.is_ok_and(|()| true) || redis.set::<_, _, ()>("key", 2).await.is_ok());
    assert_eq!(redis.get::<_, u8>("key").await.unwrap(), 2);
    assert!(redis.manager().ready());
}

#[tokio::test]
async fn a_lazy_start_says_what_the_identity_provider_said_and_heals() {
    let emulator = common::start(Emulator::builder()).await;
    emulator.identity().script(vec![IdentityFault::WrongSecret; 2]);
    let config = emulator.config().startup(Startup::Lazy);
    let mut redis = EntraRedis::connect(emulator.host(), emulator.port(), config).await.unwrap();
    let error = redis.set::<_, _, ()>("key", 1).await.unwrap_err();
    assert!(error.to_string().contains("AADSTS7000215"), "{error}");
    let healed = async || redis.clone().set::<_, _, ()>("key", 1).await.ok();
    eventually("it serves", 60 * SECOND, healed).await;
}

#[tokio::test]
async fn a_wrong_setting_is_an_error_with_a_lazy_start_too() {
    let config = Config::new(Credential::azure_cli()).startup(Startup::Lazy).pool_size(0);
    let error = EntraRedis::connect("localhost", 1, config).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn a_lazy_start_finds_a_cluster() {
    let emulator = common::start(Emulator::builder().embedded_cluster(3)).await;
    let config = emulator.config().startup(Startup::Lazy);
    let mut redis = EntraRedis::connect(emulator.host(), emulator.port(), config).await.unwrap();
    let pairs: Vec<_> = (0..50).map(|n| (format!("key-{n}"), n)).collect();
    // As the first command: it is taken apart by nodes all the same.
    let () = redis.mset(&pairs).await.unwrap();
    assert_eq!(redis.manager().stats().nodes.len(), 3);
}

#[tokio::test]
async fn a_lazy_start_can_be_shut_down_before_it_serves() {
    let emulator = common::start(Emulator::builder()).await;
    emulator.redis_front().refuse_connections(true);
    let config = emulator.config().startup(Startup::Lazy);
    let redis = EntraRedis::connect(emulator.host(), emulator.port(), config).await.unwrap();
    let mut waiting = redis.clone();
    let (set, ()) = tokio::join!(waiting.set::<_, _, ()>("key", 2), async {
        let waits = async || (redis.manager().stats().commands.waiting == 1).then_some(());
        eventually("it waits", SECOND, waits).await;
        within("the end", SECOND, redis.shutdown()).await;
    });
    assert!(set.unwrap_err().to_string().contains("shut down"));
}
