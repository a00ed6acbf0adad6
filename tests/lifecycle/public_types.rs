//! What users may do with the public types: send them between tasks, print them, clone them. Checked when it compiles.

use entra_redis::{
    AccessToken, CacheStats, ClientCertificate, Cloud, CommandStats, Config, ConnectionManager, Counters, Credential,
    Dedicated, Delivery, EntraRedis, Error, ErrorKind, Event, FailedCommands, GapReason, Health, LinkPurpose,
    LinkState, LinkStats, ManagedIdentity, NodeEndpoint, NodeStats, Overload, PubSub, PubSubSink, PubSubStream,
    RetryPolicy, Secret, Stage, Startup, Stats, Tls, TokenFailure, TokenManagerConfig, TokenStats, Topic, Topology,
    TrackingStats,
    emulator::{
        AuthFault, Cluster, ClusterNode, Emulator, EmulatorBuilder, ExpiresOn, FrontConnection, FrontStats, Identity,
        IdentityFault, Migration, NodeRole, RedisFront, TokenClaims,
    },
};
use std::{fmt::Debug, future::Future};

fn value<T: Clone + Debug + Send + Sync + Unpin + 'static>() {}

fn shared<T: Debug + Send + Sync + Unpin + 'static>() {}

#[cfg(feature = "near-cache")]
#[test]
fn those_of_the_near_cache_too() {
    value::<entra_redis::CacheOptions>();
    value::<entra_redis::CachedRedis>();
}

#[cfg(any(feature = "fred", feature = "rustis", feature = "streaming-credentials"))]
#[test]
fn those_for_other_clients_too() {
    value::<entra_redis::EntraCredentials>();
}

#[test]
fn those_of_the_emulator_too() {
    value::<AuthFault>();
    value::<Cluster>();
    value::<ClusterNode>();
    value::<EmulatorBuilder>();
    value::<ExpiresOn>();
    value::<FrontConnection>();
    value::<FrontStats>();
    value::<Identity>();
    value::<IdentityFault>();
    value::<RedisFront>();
    value::<TokenClaims>();
    shared::<Emulator>();
    shared::<Migration>();
    copied::<NodeRole>();
}

fn copied<T: Copy + Debug + Eq + Send + Sync + Unpin + 'static>() {}

fn sent<T: Future + Send>(_: &T) {}

#[test]
fn public_types_can_be_sent_printed_and_cloned() {
    value::<AccessToken>();
    value::<CacheStats>();
    value::<ClientCertificate>();
    value::<Cloud>();
    value::<CommandStats>();
    value::<Config>();
    value::<Counters>();
    value::<Credential>();
    value::<Delivery>();
    value::<EntraRedis>();
    value::<Error>();
    value::<Event>();
    value::<FailedCommands>();
    value::<Health>();
    value::<LinkStats>();
    value::<ManagedIdentity>();
    value::<NodeEndpoint>();
    value::<NodeStats>();
    value::<PubSubSink>();
    value::<RetryPolicy>();
    value::<Secret>();
    value::<Stats>();
    value::<Tls>();
    value::<TokenFailure>();
    value::<TokenManagerConfig>();
    value::<TokenStats>();
    value::<Topic>();
    value::<TrackingStats>();
    shared::<ConnectionManager>();
    shared::<Dedicated>();
    shared::<PubSub>();
    shared::<PubSubStream>();
    copied::<ErrorKind>();
    copied::<GapReason>();
    copied::<LinkPurpose>();
    copied::<LinkState>();
    copied::<Overload>();
    copied::<Stage>();
    copied::<Startup>();
    copied::<Topology>();
}

#[test]
fn futures_of_the_handle_may_run_on_any_thread() {
    let config = Config::new(Credential::custom(async || AccessToken::opaque("token", std::time::Duration::MAX, "me")));
    sent(&EntraRedis::connect("localhost", 1, config.clone()));
    sent(&EntraRedis::open(config));
    sent(&EntraRedis::from_env());
}

#[test]
fn futures_of_commands_and_subscriptions_may_run_on_any_thread() {
    // Not called: it is enough that they compile.
    let _: fn(EntraRedis) = futures_of_commands;
    let _: fn(PubSub) = futures_of_subscriptions;
}

fn futures_of_commands(mut redis: EntraRedis) {
    let mut command = redis::cmd("GET");
    command.arg("key");
    sent(&command.query_async::<i64>(&mut redis));
    sent(&redis::pipe().get("key").query_async::<i64>(&mut redis));
    sent(&redis.shutdown());
    sent(&redis.pubsub());
}

fn stream<S: futures_util::Stream<Item = Delivery> + Send + Unpin>(_: S) {}

fn futures_of_subscriptions(mut pubsub: PubSub) {
    sent(&pubsub.subscribe("channel"));
    sent(&pubsub.unsubscribe(&["channel"]));
    sent(&pubsub.psubscribe(vec!["pattern*"]));
    sent(&pubsub.punsubscribe(String::from("pattern*")));
    sent(&pubsub.ssubscribe(b"channel"));
    sent(&pubsub.sunsubscribe(("channel", "channel")));
    stream(pubsub.on_message());
    let (_sink, read): (PubSubSink, PubSubStream) = pubsub.split();
    stream(read);
}
