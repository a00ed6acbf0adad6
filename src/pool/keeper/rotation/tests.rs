use super::*;
use crate::{
    pool::{
        keeper::tests::{authenticate, fill, keeper_with_token},
        tests::{HOUR, SECOND, link, link_for},
    },
    token::AccessToken,
};
use futures_util::FutureExt;
use tokio::{io::DuplexStream, time::advance};

#[test]
fn re_auths_are_spread_by_the_links_in_all_and_never_over_more_than_a_tenth_of_what_is_left() {
    for (links, life, expected) in
        [(4, HOUR, 1_000), (100, HOUR, 1_000), (1_000, HOUR, 10_000), (1_000, HOUR / 60, 6_000)]
    {
        assert_eq!(spread(links, life), Duration::from_millis(expected), "{links} links, {life:?} left");
    }
    assert_eq!(spread(4, Duration::from_secs(2)), Duration::from_millis(200));
    assert_eq!(spread(usize::MAX, HOUR), HOUR / 10);
}

fn current(life: Duration) -> Current {
    let token = AccessToken::opaque("token", life, "tester").unwrap();
    Current { token, generation: 2, username: crate::ids::UserName::new("tester") }
}

#[test]
fn a_link_whose_auth_keeps_failing_has_to_go_before_its_token_dies() {
    assert_eq!(Keeper::margin(&current(HOUR)), 20 * SECOND);
    assert_eq!(Keeper::margin(&current(100 * SECOND)), 10 * SECOND, "of a short-lived token a tenth of its life");
}

