//! One link's re-AUTH goes wrong: the others and the traffic do not notice, and the link recovers or is replaced.

use common::{
    Fixture, HOUR, SECOND, all_current, by_ratio, eventually, links_up, load::Load, rotations, twice_a_second, within,
};
use entra_redis::{
    Config, ErrorKind, Event, LinkState, Stage,
    emulator::{AuthFault, FrontConnection},
};
use redis::ProtocolVersion;
use std::time::{Duration, Instant};
use tokio::sync::broadcast;

/// Lets these connections, one after the other, answer their next AUTH with `fault`, with commands in flight on them,
/// and looks ten rotations of 2-second tokens later. Returns which of them lived on.
async fn survive<const N: usize>(fault: AuthFault, victims: [usize; N]) -> [bool; N] {
    let (emulator, redis) =
        Fixture::on_redis(2 * SECOND).config(|config| config.token_manager(twice_a_second())).up().await;
    let before = emulator.redis_front().connections();
    let load = Load::full(&redis, 64);
    for (struck, victim) in (1..).zip(victims) {
        before[victim].next_auth(fault.clone());
        rotations(&redis, 10_u64.div_ceil(N as u64), 60 * SECOND).await;
        let failed = async || (redis.manager().counters().reauth_failures >= struck).then_some(());
        eventually("the fault has struck", 10 * SECOND, failed).await;
    }
    links_up(&redis, 4).await;
    all_current(&redis).await;
    load.stop().await.assert_unharmed();

    assert_eq!(emulator.redis_front().stats().expired, 0, "a connection was cut with an expired token");
    for (index, connection) in before.iter().enumerate() {
        assert!(victims.contains(&index) || connection.is_open(), "connection {index} suffered with {victims:?}");
    }
    eventually("four connections, no more", 10 * SECOND, async || {
        (emulator.redis_front().connection_count() == 4).then_some(())
    })
    .await;
    victims.map(|victim| before[victim].is_open())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_auth_that_fails_once_is_retried_on_the_same_connection() {
    assert_eq!(survive(AuthFault::Error("ERR temporary failure".to_owned()), [0, 3]).await, [true; 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_auth_answered_with_wrongpass_is_retried_with_a_fresh_token() {
    assert_eq!(survive(AuthFault::WrongPass, [0]).await, [true]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_auth_that_is_never_answered_gets_the_link_replaced() {
    assert_eq!(survive(AuthFault::Silent, [0]).await, [false]);
}

/// With an hour's token nothing but `auth_timeout` can have found it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_auth_is_given_up_after_auth_timeout() {
    let (emulator, redis) = Fixture::on_redis(HOUR).config(|config| config.auth_timeout(SECOND)).up().await;
    let mut events = redis.manager().events();
    let load = Load::start(&redis, 16);
    let victim = emulator.redis_front().connections().remove(1);
    victim.next_auth(AuthFault::Silent);
    redis.manager().refresh_token();
    let reason = within("the link is given up", 10 * SECOND, link_down(&mut events)).await;
    assert_eq!(reason, "AUTH was not answered");
    links_up(&redis, 4).await;
    all_current(&redis).await;
    eventually("its connection is closed", 10 * SECOND, async || (!victim.is_open()).then_some(())).await;
    load.stop().await.assert_unharmed();
}

/// A refused token may be a revoked one: a fresh one is fetched at once, not at the next refresh in an hour.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrongpass_fetches_a_fresh_token_at_once() {
    let (emulator, redis) = Fixture::on_redis(HOUR).up().await;
    let load = Load::start(&redis, 16);
    let victim = emulator.redis_front().connections().remove(1);
    victim.next_auth(AuthFault::WrongPass);
    let mut events = redis.manager().events();
    redis.manager().refresh_token();
    rotations(&redis, 2, 10 * SECOND).await;
    all_current(&redis).await;
    assert!(victim.is_open());
    // One for the start, one that was asked for, one because of the refusal.
    assert_eq!(emulator.identity().requests(), 3);
    let error = within("the refusal is told", SECOND, reauth_failed(&mut events)).await;
    assert_eq!(error.kind(), ErrorKind::AuthenticationRejected);
    assert!(error.to_string().contains("object id"), "{error}");
    load.stop().await.assert_unharmed();
}

/// However slowly Redis validates tokens, half of the links take commands at any moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_most_half_of_the_links_are_in_their_reauth_at_once() {
    let (emulator, redis) = Fixture::on_redis(HOUR).up().await;
    emulator.redis_front().auth_delay(SECOND / 2);
    let load = Load::start(&redis, 16);
    redis.manager().refresh_token();
    let look = || {
        let links = redis.manager().stats().links;
        links.into_iter().map(|link| (link.link, link.is_open(), link.generation)).collect::<Vec<_>>()
    };
    let mut fewest = 4;
    eventually("every link is on the new token", 15 * SECOND, async || {
        let links = look();
        // The links are read one after the other: two equal looks are one that no change has crossed.
        if links == look() {
            fewest = fewest.min(links.iter().filter(|(_, open, _)| *open).count());
        }
        links.iter().all(|(_, open, generation)| *open && *generation == 2).then_some(())
    })
    .await;
    assert!(fewest >= 2, "{fewest} links took commands");
    assert!(fewest < 4, "no link was seen in its re-AUTH: the test proves nothing");
    load.stop().await.assert_unharmed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_whose_auth_keeps_failing_is_replaced_before_its_token_dies() {
    let (emulator, redis) = Fixture::on_redis(6 * SECOND).up().await;
    let victim = emulator.redis_front().connections().remove(0);
    let mut events = redis.manager().events();
    let load = Load::start(&redis, 32);
    let broken = async || {
        // Each AUTH of this connection fails, however often it is tried.
        victim.next_auth(AuthFault::Error("ERR broken for good".to_owned()));
        (!victim.is_open()).then_some(())
    };
    eventually("the link is replaced", 20 * SECOND, broken).await;
    // Before its end, and only once another one was there.
    assert_eq!(within("it is told", SECOND, link_down(&mut events)).await, "replaced: its AUTH kept failing");
    links_up(&redis, 4).await;
    load.stop().await.assert_unharmed();
    assert_eq!(emulator.redis_front().stats().expired, 0);
}

/// However many have to be replaced, there is one link more than places at most.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_that_all_have_to_be_replaced_are_replaced_without_a_crowd() {
    const PLACES: usize = 8;
    let (emulator, redis) = Fixture::on_redis(6 * SECOND).links(PLACES).up().await;
    let old = emulator.redis_front().connections();
    let load = Load::start(&redis, 16);
    let mut most = 0;
    eventually("all of them are replaced", 30 * SECOND, async || {
        // Each AUTH of theirs fails, however often it is tried.
        for connection in &old {
            connection.next_auth(AuthFault::Error("ERR broken for good".to_owned()));
        }
        let stats = redis.manager().stats();
        most = most.max(stats.links.len() + stats.dialing);
        old.iter().all(|connection| !connection.is_open()).then_some(())
    })
    .await;
    assert!(most <= PLACES + 1, "{most} links for {PLACES} places");
    links_up(&redis, PLACES).await;
    all_current(&redis).await;
    load.stop().await.assert_unharmed();
    assert_eq!(emulator.redis_front().stats().expired, 0);
}

/// Tokens that are renewed in the last tenth of their life, and an `AUTH` that takes a good part of that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_auth_late_in_a_tokens_life_has_all_the_rest_of_it() {
    let authenticates = async |auth: Duration, links: usize| {
        let emulator = common::start(common::emulator(10 * SECOND)).await;
        emulator.redis_front().auth_delay(auth);
        let config = emulator.config().pool_size(links).token_manager(by_ratio(1.0));
        let redis = emulator.connect(config).await;
        links_up(&redis, links).await;
        let before = emulator.redis_front().connections();
        let load = Load::start(&redis, 4);
        rotations(&redis, 2, 30 * SECOND).await;
        all_current(&redis).await;
        load.stop().await.assert_unharmed();
        let counters = redis.manager().counters();
        assert_eq!((counters.links_lost, counters.reauth_failures), (0, 0), "{links} links, {auth:?}");
        assert!(counters.reauths >= 2 * links as u64, "{links} links, {auth:?}: {counters:?}");
        assert!(before.iter().all(FrontConnection::is_open), "{links} links, {auth:?}");
        assert_eq!(emulator.redis_front().stats().expired, 0);
    };
    // With half a second there is no time for one after the other.
    let (some, half) = (SECOND / 4, SECOND / 2);
    tokio::join!(authenticates(some, 4), authenticates(half, 4), authenticates(some, 2), authenticates(some, 1));
}

/// No `AUTH` on a live connection is ever answered: each serves until its token dies, and by then there is another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_whose_auth_is_never_answered_go_with_their_tokens_and_not_before() {
    let live_on = async |links: usize| {
        let emulator = common::start(common::emulator(4 * SECOND)).await;
        emulator.redis_front().script_auth(vec![AuthFault::Silent; 100]);
        let config = emulator.config().pool_size(links).token_manager(by_ratio(0.7));
        let redis = emulator.connect(config).await;
        links_up(&redis, links).await;
        let mut events = redis.manager().events();
        let load = Load::start(&redis, 4);
        let (began, mut most, mut unanswered) = (Instant::now(), 0, 0);
        // Longer than the first token lives, so that those links have gone which had it.
        while began.elapsed() < 6 * SECOND || unanswered == 0 {
            assert!(began.elapsed() < 30 * SECOND, "{links} links: every AUTH was answered: the test proves nothing");
            let stats = redis.manager().stats();
            most = most.max(stats.links.len() + stats.dialing);
            while let Ok(event) = events.try_recv() {
                match event {
                    Event::LinkDown { reason, .. } => assert_eq!(reason, "its token has expired", "{links} links"),
                    Event::ReauthFailed { error, .. } if error.kind() == ErrorKind::Timeout(Stage::Auth) => {
                        let text = error.to_string();
                        assert!(text.contains("the rest of the old token's life"), "{text}");
                        assert!(!text.contains("auth_timeout"), "{text}");
                        unanswered += 1;
                    }
                    _ => {}
                }
            }
            tokio::time::sleep(SECOND / 200).await;
        }
        let report = load.stop().await;
        report.assert_unharmed();
        assert!(report.slowest < SECOND, "{links} links: a command took {:?}", report.slowest);
        assert!(most <= links + 1, "{most} links for {links} places");
        assert_eq!(emulator.redis_front().stats().expired, 0);
    };
    tokio::join!(live_on(1), live_on(2), live_on(4));
}

/// A link that still serves, though its `AUTH` fails, goes once there is another one in its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_serves_is_not_taken_out_before_its_successor_is_up() {
    let (emulator, redis) =
        Fixture::on_redis(6 * SECOND).links(2).config(|config| config.token_manager(by_ratio(0.5))).up().await;
    let old = emulator.redis_front().connections();
    let load = Load::start(&redis, 4);
    let mut fewest = 2;
    eventually("both are replaced", 20 * SECOND, async || {
        for connection in &old {
            connection.next_auth(AuthFault::Error("ERR broken for good".to_owned()));
        }
        let links = redis.manager().stats().links;
        // One that waits for the answer to its AUTH has not gone.
        fewest = fewest.min(links.iter().filter(|link| link.state != LinkState::Down).count());
        old.iter().all(|connection| !connection.is_open()).then_some(())
    })
    .await;
    load.stop().await.assert_unharmed();
    assert_eq!(fewest, 2);
}

