//! Past what one machine has of nodes: embedded ones in this process, each with a front and an `AUTH` of its own.

use crate::{SECOND, by_ratio, eventually, load::Load};
use entra_redis::{
    Config, Credential, EntraRedis,
    emulator::{Cluster, Emulator},
};
use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

/// How often the counters are looked at while tokens rotate.
const TICK: Duration = Duration::from_millis(50);

/// What is simulated.
pub struct Size {
    pub nodes: usize,
    pub links_of_a_node: usize,
    pub token_lifetime: Duration,
    pub rotations: usize,
    /// Between two nodes that are replaced.
    pub pause: Duration,
}

impl Size {
    fn links(&self) -> usize {
        self.nodes * self.links_of_a_node
    }
}

/// What was seen.
#[derive(Debug)]
pub struct Figures {
    /// From `connect` until all links were up.
    pub all_up_after: Duration,
    /// From a token until all links had it, for each rotation.
    pub spreads: Vec<Duration>,
    /// The most `AUTH`s that one node was sent in a tenth of a second, and that all were.
    pub auths_in_a_tenth: (u64, u64),
    /// Token requests, and the time that they were counted for.
    pub requests: (u64, Duration),
    /// How long it took to replace all nodes, and until all links were up again.
    pub replaced_after: (Duration, Duration),
    pub commands: u64,
    /// Those that were on their way when their node went.
    pub lost: usize,
    pub slowest: Duration,
}

/// Those that take commands, or do once an `AUTH` is answered.
fn open_links(redis: &EntraRedis) -> usize {
    redis.manager().stats().nodes.iter().map(|node| node.open_links).sum()
}

pub async fn all_up(redis: &EntraRedis, links: usize) {
    // Dials are paced: half a hundred a second at least.
    let limit = 20 * SECOND + SECOND * u32::try_from(links / 25).unwrap();
    let start = Instant::now();
    eventually("all links are up", limit, async || {
        let up = open_links(redis) == links;
        if !up && start.elapsed() + SECOND > limit {
            println!("{} of {links}, {:?}", open_links(redis), redis.manager().counters());
        }
        // A look at a thousand links is work.
        tokio::time::sleep(TICK).await;
        up.then_some(())
    })
    .await;
}

/// The numbers of `AUTH`s so far with which links went to a new token, by node.
fn reauths(cluster: &Cluster, nodes: usize) -> Vec<u64> {
    (0..nodes).map(|node| cluster.front(node).unwrap().stats().reauths).collect()
}

/// Watches `size.rotations` rotations: how long each took, and the counters at each look.
async fn watch_rotations(
    redis: &EntraRedis,
    cluster: &Cluster,
    size: &Size,
) -> (Vec<Duration>, Vec<(Instant, Vec<u64>)>) {
    let (mut spreads, mut looks) = (Vec::new(), Vec::new());
    // From the next token on.
    let mut generation = redis.manager().stats().token.unwrap().generation;
    crate::all_current(redis).await;
    let before = reauths(cluster, size.nodes);
    let mut since = None;
    let limit = Instant::now() + size.token_lifetime * u32::try_from(size.rotations + 2).unwrap();
    while spreads.len() < size.rotations {
        assert!(Instant::now() < limit, "{} rotations, {spreads:?}", size.rotations);
        tokio::time::sleep(TICK).await;
        looks.push((Instant::now(), reauths(cluster, size.nodes)));
        if since.is_none() && redis.manager().counters().rotations < generation {
            continue;
        }
        let stats = redis.manager().stats();
        let token = stats.token.unwrap();
        if since.is_none() {
            generation = token.generation;
            since = Instant::now().checked_sub(token.age);
        }
        if let Some(start) = since
            && stats.links.iter().all(|link| link.generation >= generation)
        {
            spreads.push(start.elapsed());
            since = None;
        }
    }
    let each = (size.links_of_a_node * size.rotations) as u64;
    for (node, (before, after)) in before.iter().zip(reauths(cluster, size.nodes)).enumerate() {
        let counters = redis.manager().counters();
        assert_eq!(after - before, each, "node {node}: each of its links once a rotation; {spreads:?}, {counters:?}");
    }
    (spreads, looks)
}

