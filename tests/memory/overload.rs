//! Callers that are far more than Redis serves leave nothing behind.

use common::{SECOND, eventually, links_up, server::Server};
use entra_redis::{EntraRedis, Error, ErrorKind, Overload};
use redis::AsyncCommands;
use std::time::Duration;

fn in_flight(redis: &EntraRedis) -> usize {
    redis.manager().stats().commands.in_flight
}

/// What has been answered since the start.
fn answered(redis: &EntraRedis) -> u64 {
    let commands = redis.manager().stats().commands;
    commands.sent - commands.in_flight as u64
}

/// Callers who give up long before Redis answers, and come again, to be refused or to wait: what they leave behind must
/// not pile up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_flat_while_redis_is_slower_than_its_callers() {
    const MOST: usize = 1_000;
    const CALLERS: usize = 64;
    const CYCLES: usize = 60;
    // The search of the logs would take memory, too, as would what is logged.
    let server = Server::start_unwatched();
    let config = server.config().max_in_flight(MOST);
    let refusing = server.connect(config.clone()).await;
    let patient = server.connect(config.overload(Overload::Wait)).await;
    links_up(&refusing, 4).await;
    links_up(&patient, 4).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let pester = |redis: &EntraRedis| -> Vec<_> {
        (0..CALLERS).map(|caller| tokio::spawn(impatient(redis.clone(), caller, stopped.clone()))).collect()
    };
    let callers = [pester(&refusing), pester(&patient)];
    let mut memory = Vec::new();
    for _ in 0..CYCLES {
        // Redis works for a small part of the time.
        server.freeze();
        eventually("there is no more room", 10 * SECOND, async || {
            (in_flight(&refusing) >= MOST && in_flight(&patient) == MOST).then_some(())
        })
        .await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        memory.push(resident_mib());
        // A caller that is being refused may be counted for a moment.
        for (redis, most) in [(&refusing, MOST + CALLERS), (&patient, MOST)] {
            let waiting = in_flight(redis);
            assert!((MOST..=most).contains(&waiting), "{waiting} in flight");
        }
        let before = [&refusing, &patient].map(answered);
        server.thaw();
        eventually("what was in flight has been answered", 20 * SECOND, async || {
            let since = [&refusing, &patient].map(answered).into_iter().zip(before);
            since.into_iter().all(|(now, before)| now >= before + MOST as u64).then_some(())
        })
        .await;
    }
    stop.send_replace(true);
    let [refused, waited] = callers.map(async |callers| {
        let mut sum = Seen::default();
        for caller in callers {
            let Seen { served, refused, given_up } = caller.await.unwrap();
            sum =
                Seen { served: sum.served + served, refused: sum.refused + refused, given_up: sum.given_up + given_up };
        }
        sum
    });
    let (refused, waited) = (refused.await, waited.await);
    for seen in [&refused, &waited] {
        assert!(seen.served > 0 && seen.given_up >= (MOST * CYCLES / 2) as u64, "{seen:?}");
    }
    assert!(refused.refused > refused.given_up, "{refused:?}: this was no overload");
    assert_eq!(waited.refused, 0, "who waits is not refused");
    // More than there was room for: whoever waited for room has given up, too.
    assert!(waited.given_up > (MOST * CYCLES) as u64, "{waited:?}: this was no overload");
    // The first cycles fill the buffers. Without a bound the callers would leave hundreds of MiB behind.
    let (early, late) = (memory[4], memory[CYCLES - 1]);
    assert!(late <= early + 48, "{early} MiB grew to {late} MiB: {memory:?}");
    for redis in [refusing, patient] {
        eventually("nothing is in flight", 10 * SECOND, async || (in_flight(&redis) == 0).then_some(())).await;
        let _: () = redis.clone().set("key", 1).await.unwrap();
    }
}

/// What became of somebody's commands.
#[derive(Debug, Default)]
struct Seen {
    served: u64,
    refused: u64,
    given_up: u64,
}

/// Waits for no command longer than a few milliseconds, and sends the next one.
async fn impatient(mut con: EntraRedis, key: usize, stopped: tokio::sync::watch::Receiver<bool>) -> Seen {
    let value = vec![b'x'; 4 << 10];
    let mut seen = Seen::default();
    while !*stopped.borrow() {
        let call = con.set::<_, _, ()>(key, &value);
        match tokio::time::timeout(Duration::from_millis(5), call).await {
            Ok(Ok(())) => seen.served += 1,
            Ok(Err(error)) => {
                assert_eq!(Error::kind_of(&error), Some(ErrorKind::Overloaded), "{error}");
                seen.refused += 1;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Err(_) => seen.given_up += 1,
        }
    }
    seen
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}
