//! What the unit tests of pools, and of what stands above them, begin with.

use super::{DialPace, KeeperOptions, Leases, SeatTotal, Shared};
use crate::{
    admission::Admission,
    link::Setup,
    observe::journal::Journal,
    token::{AccessToken, TokenActor, TokenManagerConfig},
    transport::{dialer::Dialer, resolve::Resolver, tls::Transport},
};
use redis::ProtocolVersion;
use std::{sync::Arc, time::Duration};
use tokio_util::task::TaskTracker;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// Links that lead nowhere, with a token of an hour, and limits that nothing reaches; so many commands are let in. Must
/// be called on a runtime.
pub(crate) fn setup(most: usize) -> (Setup, Shared) {
    let journal = Journal::new("test");
    let source = || async { AccessToken::opaque("token", HOUR, "tester") };
    let (actor, tokens) = TokenActor::new(Arc::new(source), TokenManagerConfig::new(), None, journal.clone());
    tokio::spawn(actor.run());
    let setup = Setup {
        dialer: Dialer {
            host: "localhost".to_owned(),
            port: 1,
            resolver: Resolver::default(),
            transport: Transport::Plaintext,
            connect_timeout: HOUR,
            hint: None,
            misconfigured: None,
        },
        protocol: ProtocolVersion::RESP3,
        auth_timeout: HOUR,
        command_timeout: HOUR,
        links_opened: Arc::default(),
        asks_for_slots: Arc::default(),
        is_one_of_several: false,
        client_name: None,
        node: "localhost:1".into(),
        pool: journal.name(),
        tasks: TaskTracker::new(),
        multi: Arc::default(),
    };
    let options = KeeperOptions { auth_timeout: HOUR, ping_after: HOUR, ping_timeout: HOUR };
    let shared = Shared {
        tokens,
        journal,
        admission: Admission::new(most),
        availability: Arc::default(),
        pace: DialPace::new(),
        seats: SeatTotal::default(),
        leases: Leases::new(4),
        trouble: Arc::default(),
        options,
    };
    (setup, shared)
}