/// While there is time, a lone link waits for its standby, however often that cannot connect.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lone_link_waits_for_its_stand_in() {
    let (emulator, redis) = Fixture::on_redis(HOUR).links(1).connect().await;
    let mut events = redis.manager().events();
    emulator.redis_front().refuse_connections(true);
    redis.manager().refresh_token();
    let mut refused = 0;
    let mut stood_in = false;
    let told = async {
        loop {
            match events.recv().await.unwrap() {
                Event::DialFailed { .. } => {
                    refused += 1;
                    emulator.redis_front().refuse_connections(refused < 3);
                }
                Event::LinkUp { .. } => stood_in = true,
                Event::Reauthenticated { .. } => break,
                _ => {}
            }
        }
    };
    within("the link re-authenticates", 20 * SECOND, told).await;
    assert!(stood_in && refused >= 3, "{refused} refused, standby: {stood_in}");
}

/// When time runs out, it does without, whenever the next attempt to get one would be due.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lone_link_that_gets_no_stand_in_authenticates_in_time() {
    // Only tokens of seconds have so little time left; a machine that stops for 0.4 s is none of the keeper's faults.
    assert!(lone_without_stand_in().await || lone_without_stand_in().await, "a lone link's token has died");
}

/// Whether a lone link lives through five rotations while nothing can connect.
async fn lone_without_stand_in() -> bool {
    let (emulator, redis) =
        Fixture::on_redis(2 * SECOND).links(1).config(|config| config.token_manager(by_ratio(0.5))).connect().await;
    emulator.redis_front().refuse_connections(true);
    let ended = async || {
        let counters = redis.manager().counters();
        (counters.reauths >= 5 || counters.links_lost > 0).then_some(counters)
    };
    let counters = eventually("five re-AUTHs, or a loss", 20 * SECOND, ended).await;
    assert!(counters.dial_failures > 0, "it has not looked for a standby");
    counters.links_lost == 0 && emulator.redis_front().stats().expired == 0
}

