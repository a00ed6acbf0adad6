//! Broken set-ups: what is wrong with each of them, the step that tells, the cause, and the command that is next.

use crate::{
    Trial,
    ground::{Shown, in_time, resetting_server, silent_server, step, tls_server},
};
use common::{
    http::Listener,
    logs,
    ports::{Deaf, Refusing},
    server::Server,
};
use entra_redis::emulator::{AuthFault, Emulator, EmulatorBuilder};
use futures_util::{FutureExt, StreamExt, future::LocalBoxFuture, stream};
use serde_json::Value;
use std::time::Duration;

/// One row of the table.
struct SetUp {
    name: &'static str,
    /// What Azure is like.
    azure: fn() -> EmulatorBuilder,
    /// What is wrong.
    broken: for<'a> fn(&'a mut Trial) -> LocalBoxFuture<'a, ()>,
    /// Where it shows, how, and by which of these names: what a resolver says differs between machines.
    step: &'static str,
    state: &'static str,
    causes: &'static [&'static str],
    /// What the next command has in it, in this order.
    next: &'static [&'static str],
}

const OBJECT_ID: &str = "7e57e57e-0000-4000-8000-000000000003";
const CLIENT_ID: &str = "7e57e57e-0000-4000-8000-000000000002";
const GROUP: &str = "7e57e57e-0000-4000-8000-00000000d00d";
const CREATE: &str = "az redisenterprise database access-policy-assignment create";

fn usual() -> EmulatorBuilder {
    Emulator::builder()
}

/// Rows whose change waits for nothing.
macro_rules! change {
    ($trial:ident => $body:expr) => {
        |$trial| {
            $body;
            async {}.boxed_local()
        }
    };
}

const FAILED: &str = "failed";
const WARNING: &str = "warning";

