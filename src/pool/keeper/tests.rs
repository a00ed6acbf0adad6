mod looks;

use super::*;
use crate::{
    pool::{
        fixture::{HOUR, setup_with},
        pace::tests::exhaust,
        seat::Task,
        tests::{link, link_for},
    },
    token::{AccessToken, TokenActor},
};
use std::{
    pin::pin,
    sync::Mutex,
    task::{Context, Wake, Waker},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    time::sleep,
};

/// A keeper of one seat, which nothing has started yet, and has a token that lives so long.
pub(super) async fn keeper_with_token(life: Duration) -> Keeper {
    let (keeper, actor) = parts(move || AccessToken::opaque("token", life, "tester"));
    tokio::spawn(actor.run());
    keeper.shared.tokens.clone().current().await.unwrap();
    keeper
}

/// The same, for which there is no token yet.
pub(super) fn keeper() -> Keeper {
    parts(|| AccessToken::opaque("token", HOUR, "tester")).0
}

/// A keeper whose dials stay under way, and its token actor, which does not run yet.
pub(super) fn parts(fetch: impl Fn() -> Result<AccessToken, Error> + Send + Sync + 'static) -> (Keeper, TokenActor) {
    let (setup, shared, actor) = setup_with(8, fetch);
    let (mut keeper, ..) = Keeper::new(1, setup, shared);
    keeper.seats.push(Seat::new(Purpose::Shared));
    keeper.first = None;
    (keeper, actor)
}

/// Gives the keeper so many seats, each with a link of the token 0 that lives for so long; and their servers.
pub(super) fn fill(keeper: &mut Keeper, lives: &[Duration]) -> (Vec<Arc<Link>>, Vec<DuplexStream>) {
    keeper.seats.clear();
    let (links, servers): (Vec<_>, Vec<_>) =
        lives.iter().enumerate().map(|(at, life)| link_for(at as u64 + 1, *life)).unzip();
    for link in &links {
        let mut seat = Seat::new(Purpose::Shared);
        seat.link = Some(Arc::clone(link));
        keeper.seats.push(seat);
    }
    keeper.publish();
    (links, servers)
}

/// Gives a link the token in use, which its server takes so long to accept.
pub(super) async fn authenticate(keeper: &Keeper, link: &Link, server: &mut DuplexStream, takes: Duration) {
    let current = keeper.shared.tokens.live().unwrap();
    let answer = async {
        assert!(server.read(&mut [0; 64]).await.unwrap() > 0);
        sleep(takes).await;
        server.write_all(b"+OK\r\n").await.unwrap();
    };
    let (authenticated, ()) = tokio::join!(link.reauthenticate(&current, HOUR), answer);
    authenticated.unwrap();
    assert_eq!((link.generation(), link.auth_took()), (current.generation, takes));
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
    let ((first, _far), (standby, _other)) = (link(1), link(2));
    keeper.seats[0].link = Some(Arc::clone(&first));
    keeper.seats[0].standby = Some(standby);
    keeper.publish();
    let found = is_found(&mut keeper, 2, Keeper::reconcile);
    assert_eq!(found, [true], "the standby");
    first.retire("a test");
    let found = is_found(&mut keeper, 1, Keeper::tidy);
    assert_eq!(found, [true], "the link");
    assert_eq!(keeper.pool.all_links().len(), 2);
}

/// Its rotation may have to wait for minutes.
#[tokio::test]
async fn a_link_is_looked_after_while_it_waits_for_its_auth() {
    let mut keeper = keeper_with_token(HOUR).await;
    let (link, _far) = link(1);
    keeper.seats[0].link = Some(Arc::clone(&link));
    keeper.seats[0].rotate(1, Duration::ZERO, HOUR);
    keeper.publish();
    keeper.reconcile();
    let seat = &keeper.seats[0];
    assert_eq!((seat.opens_standby, seat.task), (true, Task::None), "a lone link waits for its standby");
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
    let (link, _far) = link(1);
    keeper.seats[0].link = Some(link);
    exhaust(&keeper.shared.pace);
    tokio::time::sleep(Duration::from_millis(30)).await;
    keeper.reconcile();
    // The token may have come, and with it a turn within a second.
    keeper.seats[0].reauth_after = Instant::now() + HOUR;
    assert!(keeper.next_wake() > Instant::now() + ROUND / 2);
}
