//! What can go wrong in a year, within minutes: at random, by itself, and in several places at once.

use crate::terminal;
use entra_redis::emulator::{AuthFault, Emulator, FrontStats, IdentityFault, RedisFront};
use fastrand::Rng;
use serde_json::{Value, json};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt::Display,
    io,
    time::{Duration, Instant},
};
use tokio::{process::Command, time::sleep};

/// Between the faults of one place.
const BETWEEN_FAULTS_MS: [u64; 2] = [500, 4_000];

/// How long these last at most.
const LONGEST_PAUSE_MS: u64 = 1_000;
const LONGEST_FREEZE_MS: u64 = 2_000;
const LONGEST_OUTAGE_MS: u64 = 3_000;

pub(super) struct Chaos<'a> {
    emulator: &'a Emulator,
    seed: u64,
    began: Instant,
    /// How often each fault has happened.
    counts: RefCell<BTreeMap<&'static str, u64>>,
}

impl<'a> Chaos<'a> {
    /// The same seed makes the same faults, as long as the connections are the same.
    pub(super) fn new(emulator: &'a Emulator, seed: u64) -> Self {
        terminal::note(format_args!("chaos, --seed {seed}"));
        Self { emulator, seed, began: Instant::now(), counts: RefCell::default() }
    }

    /// Lets things go wrong, for ever, from the moment that somebody has connected.
    pub(super) async fn run(&self) {
        while self.total(|stats| stats.authentications) == 0 {
            sleep(Duration::from_millis(100)).await;
        }
        let mut random = Rng::with_seed(self.seed);
        tokio::join!(
            self.connections(random.fork()),
            self.server(random.fork()),
            self.identity(random.fork()),
            self.authentication(random.fork()),
        );
    }

    /// What happened, in one line.
    pub(super) fn summary(&self) -> Value {
        let identity = self.emulator.identity();
        json!({
            "seed": self.seed,
            "seconds": self.began.elapsed().as_secs(),
            "faults": *self.counts.borrow(),
            "token_requests": identity.requests(),
            "tokens_issued": identity.tokens_issued(),
            "connections": self.total(|stats| stats.accepted),
            "resumed": self.total(|stats| stats.resumed),
            "reauths": self.total(|stats| stats.reauths),
            "rejected": self.total(|stats| stats.rejected),
            "expired": self.total(|stats| stats.expired),
            "commands": self.total(|stats| stats.commands),
        })
    }

    /// Over the fronts of all nodes.
    fn total(&self, figure: impl Fn(&FrontStats) -> u64) -> u64 {
        self.emulator.redis_fronts().iter().map(|front| figure(&front.stats())).sum()
    }

    /// Cuts connections, or lets nothing through for a while.
    async fn connections(&self, mut random: Rng) {
        loop {
            until_next_fault(&mut random).await;
            let fronts = self.emulator.redis_fronts();
            let open: Vec<_> = fronts.iter().flat_map(RedisFront::connections).collect();
            let Some(one) = random.choice(&open) else {
                continue;
            };
            match random.u8(..8) {
                0 => {
                    self.note("cut_all", format_args!("{} connections", open.len()));
                    fronts.iter().for_each(RedisFront::cut_all);
                }
                1..=4 => {
                    self.note("cut_one", format_args!("connection {}", one.id()));
                    one.cut();
                }
                _ => {
                    let time = up_to(LONGEST_FREEZE_MS, &mut random);
                    self.note("freeze", format_args!("connection {} for {time:?}", one.id()));
                    one.freeze();
                    sleep(time).await;
                    one.thaw();
                }
            }
        }
    }

    /// Stops a redis-server where it stands, for a while; ends at once if the emulator has started none.
    async fn server(&self, mut random: Rng) {
        let pids = self.pids().await;
        loop {
            until_next_fault(&mut random).await;
            let Some(pid) = random.choice(&pids).copied() else {
                return;
            };
            let time = up_to(LONGEST_PAUSE_MS, &mut random);
            self.note("pause_server", format_args!("for {time:?}"));
            if let Err(error) = pause(pid, time).await {
                return terminal::note(format_args!("no more pauses of the server: {error}"));
            }
        }
    }

    async fn pids(&self) -> Vec<u32> {
        let Ok(cluster) = self.emulator.cluster() else {
            return self.emulator.redis_pid().into_iter().collect();
        };
        let nodes = cluster.nodes().await.unwrap_or_default();
        nodes.iter().filter_map(|node| cluster.pid(node.index).ok().flatten()).collect()
    }

    /// Breaks the identity provider, for a while.
    async fn identity(&self, mut random: Rng) {
        let identity = self.emulator.identity();
        let a_second = Some(Duration::from_secs(1));
        let faults = [
            ("identity_429", IdentityFault::TooManyRequests { retry_after: a_second }),
            ("identity_500", IdentityFault::Status(500)),
            ("identity_html", IdentityFault::Html),
            ("identity_hang", IdentityFault::Hang),
            ("identity_reset", IdentityFault::Reset),
            ("identity_wrong_secret", IdentityFault::WrongSecret),
        ];
        loop {
            until_next_fault(&mut random).await;
            let (name, fault) = faults[random.usize(..faults.len())].clone();
            let time = up_to(LONGEST_OUTAGE_MS, &mut random);
            self.note(name, format_args!("for {time:?}"));
            identity.fault_all(Some(fault));
            sleep(time).await;
            identity.fault_all(None);
        }
    }

    /// Takes its time for `AUTH`s, refuses the next one that is sent on a connection in use, or never answers it.
    async fn authentication(&self, mut random: Rng) {
        loop {
            until_next_fault(&mut random).await;
            let fronts = self.emulator.redis_fronts();
            let Some(front) = random.choice(&fronts) else {
                return;
            };
            match random.u8(..3) {
                0 => {
                    let delay = up_to(LONGEST_PAUSE_MS, &mut random);
                    let time = up_to(LONGEST_OUTAGE_MS, &mut random);
                    self.note("auth_delay", format_args!("of {delay:?} for {time:?}"));
                    front.auth_delay(delay);
                    sleep(time).await;
                    front.auth_delay(Duration::ZERO);
                }
                1 => {
                    self.note("auth_wrongpass", "for the next AUTH");
                    front.script_auth([AuthFault::WrongPass]);
                }
                _ => {
                    self.note("auth_silent", "for the next AUTH");
                    front.script_auth([AuthFault::Silent]);
                }
            }
        }
    }

    /// Counts a fault, and says what it is.
    fn note(&self, fault: &'static str, details: impl Display) {
        *self.counts.borrow_mut().entry(fault).or_default() += 1;
        terminal::note(format_args!("{:7.1} s  {fault} {details}", self.began.elapsed().as_secs_f64()));
    }
}

async fn until_next_fault(random: &mut Rng) {
    let [shortest, longest] = BETWEEN_FAULTS_MS;
    sleep(Duration::from_millis(random.u64(shortest..=longest))).await;
}

fn up_to(longest_ms: u64, random: &mut Rng) -> Duration {
    Duration::from_millis(random.u64(1..=longest_ms))
}

async fn pause(pid: u32, time: Duration) -> io::Result<()> {
    signal("STOP", pid).await?;
    sleep(time).await;
    signal("CONT", pid).await
}

async fn signal(name: &str, pid: u32) -> io::Result<()> {
    // Every shell has it built in; the program of that name may be missing.
    let command = format!("kill -{name} {pid}");
    let status = Command::new("sh").arg("-c").arg(&command).status().await?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{command}: {status}"))) }
}