#[rustfmt::skip]
const SET_UPS: &[SetUp] = &[
    SetUp { name: "wrong secret", azure: usual, broken: change!(t => t.set("AZURE_CLIENT_SECRET", "wr0ng-secret")),
        step: "token", state: FAILED, causes: &["secret_wrong"],
        next: &["export AZURE_CLIENT_SECRET=\"$(az ad app credential reset --id", CLIENT_ID] },
    SetUp { name: "expired secret", azure: usual, broken: change!(t => t.refuse(7_000_222)),
        step: "token", state: FAILED, causes: &["secret_expired"], next: &["az ad app credential reset --id", CLIENT_ID] },
    SetUp { name: "no assignment", azure: usual,
        broken: change!(t => t.azure.redis_front().script_first_auth([AuthFault::WrongPass])),
        step: "auth", state: FAILED, causes: &["assignment_missing"], next: &[CREATE, "--object-id", OBJECT_ID] },
    SetUp { name: "the client id as the user name", azure: usual, broken: change!(t => t.option("--username", CLIENT_ID)),
        step: "auth", state: FAILED, causes: &["user_name_is_client_id"], next: &["entra-redis doctor --host localhost"] },
    SetUp { name: "a group's id as the user name", azure: usual,
        broken: change!(t => { t.azure.identity().set_groups([GROUP]); t.option("--username", GROUP) }),
        step: "auth", state: FAILED, causes: &["user_name_is_group"], next: &["entra-redis doctor --host localhost"] },
    SetUp { name: "the id of a group that the token does not name", azure: usual,
        broken: change!(t => t.option("--username", GROUP)),
        step: "auth", state: FAILED, causes: &["user_name_wrong"], next: &["entra-redis doctor --host localhost"] },
    SetUp { name: "a guest in another tenant", azure: usual, broken: change!(t => t.refuse(50_020)),
        step: "token", state: FAILED, causes: &["guest_in_other_tenant"],
        next: &["az login --tenant 7e57e57e-0000-4000-8000-000000000001"] },
    SetUp { name: "AADSTS650052", azure: usual, broken: change!(t => t.refuse(650_052)),
        step: "token", state: FAILED, causes: &["redis_principal_missing"],
        next: &["az ad sp create --id acca5fbb-b7e4-4009-81f1-37e38fd66d78"] },
    SetUp { name: "AADSTS650057", azure: usual, broken: change!(t => t.refuse(650_057)),
        step: "token", state: FAILED, causes: &["redis_permission_missing"],
        next: &["az ad app permission grant --id", CLIENT_ID, "--api acca5fbb-b7e4-4009-81f1-37e38fd66d78"] },
    SetUp { name: "an application of another tenant", azure: usual, broken: change!(t => t.set("AZURE_CLIENT_ID", GROUP)),
        step: "token", state: FAILED, causes: &["app_unknown"], next: &["az ad app show --id", GROUP] },
    SetUp { name: "identity not assigned", azure: usual, broken: change!(t => t.managed_identity(Some(GROUP))),
        step: "token", state: FAILED, causes: &["identity_not_assigned"], next: &["az vm identity assign", GROUP] },
    SetUp { name: "IMDS blocked by a firewall that drops", azure: usual, broken: change!(t => {
            let deaf = Deaf::new();
            t.managed_identity(None);
            t.set("AZURE_POD_IDENTITY_AUTHORITY_HOST", format!("http://{}", deaf.address));
            t.keep(deaf);
        }),
        step: "token", state: FAILED, causes: &["imds_unreachable"], next: &["curl", "Metadata:true", "169.254.169.254"] },
    SetUp { name: "IMDS blocked by a firewall that refuses", azure: usual, broken: change!(t => {
            let refusing = Refusing::new();
            t.managed_identity(None);
            t.set("AZURE_POD_IDENTITY_AUTHORITY_HOST", format!("http://{}", refusing.address));
            t.keep(refusing);
        }),
        step: "token", state: FAILED, causes: &["imds_unreachable"], next: &["curl", "Metadata:true", "169.254.169.254"] },
    SetUp { name: "a proxy in the way of IMDS", azure: usual, broken: |t| async {
            let proxy = Listener::answering("403 Forbidden", "Content-Type: text/html", "<html>blocked</html>").await;
            t.managed_identity(None);
            t.set("AZURE_POD_IDENTITY_AUTHORITY_HOST", proxy.url());
            t.keep(proxy);
        }.boxed_local(),
        step: "token", state: FAILED, causes: &["imds_answered_by_other"], next: &["curl --noproxy '*'", "169.254.169.254"] },
    SetUp { name: "port 6379 in the place of 10000", azure: usual,
        broken: change!(t => { silent_server("127.77.0.1:10000"); t.cache("127.77.0.1", 6379) }),
        step: "tcp", state: FAILED, causes: &["port_wrong"], next: &["entra-redis doctor", "--port 10000"] },
    SetUp { name: "port 6380 in the place of 10000", azure: usual,
        broken: change!(t => { silent_server("127.77.0.2:10000"); t.cache("127.77.0.2", 6380) }),
        step: "tcp", state: FAILED, causes: &["port_wrong"], next: &["entra-redis doctor", "--port 10000"] },
    SetUp { name: "port 10000 in the place of 6380", azure: usual,
        broken: change!(t => { silent_server("127.77.0.3:6380"); t.cache("127.77.0.3", 10_000) }),
        step: "tcp", state: FAILED, causes: &["port_wrong"], next: &["entra-redis doctor", "--port 6380"] },
    SetUp { name: "a port without TLS", azure: usual,
        broken: change!(t => { let redis = Server::start(); t.cache("localhost", redis.plain_port); t.keep(redis) }),
        step: "tls", state: FAILED, causes: &["plain_text_port"], next: &["entra-redis doctor", "--port 10000"] },
    SetUp { name: "a private link's own name", azure: usual,
        broken: change!(t => t.cache("no-such-cache-here.westeurope.privatelink.redis.azure.net", 10_000)),
        step: "dns", state: FAILED, causes: &["private_link_name"],
        next: &["entra-redis doctor --host no-such-cache-here.westeurope.redis.azure.net"] },
    SetUp { name: "NXDOMAIN", azure: usual, broken: change!(t => t.cache("no-such-cache.invalid", 10_000)),
        step: "dns", state: FAILED, causes: &["name_not_found", "dns_unavailable", "dns_silent"],
        next: &["nslookup no-such-cache.invalid"] },
    SetUp { name: "a misspelt name of Azure's", azure: usual, broken: change!(t => t.cache("cache..redis.azure.net", 10_000)),
        step: "dns", state: FAILED, causes: &["name_not_found"], next: &["az redisenterprise list --query '[].hostName'"] },
    SetUp { name: "node ports closed", azure: || Emulator::builder().embedded_cluster(3),
        broken: |t| async { t.azure.cluster().unwrap().kill(2).await.unwrap() }.boxed_local(),
        step: "nodes", state: FAILED, causes: &["node_ports_closed"],
        next: &["az network nsg rule create", "--destination-port-ranges", "8500-8599"] },
    SetUp { name: "CA missing", azure: usual,
        broken: change!(t => { let (_, other) = tls_server(&Shown::default()); t.trust(&other) }),
        step: "tls", state: FAILED, causes: &["ca_missing"], next: &["entra-redis doctor", "--ca-file '<FILE>'"] },
    SetUp { name: "CA file missing", azure: usual, broken: change!(t => t.set("REDIS_CA_CERT", "/no/such/file.pem")),
        step: "tls", state: FAILED, causes: &["ca_file_unusable"], next: &["entra-redis doctor", "--ca-file '<FILE>'"] },
    SetUp { name: "expired certificate", azure: usual, broken: change!(t => {
            let (address, ca) = tls_server(&Shown { expired: true, ..Shown::default() });
            t.cache("localhost", address.port());
            t.trust(&ca);
        }),
        step: "tls", state: FAILED, causes: &["certificate_expired"], next: &["openssl s_client -connect localhost:"] },
    SetUp { name: "a certificate for another name", azure: usual, broken: change!(t => {
            let (address, ca) = tls_server(&Shown { name: "cache.westeurope.redis.azure.net", ..Shown::default() });
            t.cache("localhost", address.port());
            t.trust(&ca);
        }),
        step: "tls", state: FAILED, causes: &["certificate_name_wrong"],
        next: &["entra-redis doctor", "--server-name cache.westeurope.redis.azure.net"] },
    SetUp { name: "a proxy that looks into TLS", azure: usual, broken: change!(t => {
            let (address, _) = tls_server(&Shown { issuer: "Zscaler Intermediate Root CA", ..Shown::default() });
            t.cache("localhost", address.port());
        }),
        step: "tls", state: FAILED, causes: &["tls_intercepted"], next: &["openssl s_client -connect localhost:"] },
    SetUp { name: "the clock 2 h off", azure: usual,
        broken: change!(t => t.azure.identity().set_clock_ahead(Duration::from_secs(7200))),
        step: "token", state: WARNING, causes: &["clock_off"], next: &["sudo timedatectl set-ntp true"] },
    SetUp { name: "a firewall that drops", azure: usual,
        broken: change!(t => {
            let deaf = Deaf::at([127, 77, 0, 5].into());
            t.cache("127.77.0.5", deaf.address.port());
            t.keep(deaf);
        }),
        step: "tcp", state: FAILED, causes: &["port_filtered"],
        next: &["az network nsg rule create", "--direction Outbound --access Allow", "--destination-port-ranges"] },
    SetUp { name: "a firewall that resets", azure: usual,
        broken: change!(t => { let address = resetting_server(); t.cache("localhost", address.port()) }),
        step: "tls", state: FAILED, causes: &["connection_reset"], next: &["az network nsg rule create"] },
    SetUp { name: "a port that nobody listens on", azure: usual,
        broken: change!(t => { let port = Refusing::new(); t.cache("127.77.0.4", port.address.port()); t.keep(port) }),
        step: "tcp", state: FAILED, causes: &["port_closed"], next: &["entra-redis doctor", "--port 10000"] },
    SetUp { name: "read-only policy", azure: || Emulator::builder().redis_server(),
        broken: |t| t.tell("ACL SETUSER default -@write").boxed_local(),
        step: "data", state: FAILED, causes: &["access_read_only"], next: &["entra-redis doctor", "--read-only"] },
    SetUp { name: "key pattern limits", azure: || Emulator::builder().redis_server(),
        broken: |t| t.tell("ACL SETUSER default resetkeys ~app:*").boxed_local(),
        step: "data", state: FAILED, causes: &["keys_limited"], next: &["entra-redis doctor", "--key-prefix '<PREFIX>'"] },
    SetUp { name: "a full cache", azure: || Emulator::builder().redis_server(),
        broken: |t| t.tell("CONFIG SET maxmemory 1").boxed_local(),
        step: "data", state: FAILED, causes: &["memory_full"], next: &["az redisenterprise update"] },
    SetUp { name: "RESP2-only server", azure: usual, broken: change!(t => t.azure.redis_front().without_hello(true)),
        step: "auth", state: FAILED, causes: &["resp2_only"], next: &["entra-redis doctor", "--resp2"] },
    SetUp { name: "a cluster that is taken for one endpoint", azure: || Emulator::builder().embedded_cluster(3),
        broken: change!(t => t.option("--topology", "single-endpoint")),
        step: "topology", state: FAILED, causes: &["cluster_unexpected"], next: &["entra-redis doctor", "--topology auto"] },
    SetUp { name: "one endpoint that is taken for a cluster", azure: || Emulator::builder().enterprise_policy(),
        broken: change!(t => t.option("--topology", "oss-cluster")),
        step: "topology", state: FAILED, causes: &["cluster_missing"], next: &["entra-redis doctor", "--topology auto"] },
    SetUp { name: "maxclients", azure: usual, broken: change!(t => {
            let full = AuthFault::Error("ERR max number of clients reached".to_owned());
            t.azure.redis_front().script_first_auth([full]);
        }),
        step: "auth", state: FAILED, causes: &["max_clients"], next: &["az redisenterprise update"] },
    SetUp { name: "10 s AUTH", azure: usual,
        broken: change!(t => t.azure.redis_front().auth_delay(Duration::from_secs(10))),
        step: "auth", state: WARNING, causes: &["auth_slow"], next: &["az redisenterprise show"] },
    SetUp { name: "an AUTH that is never answered", azure: usual,
        broken: change!(t => t.azure.redis_front().script_first_auth([AuthFault::Silent])),
        step: "auth", state: FAILED, causes: &["auth_silent"], next: &["az redisenterprise show"] },
    SetUp { name: "keys disabled, and a key in the environment", azure: usual,
        broken: change!(t => t.set("REDIS_PASSWORD", "an-access-key-of-the-cache")),
        step: "environment", state: WARNING, causes: &["access_key_given"], next: &["unset REDIS_PASSWORD"] },
    SetUp { name: "keys disabled, and the user of the keys", azure: usual,
        broken: change!(t => t.option("--username", "default")),
        step: "auth", state: FAILED, causes: &["user_name_is_default"], next: &["entra-redis doctor --host localhost"] },
    SetUp { name: "an access key as the user name", azure: usual,
        broken: change!(t => t.option("--username", "an-access-key-of-the-cache")),
        step: "auth", state: FAILED, causes: &["user_name_wrong"], next: &["entra-redis doctor --host localhost"] },
    SetUp { name: "an access key as the user name of the URL", azure: usual, broken: change!(t => {
            let url = format!("rediss://an-access-key-of-the-cache@{}:{}", t.azure.host(), t.azure.port());
            t.unset("REDIS_HOST");
            t.unset("REDIS_PORT");
            t.set("REDIS_URL", url);
        }),
        step: "auth", state: FAILED, causes: &["user_name_wrong"], next: &["entra-redis doctor --host localhost"] },
    SetUp { name: "federated token file missing", azure: usual, broken: change!(t => {
            t.unset("AZURE_CLIENT_SECRET");
            t.set("AZURE_FEDERATED_TOKEN_FILE", "/no/such/token");
        }),
        step: "token", state: FAILED, causes: &["token_file_missing"], next: &["kubectl get pod", "azure\\.workload\\.identity/use"] },
    SetUp { name: "federated token file old", azure: usual, broken: change!(t => {
            t.unset("AZURE_CLIENT_SECRET");
            let old = t.file("token", t.azure.federated_token_with_lifetime(Duration::ZERO));
            t.set("AZURE_FEDERATED_TOKEN_FILE", old);
        }),
        step: "token", state: FAILED, causes: &["token_file_old"], next: &["kubectl delete pod"] },
    SetUp { name: "keys disabled, and a key in the URL", azure: usual,
        broken: change!(t => {
            t.unset("REDIS_HOST");
            t.set("REDIS_URL", "rediss://:an-access-key-of-the-cache@localhost:10000");
        }),
        step: "environment", state: FAILED, causes: &["access_key_given"],
        next: &["export REDIS_URL=rediss://localhost:10000"] },
    SetUp { name: "client id and client secret in each other's place", azure: usual,
        broken: change!(t => {
            t.set("AZURE_CLIENT_ID", "Kq8~secret-in-the-wrong-place");
            t.set("AZURE_CLIENT_SECRET", CLIENT_ID);
        }),
        step: "environment", state: FAILED, causes: &["client_id_malformed"], next: &["export AZURE_CLIENT_ID="] },
    SetUp { name: "no tenant", azure: usual, broken: change!(t => t.unset("AZURE_TENANT_ID")),
        step: "environment", state: FAILED, causes: &["credential_incomplete"], next: &["export AZURE_TENANT_ID="] },
    SetUp { name: "no host", azure: usual, broken: change!(t => t.unset("REDIS_HOST")),
        step: "environment", state: FAILED, causes: &["host_missing"], next: &["export REDIS_HOST="] },
    SetUp { name: "a URL in the place of the host", azure: usual,
        broken: change!(t => t.cache("rediss://:an-access-key-of-the-cache@cache.redis.azure.net:10000", 10_000)),
        step: "environment", state: FAILED, causes: &["host_malformed"],
        next: &["entra-redis doctor --host cache.redis.azure.net --port 10000"] },
];

