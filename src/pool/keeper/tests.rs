use super::*;
use crate::{
    admission::Admission,
    client::Config,
    credential::Credential,
    pool::seat::Task,
    token::{AccessToken, TokenActor},
    transport::{dialer::Dialer, tls::Transport},
};
use redis::ProtocolVersion;
use std::{
    pin::pin,
    sync::Mutex,
    task::{Context, Wake, Waker},
};
use tokio::io::{DuplexStream, duplex};

const HOUR: Duration = Duration::from_secs(3600);

/// A keeper of one place, which nothing has started yet.
pub(super) fn keeper() -> Keeper {
    let config = Config::new(Credential::custom(|| async { AccessToken::opaque("token", HOUR, "tester") }));
    let journal = Journal::new("test");
    let source = config.credential.token_source().unwrap();
    let (actor, tokens) = TokenActor::new(source, config.token_manager, None, journal.clone());
    tokio::spawn(actor.run());
    let setup = Setup {
        dialer: Dialer {
            host: "localhost".to_owned(),
            port: 1,
            resolver: config.resolver,
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
        tasks: tokio_util::task::TaskTracker::new(),
        multi: Arc::default(),
    };
    let options = KeeperOptions { auth_timeout: HOUR, ping_after: HOUR, ping_timeout: HOUR };
    let shared = Shared {
        tokens,
        journal,
        admission: Admission::new(8),
        availability: Arc::default(),
        pace: DialPace::new(),
        seats: SeatTotal::default(),
        leases: Leases::new(4),
        trouble: Arc::default(),
        options,
    };
    let (mut keeper, ..) = Keeper::new(1, setup, shared);
    keeper.seats.push(Seat::new(Purpose::Shared));
    keeper.first = None;
    keeper
}

/// A link without a token, and its server.
fn link(keeper: &Keeper, id: u64) -> (Arc<Link>, DuplexStream) {
    link_for(keeper, id, HOUR)
}

/// The same, of a link that lives for `life`.
pub(super) fn link_for(keeper: &Keeper, id: u64, life: Duration) -> (Arc<Link>, DuplexStream) {
    let (near, far) = duplex(1024);
    (Arc::new(Link::over(id, near, Arc::clone(&keeper.shared.admission), life)), far)
}

/// Looks for a link whenever there are others in the pool, and notes whether it is there.
struct Looks {
    pool: Arc<Pool>,
    link: u64,
    found: Mutex<Vec<bool>>,
}

impl Wake for Looks {
    fn wake(self: Arc<Self>) {
        let found = self.pool.any_link(self.link).is_some();
        self.found.lock().unwrap().push(found);
    }
}

/// Whether it is found during `change`.
fn is_found(keeper: &mut Keeper, link: u64, change: impl FnOnce(&mut Keeper)) -> Vec<bool> {
    let (pool, availability) = (Arc::clone(&keeper.pool), Arc::clone(&keeper.shared.availability));
    let looks = Arc::new(Looks { pool: Arc::clone(&pool), link, found: Mutex::default() });
    let waker = Waker::from(Arc::clone(&looks));
    let mut changed = pin!(availability.changed());
    assert!(changed.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    change(keeper);
    let found = looks.found.lock().unwrap().clone();
    assert!(keeper.pool.any_link(link).is_some() && keeper.pool.link(link).is_none(), "it has not left");
    found
}

/// A handle whose command is on it would take the command for ended otherwise, and overtake it.
#[tokio::test]
async fn a_link_that_leaves_is_found_at_every_moment() {
    let mut keeper = keeper();
    let ((first, _far), (standby, _other)) = (link(&keeper, 1), link(&keeper, 2));
    keeper.seats[0].link = Some(Arc::clone(&first));
    keeper.seats[0].standby = Some(standby);
    keeper.publish();
    let found = is_found(&mut keeper, 2, Keeper::reconcile);
    assert_eq!(found, [true], "the stand-in");
    first.retire("a test");
    let found = is_found(&mut keeper, 1, Keeper::tidy);
    assert_eq!(found, [true], "the link");
    assert_eq!(keeper.pool.all_links().len(), 2);
}

/// Its rotation may have to wait for minutes.
#[tokio::test]
async fn a_link_is_looked_after_while_it_waits_for_its_auth() {
    let mut keeper = keeper();
    keeper.shared.tokens.clone().current().await.unwrap();
    let (link, _far) = link(&keeper, 1);
    keeper.seats[0].link = Some(Arc::clone(&link));
    keeper.seats[0].rotate(1, Duration::ZERO, HOUR);
    keeper.publish();
    keeper.reconcile();
    let seat = &keeper.seats[0];
    assert_eq!((seat.opens_standby, seat.task), (true, Task::None), "a lone link waits for its stand-in");
    link.suspect();
    keeper.reconcile();
    assert_eq!(keeper.seats[0].task, Task::Check, "while that is being opened");
    keeper.seats[0].task = Task::None;
    keeper.seats[0].opens_standby = false;
    keeper.seats[0].reauth_after = Instant::now() + HOUR;
    keeper.reconcile();
    let seat = &keeper.seats[0];
    assert_eq!((seat.opens_standby, seat.task), (false, Task::Check), "until its turn comes");
}

/// Dials of other pools have used up what may be dialed at once: that is nothing to one whose links are all up.
#[tokio::test(start_paused = true)]
async fn a_keeper_with_nothing_to_dial_does_not_wait_for_the_pace_of_dials() {
    let mut keeper = keeper();
    let (link, _far) = link(&keeper, 1);
    keeper.seats[0].link = Some(link);
    while keeper.shared.pace.admit(Instant::now(), 0).is_some() {}
    tokio::time::sleep(Duration::from_millis(30)).await;
    keeper.reconcile();
    assert!(keeper.next_wake() > Instant::now() + ROUND / 2);
}
