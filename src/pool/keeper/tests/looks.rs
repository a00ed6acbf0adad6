//! What a look at the seats finds, starts and takes out.

use super::*;
use crate::{
    error::{ErrorKind, Stage},
    link::EXPIRED,
    pool::tests::{SECOND, fall_silent, just_below, keep_busy},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::broadcast::Receiver,
    task::yield_now,
    time::{advance, sleep, timeout},
};

/// What has been told since the last look.
fn told(events: &mut Receiver<Event>) -> Vec<String> {
    let mut told = Vec::new();
    while let Ok(event) = events.try_recv() {
        told.push(match event {
            Event::LinkDown { node, link, reason } => format!("{node}: {link} down, {reason}"),
            Event::LinkReplaced { node, link, by } => format!("{node}: {link} replaced by {by}"),
            Event::LinkDrained { node, link } => format!("{node}: {link} drained"),
            Event::LinkRetired { node, link } => format!("{node}: {link} retired"),
            other => format!("{other:?}"),
        });
    }
    told
}

fn has_trouble(keeper: &Keeper) -> bool {
    keeper.shared.trouble.notified().now_or_never().is_some()
}

/// Waits for the end of what is under way, and takes it in.
async fn settle_one(keeper: &mut Keeper) {
    let done = keeper.tasks.next().await.expect("nothing is under way");
    keeper.settle(done);
}