/// What is not as the row says.
fn complaint(set_up: &SetUp, report: &Value, code: Option<i32>) -> Option<String> {
    let found = step(report, set_up.step);
    let (cause, next) = (found["cause"].as_str().unwrap_or_default(), found["next"].as_str().unwrap_or_default());
    let (verdict, expected) = if set_up.state == FAILED { ("broken", 1) } else { ("well", 0) };
    let mut rest = next;
    let in_order = set_up.next.iter().all(|part| match rest.split_once(part) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    });
    // What comes first is what is looked at first.
    let steps = report["steps"].as_array().unwrap();
    let first = steps.iter().find(|step| step["cause"].is_string()).map(|step| &step["step"]);
    let is_right = found["state"] == set_up.state
        && set_up.causes.contains(&cause)
        && in_order
        && report["verdict"] == verdict
        && code == Some(expected)
        && first.is_some_and(|first| first == set_up.step);
    (!is_right).then(|| format!("{}: exit status {code:?}, {found:#}\nin {report:#}", set_up.name))
}

#[tokio::test]
async fn each_broken_set_up_is_told_with_its_cause_and_its_next_step() {
    logs::forbid("wr0ng-secret");
    logs::forbid("an-access-key-of-the-cache");
    logs::forbid("Kq8~secret-in-the-wrong-place");
    let only = std::env::var("SET_UP").ok();
    let rows = SET_UPS.iter().filter(|row| only.as_deref().is_none_or(|only| row.name == only));
    let complaints: Vec<_> = stream::iter(rows)
        .map(|row| async move {
            let mut trial = Trial::start((row.azure)()).await;
            (row.broken)(&mut trial).await;
            let run = in_time(trial.run()).await;
            complaint(row, &run.json(), run.code)
        })
        .buffer_unordered(6)
        .filter_map(std::future::ready)
        .collect()
        .await;
    assert!(complaints.is_empty(), "{}", complaints.join("\n\n"));
}

#[test]
fn there_are_enough_of_them_and_each_has_a_name_of_its_own() {
    let mut names: Vec<_> = SET_UPS.iter().map(|row| row.name).collect();
    names.sort_unstable();
    names.dedup();
    assert!(names.len() == SET_UPS.len() && names.len() >= 30, "{}", names.len());
}
