use super::*;
use crate::{
    command::profile,
    exec::{
        call::Call,
        request::CommandRequest,
        scatter::ground::{Ground, cmd},
    },
    pool::fixture::HOUR,
};

/// Once the slot has an owner, the topology need not be asked for, though that one has no link yet.
#[tokio::test]
async fn an_owner_is_sought_until_there_is_one() {
    let ground = Ground::quiet();
    let owned: Vec<_> = vec![(0..=16_383, Arc::clone(&ground.nodes[0]))];
    ground.nodes[0].pool().clear();
    ground.cluster.hand_out(&[]);
    let (get, mut memory) = (cmd("GET a"), Memory::default());
    let request = CommandRequest { cmd: &get, profile: profile(&get) };
    let mut sent = Box::pin(ground.core.send(&request, Instant::now() + HOUR, &mut memory, Turn::First, Way::Owner));
    assert!(futures_util::poll!(&mut sent).is_pending());
    assert!(ground.cluster.has_seekers());
    ground.cluster.hand_out(&owned);
    ground.core.availability.announce();
    assert!(futures_util::poll!(&mut sent).is_pending());
    assert!(!ground.cluster.has_seekers());
    ground.cluster.hand_out(&[]);
    ground.core.availability.announce();
    assert!(futures_util::poll!(&mut sent).is_pending());
    assert!(ground.cluster.has_seekers());
}

/// A command that Redis has refused, and for which no link has come up since, has Redis's answer: it has not failed.
#[tokio::test(start_paused = true)]
async fn what_is_counted_as_failed_is_what_callers_get_as_an_error() {
    let limit = Duration::from_secs(5);
    let ground = Ground::new(64, limit, |_, _| "-LOADING Redis is loading the dataset in memory".to_owned());
    let (get, mut memory) = (cmd("GET a"), Memory::default());
    let request = CommandRequest { cmd: &get, profile: profile(&get) };
    let mut refused = Box::pin(Call::new(&ground.core, &mut memory, request));
    while ground.core.admission.stats().retried == 0 {
        assert!(futures_util::poll!(&mut refused).is_pending());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    ground.nodes[2].pool().clear();
    assert!(matches!(refused.await, Ok(redis::Value::ServerError(_))));
    let stats = ground.core.admission.stats();
    assert_eq!((stats.unserved, stats.failed.total()), (0, 0));

    let error = Call::new(&ground.core, &mut Memory::default(), request).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    let stats = ground.core.admission.stats();
    assert_eq!((stats.unserved, stats.failed.timed_out, stats.failed.total()), (1, 1, 1));
    ground.core.availability.close();
    Call::new(&ground.core, &mut Memory::default(), request).await.unwrap_err();
    let stats = ground.core.admission.stats();
    assert_eq!((stats.unserved, stats.failed.closed, stats.failed.total()), (1, 1, 2));
}

/// Which slot it is for says only where the link is looked for first.
#[tokio::test]
async fn the_link_of_a_command_is_found_wherever_it_leads() {
    let ground = Ground::quiet();
    let line = cmd("SET a 1");
    let request = CommandRequest { cmd: &line, profile: profile(&line) };
    for (number, node) in ground.nodes.iter().enumerate() {
        let (found, link) = ground.core.carrier(&request, number as u64 + 1).unwrap();
        assert!(Arc::ptr_eq(&found, node) && link.id() == number as u64 + 1);
    }
    assert!(ground.core.carrier(&request, 9).is_none());
}
