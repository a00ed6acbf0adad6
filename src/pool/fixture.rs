//! What the unit tests of pools, and of what stands above them, begin with.

use super::{DialPace, KeeperOptions, Leases, Pool, Roster, SeatTotal, Shared, orders::Order};
use crate::{
    admission::Admission,
    error::Error,
    link::{Link, Setup},
    observe::journal::Journal,
    token::{AccessToken, TokenActor, TokenManagerConfig},
    transport::{dialer::Dialer, resolve::Resolver, tls::Transport},
};
use redis::ProtocolVersion;
use std::{sync::Arc, time::Duration};
use tokio_util::task::TaskTracker;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// Links whose dials stay under way, tokens that `fetch` gives, and limits that nothing reaches; so many commands are
/// let in. The token actor does not run yet.
pub(crate) fn setup_with(
    most: usize,
    fetch: impl Fn() -> Result<AccessToken, Error> + Send + Sync + 'static,
) -> (Setup, Shared, TokenActor) {
    let journal = Journal::new("test");
    let source = Arc::new(move || std::future::ready(fetch()));
    let (actor, tokens) = TokenActor::new(source, TokenManagerConfig::default(), None, journal.clone());
    let setup = Setup {
        dialer: Dialer {
            host: "localhost".to_owned(),
            port: 1,
            resolver: Resolver::custom(|_, _| std::future::pending()),
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
    (setup, shared, actor)
}

/// The same with tokens of an hour, which are there. Must be called on a runtime.
pub(crate) fn setup(most: usize) -> (Setup, Shared) {
    let (setup, shared, actor) = setup_with(most, || AccessToken::opaque("token", HOUR, "tester"));
    tokio::spawn(actor.run());
    (setup, shared)
}

/// A link that somebody has asked for, to have it alone.
pub(crate) struct Ordered(Order);

/// What has been asked for since the last look, as a keeper takes it.
pub(crate) fn ordered(roster: &Roster) -> Vec<Ordered> {
    roster.take_orders().into_iter().map(Ordered).collect()
}

impl Ordered {
    pub(crate) fn fill(self, link: Arc<Link>, pool: &Arc<Pool>, leases: &Arc<Leases>) {
        self.0.fill(link, pool, leases);
    }
}