/// All of the time that there is, without what an `AUTH` and a second attempt take.
#[tokio::test(start_paused = true)]
async fn a_lone_link_waits_for_its_stand_in_while_there_is_time_for_an_auth() {
    let mut keeper = keeper_with_token(HOUR).await;
    keeper.shared.options.auth_timeout = 5 * SECOND;
    let (links, mut servers) = fill(&mut keeper, &[HOUR]);
    assert_eq!(keeper.patience(&current(HOUR), HOUR), 3575 * SECOND);
    assert_eq!(keeper.patience(&current(40 * SECOND), 20 * SECOND), 12 * SECOND, "of a short-lived one a tenth twice");
    assert_eq!(keeper.patience(&current(HOUR), 20 * SECOND), 10 * SECOND, "it is late: half for each");
    authenticate(&keeper, &links[0], &mut servers[0], 8 * SECOND).await;
    assert_eq!(keeper.slowest_auth(), 8 * SECOND);
    assert_eq!(keeper.patience(&current(HOUR), 20 * SECOND), 4 * SECOND, "an AUTH takes its time here");
    assert_eq!(keeper.patience(&current(HOUR), 10 * SECOND), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_link_on_an_old_token_is_looked_at_when_it_has_to_go() {
    let mut keeper = keeper_with_token(HOUR).await;
    let (links, mut servers) = fill(&mut keeper, &[100 * SECOND]);
    let ends = links[0].authenticated_until();
    let points: Vec<_> = keeper.turning_points(&links[0]).collect();
    assert_eq!(points, [ends - 20 * SECOND, ends - 10 * SECOND]);
    authenticate(&keeper, &links[0], &mut servers[0], Duration::ZERO).await;
    assert_eq!(keeper.turning_points(&links[0]).count(), 0, "it has the newest");
}

fn replace(keeper: &mut Keeper, index: usize) -> LinkCounts {
    let mut counts = keeper.counts();
    let link = Arc::clone(keeper.seats[index].link.as_ref().unwrap());
    keeper.replace(index, &link, "a test", &mut counts);
    counts
}

#[tokio::test(start_paused = true)]
async fn a_link_that_serves_is_replaced_after_its_successor_is_there() {
    let mut keeper = keeper_with_token(HOUR).await;
    let (links, _servers) = fill(&mut keeper, &[HOUR, HOUR]);
    replace(&mut keeper, 0);
    assert!(links[0].is_open() && keeper.seats[0].opens_standby && keeper.tasks.len() == 1);
    replace(&mut keeper, 1);
    assert!(links[1].is_open() && keeper.tasks.len() == 1, "there is one standby at a time");
    keeper.seats[0].opens_standby = false;
    keeper.seats[0].standby = Some(link(3).0);
    replace(&mut keeper, 0);
    assert!(links[0].is_open() && keeper.tasks.len() == 1);
    keeper.pool.keeper.notified().now_or_never().expect("it looks again, and finds the standby");
}

#[tokio::test(start_paused = true)]
async fn a_link_that_does_not_serve_is_replaced_at_once_if_another_one_serves() {
    let mut keeper = keeper_with_token(HOUR).await;
    let (links, _servers) = fill(&mut keeper, &[HOUR, HOUR]);
    links[0].divert();
    // The other one has to go, too: nobody counts on it.
    keeper.seats[1].to_replace = Some("a test");
    replace(&mut keeper, 0);
    assert!(links[0].is_reauthenticating() && keeper.seats[0].opens_standby);
    // Nor on one that does not serve.
    keeper.seats[1].to_replace = None;
    links[1].divert();
    replace(&mut keeper, 0);
    assert!(links[0].is_reauthenticating());
    let (open, _server) = link(3);
    keeper.seats[1].link = Some(open);
    let counts = replace(&mut keeper, 0);
    assert_eq!(links[0].condition(), Condition::Down("a test"));
    assert_eq!((counts.open, counts.reauthenticating), (1, 0));
    keeper.pool.keeper.notified().now_or_never().expect("it looks again, and takes it out");
}

/// How many of so many links have their `AUTH` under way when no more may.
async fn at_once(links: usize) -> usize {
    let mut keeper = keeper_with_token(HOUR).await;
    let (links, _servers) = fill(&mut keeper, &vec![HOUR; links]);
    for seat in &mut keeper.seats {
        seat.rotate(1, Duration::ZERO, Duration::ZERO);
    }
    keeper.reconcile();
    keeper.reconcile();
    let under_way = keeper.seats.iter().filter(|seat| seat.task == Task::Reauth).count();
    let diverted = links.iter().filter(|link| link.is_reauthenticating()).count();
    assert_eq!(diverted, if links.len() == 1 { 0 } else { under_way }, "a lone link goes on taking commands");
    under_way
}

#[tokio::test(start_paused = true)]
async fn half_of_the_links_keep_up_the_service_during_a_rotation() {
    for (links, expected) in [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (8, 4)] {
        assert_eq!(at_once(links).await, expected, "of {links}");
    }
}

/// A keeper of links of the token 0 that live so long, whose rotation begins now and leaves a lone one no time.
async fn rotating(lives: &[Duration]) -> (Keeper, Vec<Arc<Link>>, Vec<DuplexStream>) {
    let mut keeper = keeper_with_token(HOUR).await;
    let (links, servers) = fill(&mut keeper, lives);
    for seat in &mut keeper.seats {
        seat.rotate(1, Duration::ZERO, Duration::ZERO);
    }
    (keeper, links, servers)
}

/// What is under way for a seat after a look at it: for its link, and whether a standby is being opened.
fn after_a_look(keeper: &mut Keeper, index: usize) -> (Task, bool) {
    let mut counts = keeper.counts();
    let link = Arc::clone(keeper.seats[index].link.as_ref().unwrap());
    let current = keeper.shared.tokens.live().unwrap();
    keeper.rotate(index, &link, current, &mut counts);
    assert_eq!(
        (counts.open, counts.reauthenticating),
        (keeper.counts().open, keeper.counts().reauthenticating),
        "the next seat counts with what this look has changed"
    );
    (keeper.seats[index].task, keeper.seats[index].opens_standby)
}

#[tokio::test(start_paused = true)]
async fn a_link_waits_for_its_turn_and_then_authenticates() {
    let (mut keeper, links, _servers) = rotating(&[HOUR, HOUR]).await;
    let now = Instant::now();
    keeper.seats[0].reauth_after = now + SECOND;
    assert_eq!(after_a_look(&mut keeper, 0), (Task::None, false));
    advance(SECOND).await;
    assert_eq!(after_a_look(&mut keeper, 0), (Task::Reauth, false));
    assert!(links[0].is_reauthenticating() && links[1].is_open());
    assert_eq!(keeper.seats[0].auth_is_late, Some(now + SECOND + 3599 * SECOND / 2), "half of its life from then");
    assert_eq!(after_a_look(&mut keeper, 1), (Task::None, false), "one of two serves");
}

/// Better that commands wait for an `AUTH` than that a link is lost.
#[tokio::test(start_paused = true)]
async fn no_link_waits_for_another_when_there_is_no_time_for_that() {
    for (life, waits) in [(10 * SECOND, false), (10 * SECOND + Duration::from_millis(1), true)] {
        let (mut keeper, _links, mut servers) = rotating(&[HOUR, life, HOUR]).await;
        let slow = Arc::clone(keeper.seats[2].link.as_ref().unwrap());
        let began = Instant::now();
        authenticate(&keeper, &slow, &mut servers[2], 5 * SECOND).await;
        let (link, _server) = link_for(4, life);
        assert_eq!(began.elapsed(), 5 * SECOND);
        keeper.seats[1].link = Some(link);
        assert_eq!(after_a_look(&mut keeper, 0), (Task::Reauth, false));
        let expected = if waits { Task::None } else { Task::Reauth };
        assert_eq!(after_a_look(&mut keeper, 1).0, expected, "{life:?} left, an AUTH takes 5 s");
    }
}

/// Tokens come as fast as the server validates one: the second link has not had its turn with the last one.
#[tokio::test(start_paused = true)]
async fn a_link_on_an_older_token_goes_first() {
    let (mut keeper, links, mut servers) = rotating(&[HOUR; 2]).await;
    authenticate(&keeper, &links[0], &mut servers[0], 5 * SECOND).await;
    keeper.seats[1].reauth_after = Instant::now() + SECOND;
    assert_eq!(after_a_look(&mut keeper, 0), (Task::None, false));
    // What has failed, and is to be tried again later, holds up nobody.
    keeper.seats[1].reauth_failed();
    assert_eq!(after_a_look(&mut keeper, 0), (Task::Reauth, false));
}

/// The other one's `AUTH` has been under way for so long, of 5 s.
#[tokio::test(start_paused = true)]
async fn a_link_waits_for_what_is_left_of_another_ones_auth() {
    for (since, expected) in [(SECOND, Task::Reauth), (2 * SECOND, Task::None), (6 * SECOND, Task::Reauth)] {
        let (mut keeper, _links, mut servers) = rotating(&[HOUR; 3]).await;
        let slow = Arc::clone(keeper.seats[2].link.as_ref().unwrap());
        authenticate(&keeper, &slow, &mut servers[2], 5 * SECOND).await;
        assert_eq!(after_a_look(&mut keeper, 0), (Task::Reauth, false));
        keeper.seats[0].auth_began = Instant::now() - since;
        let (link, _server) = link_for(4, 9 * SECOND);
        keeper.seats[1].link = Some(link);
        assert_eq!(after_a_look(&mut keeper, 1).0, expected, "9 s left, an AUTH takes 5 s, {since:?} are over");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_an_auth_that_is_late() {
    let (mut keeper, links, _servers) = rotating(&[HOUR; 3]).await;
    assert_eq!(after_a_look(&mut keeper, 0), (Task::Reauth, false));
    assert_eq!(after_a_look(&mut keeper, 1), (Task::None, false));
    keeper.seats[0].auth_is_late = Some(Instant::now());
    assert_eq!(after_a_look(&mut keeper, 1), (Task::Reauth, false));
    // The last link that serves must not get stuck as these are.
    keeper.seats[1].auth_is_late = Some(Instant::now());
    assert_eq!(after_a_look(&mut keeper, 2), (Task::None, true));
    assert!(links[2].is_open());
    keeper.seats[2].opens_standby = false;
    keeper.seats[2].standby = Some(link(4).0);
    assert_eq!(after_a_look(&mut keeper, 2), (Task::Reauth, false), "the standby serves meanwhile");
}

#[tokio::test(start_paused = true)]
async fn the_last_link_waits_for_a_stand_in_no_longer_than_there_is_time() {
    for (life, expected) in [(10 * SECOND, Task::Reauth), (10 * SECOND + Duration::from_millis(1), Task::None)] {
        let (mut keeper, _links, _servers) = rotating(&[HOUR, life]).await;
        assert_eq!(after_a_look(&mut keeper, 0).0, Task::Reauth);
        keeper.seats[0].auth_is_late = Some(Instant::now());
        assert_eq!(after_a_look(&mut keeper, 1).0, expected, "{life:?} left, and it goes 20 s before its end");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lone_link_has_a_stand_in_opened_for_as_long_as_it_has_time() {
    let (mut keeper, links, _servers) = rotating(&[HOUR]).await;
    keeper.seats[0].alone_after = Instant::now() + SECOND;
    assert_eq!(after_a_look(&mut keeper, 0), (Task::None, true));
    advance(SECOND).await;
    keeper.seats[0].opens_standby = false;
    assert_eq!(after_a_look(&mut keeper, 0), (Task::Reauth, false));
    assert!(links[0].is_open(), "its commands go behind the AUTH: there is no other link");
    // With others, or with its standby, it does not wait.
    let (mut keeper, links, _servers) = rotating(&[HOUR, HOUR]).await;
    keeper.seats[0].alone_after = Instant::now() + SECOND;
    assert_eq!(after_a_look(&mut keeper, 0), (Task::Reauth, false));
    assert!(links[0].is_reauthenticating());
    let (mut keeper, links, _servers) = rotating(&[HOUR]).await;
    let (standby, _server) = link(2);
    keeper.seats[0].standby = Some(standby);
    keeper.seats[0].alone_after = Instant::now() + SECOND;
    assert_eq!(after_a_look(&mut keeper, 0), (Task::Reauth, false));
    assert!(links[0].is_reauthenticating());
}

#[tokio::test(start_paused = true)]
async fn a_link_whose_auth_failed_tries_again_until_its_token_is_nearly_dead() {
    let margin = 20 * SECOND;
    for (life, failed, to_replace) in [
        (margin, true, Some(AUTH_KEEPS_FAILING)),
        (margin + Duration::from_millis(1), true, None),
        (margin / 2, false, None),
    ] {
        let (mut keeper, _links, _servers) = rotating(&[life, HOUR]).await;
        if failed {
            keeper.seats[0].reauth_failed();
            keeper.seats[0].reauth_after = Instant::now();
        }
        let expected = if to_replace.is_some() { (Task::None, true) } else { (Task::Reauth, false) };
        assert_eq!(after_a_look(&mut keeper, 0), expected, "{life:?} left, failed before: {failed}");
        assert_eq!(keeper.seats[0].to_replace, to_replace);
    }
}