/// A command that nobody answers.
async fn ask(link: &Link, server: &mut DuplexStream) {
    keep_busy(link, 1);
    let mut came = vec![0; redis::cmd("GET").arg("k").get_packed_command().len()];
    server.read_exact(&mut came).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_link_goes_when_its_token_dies_and_not_before() {
    let mut keeper = keeper();
    let (links, _servers) = fill(&mut keeper, &[10 * SECOND, HOUR]);
    let mut events = keeper.shared.journal.subscribe();
    advance(just_below(10 * SECOND)).await;
    keeper.tidy();
    assert!(links[0].is_open() && told(&mut events).is_empty() && !has_trouble(&keeper));
    advance(Duration::from_millis(1)).await;
    keeper.tidy();
    assert_eq!(links[0].condition(), Condition::Down(EXPIRED));
    assert_eq!(told(&mut events), [format!("localhost:1: 1 down, {EXPIRED}")]);
    assert!(links[1].is_open() && keeper.pool.open_seats() == 1 && has_trouble(&keeper));
}

/// Redis has taken the new token, and nobody has read that yet.
#[tokio::test(start_paused = true)]
async fn a_link_whose_auth_is_under_way_is_left_to_the_end_of_that() {
    let mut keeper = keeper_with_token(HOUR).await;
    let (links, _servers) = fill(&mut keeper, &[10 * SECOND]);
    let current = keeper.shared.tokens.live().unwrap();
    let mut auth = pin!(links[0].reauthenticate(&current, HOUR));
    assert!(auth.as_mut().now_or_never().is_none());
    advance(20 * SECOND).await;
    keeper.tidy();
    assert!(links[0].is_open());
}

/// What took one link may have taken others: a `PING` finds out, and not the commands of somebody.
#[tokio::test(start_paused = true)]
async fn the_silence_of_one_link_has_all_of_them_checked_now_and_then() {
    let mut keeper = keeper();
    let (links, _servers) = fill(&mut keeper, &[HOUR, HOUR]);
    keeper.tidy();
    assert!(!links[1].is_suspect() && !has_trouble(&keeper));
    fall_silent(&links[0]).await;
    keeper.tidy();
    assert!(links[1].is_suspect() && has_trouble(&keeper), "a cluster may have changed");
    let (new, _server) = link(3);
    keeper.seats[1].link = Some(Arc::clone(&new));
    advance(just_below(ROUND)).await;
    keeper.tidy();
    assert!(!new.is_suspect(), "that has just been done");
    advance(Duration::from_millis(1)).await;
    keeper.tidy();
    assert!(new.is_suspect());
}

/// The service may take ten seconds to validate a token: that is no sign of anything.
#[tokio::test(start_paused = true)]
async fn the_silence_of_a_link_that_waits_for_its_auth_has_none_of_them_checked() {
    let mut keeper = keeper_with_token(HOUR).await;
    let (links, _servers) = fill(&mut keeper, &[HOUR, HOUR]);
    let current = keeper.shared.tokens.live().unwrap();
    let mut auth = pin!(links[0].reauthenticate(&current, HOUR / 2));
    for _ in 0..50 {
        assert!(auth.as_mut().now_or_never().is_none());
        sleep(SECOND / 5).await;
        keeper.tidy();
        assert!(!links[1].is_suspect() && !has_trouble(&keeper));
    }
    assert!(links[0].is_silent(), "commands go elsewhere");
    assert!(auth.await.is_err());
    keeper.tidy();
    assert!(links[1].is_suspect() && has_trouble(&keeper), "it has not been answered in time");
}

#[tokio::test(start_paused = true)]
async fn a_lost_link_is_told_with_the_one_that_takes_its_place() {
    let mut keeper = keeper();
    let (links, _servers) = fill(&mut keeper, &[HOUR, HOUR]);
    let (standby, _server) = link(3);
    keeper.seats[0].standby = Some(standby);
    let mut events = keeper.shared.journal.subscribe();
    links[0].retire("broken");
    keeper.tidy();
    assert_eq!(told(&mut events), ["localhost:1: 1 down, broken", "localhost:1: 1 replaced by 3"]);
    assert!(links[1].is_suspect() && has_trouble(&keeper));
    assert_eq!((keeper.pool.open_seats(), keeper.pool.draining()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_link_that_was_taken_out_is_let_go_when_everything_on_it_is_answered() {
    let mut keeper = keeper();
    let (links, mut servers) = fill(&mut keeper, &[2 * HOUR, 2 * HOUR, 2 * HOUR]);
    for (link, server) in links.iter().zip(&mut servers) {
        ask(link, server).await;
        link.retire("a test");
    }
    keeper.tidy();
    let mut events = keeper.shared.journal.subscribe();
    let mut servers = servers.into_iter();
    let began = Instant::now();
    let mut answers = servers.next().unwrap();
    answers.write_all(b"+OK\r\n").await.unwrap();
    settle_one(&mut keeper).await;
    assert_eq!((told(&mut events), keeper.pool.draining()), (vec!["localhost:1: 1 drained".to_owned()], 2));
    drop(servers.next().unwrap());
    settle_one(&mut keeper).await;
    assert_eq!((told(&mut events).len(), keeper.pool.draining()), (0, 1), "what was on it is lost, not answered");
    assert_eq!(began.elapsed(), Duration::ZERO);
    keeper.shared.options.ping_timeout = SECOND;
    settle_one(&mut keeper).await;
    assert_eq!((told(&mut events).len(), keeper.pool.draining()), (0, 0));
    assert_eq!(began.elapsed(), HOUR, "its commands' timeout");
}

#[test]
fn what_a_link_leaves_behind_is_counted_without_it() {
    let counts = LinkCounts { dialing: 0, open: 3, reauthenticating: 2 };
    assert_eq!(counts.without(Condition::Open), (2, 2));
    assert_eq!(counts.without(Condition::Reauthenticating), (3, 1));
    assert_eq!(counts.without(Condition::Down("")), (3, 2));
}

#[tokio::test]
async fn links_are_counted_by_what_they_are_good_for() {
    let mut keeper = keeper();
    let (links, _servers) = fill(&mut keeper, &[HOUR; 4]);
    links[0].divert();
    links[1].retire("a test");
    keeper.seats[2].opens_standby = true;
    let counts = keeper.counts();
    assert_eq!((counts.dialing, counts.open, counts.reauthenticating), (1, 2, 1));
}

#[tokio::test(start_paused = true)]
async fn an_empty_seat_is_dialed_once_and_when_it_is_time() {
    let mut keeper = keeper();
    keeper.seats[0].dial_after = Instant::now() + SECOND;
    keeper.reconcile();
    assert_eq!((keeper.seats[0].task, keeper.tasks.len()), (Task::None, 0), "not yet");
    advance(SECOND).await;
    keeper.reconcile();
    assert_eq!((keeper.seats[0].task, keeper.tasks.len(), keeper.pool.dialing()), (Task::Dial, 1, 1));
    keeper.reconcile();
    assert_eq!(keeper.tasks.len(), 1);
    let mut standby = Seat::new(Purpose::Shared);
    standby.opens_standby = true;
    keeper.seats.push(standby);
    keeper.reconcile();
    assert_eq!(keeper.tasks.len(), 1, "what is being opened takes the place");
}

#[tokio::test(start_paused = true)]
async fn so_many_links_are_dialed_at_once_and_the_first_one_alone() {
    let mut keeper = keeper();
    let (first, _) = oneshot::channel();
    keeper.first = Some(first);
    keeper.seats.resize_with(6, || Seat::new(Purpose::Shared));
    keeper.reconcile();
    assert_eq!(keeper.tasks.len(), 1, "what the first one finds holds for the others");
    keeper.reconcile();
    assert_eq!(keeper.tasks.len(), 1);
    keeper.first = None;
    keeper.reconcile();
    assert_eq!((keeper.tasks.len(), keeper.pool.dialing()), (4, 4));
    assert_eq!(keeper.paced_until, None, "one of these has to end first");
}

/// How many dials a keeper of an empty seat starts whose tokens cannot be had.
async fn dials_without_a_token(is_first: bool) -> usize {
    let (mut keeper, actor) = parts(|| Err(Error::new(ErrorKind::TokenEndpoint, "no")));
    tokio::spawn(actor.run());
    assert!(keeper.shared.tokens.clone().current().await.is_err());
    let (first, _) = oneshot::channel();
    keeper.first = is_first.then_some(first);
    keeper.reconcile();
    keeper.tasks.len()
}

#[tokio::test(start_paused = true)]
async fn without_a_token_nothing_is_dialed_but_the_first_link() {
    assert_eq!(dials_without_a_token(false).await, 0);
    assert_eq!(dials_without_a_token(true).await, 1, "it is how `connect` learns why");
}

#[tokio::test(start_paused = true)]
async fn the_pace_of_dials_says_when_to_look_again() {
    let mut keeper = keeper();
    exhaust(&keeper.shared.pace);
    keeper.reconcile();
    let now = Instant::now();
    assert!(keeper.tasks.is_empty());
    assert!(keeper.next_wake() > now && keeper.next_wake() < now + ROUND / 10, "a hundred dials a second");
}

#[tokio::test(start_paused = true)]
async fn a_stand_in_that_does_not_come_up_in_time_is_given_up() {
    let mut keeper = keeper_with_token(HOUR).await;
    let (_links, _servers) = fill(&mut keeper, &[HOUR]);
    let mut counts = keeper.counts();
    let began = Instant::now();
    keeper.dial(0, &mut counts, Some(began + SECOND));
    assert_eq!((keeper.seats[0].task, keeper.seats[0].opens_standby, counts.dialing), (Task::None, true, 1));
    let Some(Done::Dialed { result: Err(error), .. }) = keeper.tasks.next().await else { panic!("it is not up") };
    assert_eq!((error.kind(), began.elapsed()), (ErrorKind::Timeout(Stage::Connect), SECOND));
    assert!(error.to_string().contains("stand in"), "{error}");
    // Whatever is under way on the link goes on meanwhile.
    keeper.seats[0].opens_standby = false;
    keeper.seats[0].task = Task::Reauth;
    keeper.dial(0, &mut counts, None);
    assert_eq!((keeper.seats[0].task, keeper.seats[0].opens_standby), (Task::Reauth, true));
}

#[tokio::test(start_paused = true)]
async fn a_late_auth_has_a_successor_opened() {
    let mut keeper = keeper();
    let (_links, _servers) = fill(&mut keeper, &[HOUR, HOUR]);
    keeper.seats[0].task = Task::Reauth;
    keeper.seats[0].auth_is_late = Some(Instant::now() + SECOND);
    keeper.reconcile();
    assert!(!keeper.seats[0].opens_standby);
    advance(SECOND).await;
    keeper.reconcile();
    assert!(keeper.seats[0].opens_standby && keeper.tasks.len() == 1);
}

#[tokio::test(start_paused = true)]
async fn a_link_on_the_newest_token_needs_no_stand_in() {
    let mut keeper = keeper_with_token(HOUR).await;
    let (links, mut servers) = fill(&mut keeper, &[HOUR]);
    authenticate(&keeper, &links[0], &mut servers[0], Duration::ZERO).await;
    let (standby, _server) = link(2);
    keeper.seats[0].standby = Some(Arc::clone(&standby));
    let mut events = keeper.shared.journal.subscribe();
    keeper.reconcile();
    assert_eq!(told(&mut events), ["localhost:1: 2 retired"]);
    assert!(!standby.is_open() && keeper.seats[0].task == Task::None && links[0].is_open());
}

/// Whether a look finds that the link is to be checked.
fn is_checked(keeper: &mut Keeper) -> bool {
    keeper.reconcile();
    std::mem::replace(&mut keeper.seats[0].task, Task::None) == Task::Check
}

#[tokio::test(start_paused = true)]
async fn a_link_is_checked_when_it_is_idle() {
    let mut keeper = keeper();
    keeper.shared.options.ping_after = 10 * SECOND;
    let (links, _servers) = fill(&mut keeper, &[HOUR]);
    advance(just_below(10 * SECOND)).await;
    assert!(!is_checked(&mut keeper));
    advance(Duration::from_millis(1)).await;
    assert!(is_checked(&mut keeper) && !has_trouble(&keeper));
    links[0].divert();
    assert!(!is_checked(&mut keeper), "it would not answer before its AUTH is answered");
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_suspect_is_checked_unless_something_is_under_way() {
    let mut keeper = keeper();
    let (links, _servers) = fill(&mut keeper, &[HOUR]);
    assert!(!is_checked(&mut keeper));
    links[0].suspect();
    keeper.seats[0].task = Task::Reauth;
    keeper.reconcile();
    assert_eq!(keeper.seats[0].task, Task::Reauth);
    keeper.seats[0].task = Task::None;
    assert!(is_checked(&mut keeper));
}

#[tokio::test(start_paused = true)]
async fn what_errors_say_of_a_link_is_looked_into_once_in_a_while() {
    let mut keeper = keeper();
    let (links, mut servers) = fill(&mut keeper, &[HOUR]);
    ask(&links[0], &mut servers[0]).await;
    servers[0].write_all(b"-NOAUTH Authentication required.\r\n").await.unwrap();
    while !links[0].has_claims() {
        yield_now().await;
    }
    keeper.seats[0].verify_after = Instant::now() + SECOND;
    assert!(!is_checked(&mut keeper), "that has just been done");
    advance(SECOND).await;
    assert!(is_checked(&mut keeper) && has_trouble(&keeper));
}

#[tokio::test(start_paused = true)]
async fn the_keeper_wakes_for_what_is_planned_and_looks_around_otherwise() {
    let mut keeper = keeper();
    let (_links, _servers) = fill(&mut keeper, &[HOUR]);
    let now = Instant::now();
    let soon = now + SECOND / 4;
    assert_eq!(keeper.next_wake(), now + ROUND, "what was planned for now is not planned any more");
    keeper.seats[0].verify_after = now + HOUR;
    assert_eq!(keeper.next_wake(), now + ROUND);
    keeper.seats[0].reauth_after = soon;
    assert_eq!(keeper.next_wake(), soon);
    keeper.seats[0].task = Task::Check;
    assert_eq!(keeper.next_wake(), now + ROUND, "the end of that is an event");
    keeper.seats[0].dial_after = soon;
    assert_eq!(keeper.next_wake(), soon, "a standby may be opened whatever is under way");
    keeper.seats[0].dial_after = now;
    keeper.seats[0].auth_is_late = Some(soon);
    assert_eq!(keeper.next_wake(), soon);
    keeper.seats[0].auth_is_late = None;
    keeper.paced_until = Some(soon);
    assert_eq!(keeper.next_wake(), soon);
    keeper.paced_until = None;
    let (_short, _server) = fill(&mut keeper, &[SECOND / 2]);
    assert_eq!(keeper.next_wake(), now + SECOND / 2, "the end of its token");
}

#[tokio::test(start_paused = true)]
async fn a_keeper_works_until_there_is_no_token_actor() {
    let (keeper, actor) = parts(|| AccessToken::opaque("token", HOUR, "tester"));
    let (pool, seats) = (Arc::clone(&keeper.pool), keeper.shared.seats.clone());
    let keeper = tokio::spawn(keeper.run());
    let actor = tokio::spawn(actor.run());
    sleep(SECOND).await;
    assert_eq!((seats.get(), pool.dialing()), (1, 1));
    pool.grow(3);
    sleep(SECOND / 100).await;
    assert_eq!((seats.get(), pool.dialing(), pool.has_ended()), (3, 3, false));
    actor.abort();
    timeout(SECOND, keeper).await.expect("it ends").unwrap();
    assert!(pool.has_ended() && seats.get() == 0);
}