/// Why the next link goes down.
async fn link_down(events: &mut broadcast::Receiver<Event>) -> String {
    loop {
        if let Event::LinkDown { reason, .. } = events.recv().await.unwrap() {
            return reason.into_owned();
        }
    }
}

/// Why the next re-AUTH fails.
async fn reauth_failed(events: &mut broadcast::Receiver<Event>) -> entra_redis::Error {
    loop {
        if let Event::ReauthFailed { error, .. } = events.recv().await.unwrap() {
            return error;
        }
    }
}

/// Redis 7.4.10 and 8.0.6 do not answer an `AUTH` that fails and comes with other commands, and answer these: each
/// later reply would go to the wrong command.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_auth_travels_alone() {
    let travels_alone = async |protocol: ProtocolVersion| {
        let config = move |config: Config| config.token_manager(by_ratio(0.5)).protocol(protocol);
        let (emulator, redis) = Fixture::on_redis(2 * SECOND).links(1).config(config).connect().await;
        let front = emulator.redis_front();
        front.drop_failed_auths(true);
        // Without a standby, the link has its AUTHs among the commands of all tasks.
        front.refuse_connections(true);
        let load = Load::full(&redis, 64);
        let before = redis.manager().counters().reauths;
        eventually("two AUTHs", 20 * SECOND, async || (redis.manager().counters().reauths > before + 1).then_some(()))
            .await;
        front.script_auth([AuthFault::WrongPass]);
        let failed = async || (redis.manager().counters().reauth_failures > 0).then_some(());
        eventually("one that fails", 20 * SECOND, failed).await;
        front.refuse_connections(false);
        rotations(&redis, 3, 20 * SECOND).await;
        all_current(&redis).await;
        let report = load.stop().await;
        assert_eq!(report.wrong_reads, 0, "{protocol:?}");
        assert_eq!(front.stats().accompanied_auths, 0, "{protocol:?}");
    };
    tokio::join!(travels_alone(ProtocolVersion::RESP3), travels_alone(ProtocolVersion::RESP2));
}