/// The most that came within a tenth of a second to one node, and to all.
fn most_in_a_tenth(looks: &[(Instant, Vec<u64>)]) -> (u64, u64) {
    let (mut of_one, mut of_all) = (0, 0);
    for (index, (from, before)) in looks.iter().enumerate() {
        let within = looks[index..].iter().take_while(|(at, _)| *at - *from <= SECOND / 10);
        if let Some((_, after)) = within.last() {
            let more = || before.iter().zip(after).map(|(before, after)| after - before);
            of_one = of_one.max(more().max().unwrap_or(0));
            of_all = of_all.max(more().sum());
        }
    }
    (of_one, of_all)
}

pub async fn simulate(size: Size) -> Figures {
    // The logs are searched elsewhere: here that would be the work that is measured.
    let builder = Emulator::builder().token_lifetime(size.token_lifetime).embedded_cluster(size.nodes).amr_strict();
    let emulator = builder.start().await.unwrap();
    let cluster = emulator.cluster().unwrap().clone();
    let links = size.links();

    let began = Instant::now();
    let credential =
        Credential::service_principal(emulator.client_id(), emulator.client_secret(), emulator.tenant_id())
            .authority_host(emulator.authority_host());
    let config = Config::new(credential).tls(emulator.tls()).token_manager(by_ratio(0.7));
    let config = config.pool_size(size.links_of_a_node);
    let redis = EntraRedis::connect(emulator.host(), emulator.port(), config).await.unwrap();
    all_up(&redis, links).await;
    let all_up_after = began.elapsed();

    println!("{links} links are up after {all_up_after:.1?}");
    // Four keys for each node on average.
    let load = Load::with_pauses(&redis, 4 * size.nodes as u64, SECOND / 5);
    let (spreads, looks) = watch_rotations(&redis, &cluster, &size).await;

    println!("rotations took {spreads:.1?}");
    let old: Vec<_> = cluster.nodes().await.unwrap().iter().map(|node| node.address.to_string()).collect();
    let replacing = Instant::now();
    for node in 0..size.nodes {
        let next = Instant::now() + size.pause;
        cluster.replace_node(node).await.unwrap();
        tokio::time::sleep_until(next.into()).await;
    }
    let replaced = replacing.elapsed();
    println!("all nodes were replaced within {replaced:.1?}");
    eventually("only the new nodes are there", 20 * SECOND, async || {
        let known: HashSet<_> = redis.manager().stats().nodes.into_iter().map(|node| node.address).collect();
        (known.len() == size.nodes && old.iter().all(|old| !known.contains(old))).then_some(())
    })
    .await;
    all_up(&redis, links).await;
    let up_again = replacing.elapsed();

    let report = load.stop().await;
    assert_eq!(report.wrong_reads, 0);
    // A node that goes waits for a tenth of a second without commands, and not for those that come then.
    for failure in &report.failures {
        assert!(failure.error.is_connection_dropped(), "{}", failure.error);
    }
    let counters = redis.manager().counters();
    let requests = counters.tokens_fetched + counters.tokens_unchanged + counters.token_failures;
    let figures = Figures {
        all_up_after,
        spreads,
        auths_in_a_tenth: most_in_a_tenth(&looks),
        requests: (requests, began.elapsed()),
        replaced_after: (replaced, up_again),
        commands: report.commands,
        lost: report.failures.len(),
        slowest: report.slowest,
    };
    assert_eq!(counters.reauth_failures, 0, "{figures:?}");
    redis.shutdown().await;
    figures
}

/// No more often than their lives ask for, however many nodes there are: and one more.
pub fn assert_token_requests(figures: &Figures, lifetime: Duration) {
    let (requests, time) = figures.requests;
    let most = time.as_secs_f64() / (lifetime.as_secs_f64() * 0.65);
    assert!((requests as f64) < most + 2.0, "{figures:?}");
}
