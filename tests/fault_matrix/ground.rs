//! Where one cell takes place: an emulator, the proxy before its front, and the settings of a client.

use super::cells::Cell;
use common::{
    self, Azure, SECOND,
    fault::{Behaviour, SLOW, Stage},
    proxy::Proxy,
};
use entra_redis::{
    Config, EntraRedis, Error, RetryPolicy, Tls,
    emulator::{Emulator, IdentityFault},
};
use std::{
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    time::Duration,
};

pub const COMMAND_TIMEOUT: Duration = SECOND;

/// Deadlines are kept to some milliseconds, and a caller is woken after its command has ended.
const SLACK: Duration = Duration::from_millis(250);

/// What `connect` may take in all: three token requests of half a second, or a dial and a HELLO of a second each.
pub const STARTUP_TIMEOUT: Duration = Duration::from_secs(5);

/// How long tokens live where a lone link is to outlive them: without a stand-in, the keeper leaves a fifth of that for
/// the `AUTH`, which is to be enough on a busy machine.
const LONE_LIFETIME: Duration = Duration::from_secs(4);

const HOUR: Duration = Duration::from_secs(3600);

pub struct Ground {
    pub cell: Cell,
    pub emulator: Azure,
    pub proxy: Proxy,
    /// Token requests before the fault began.
    requests: AtomicU64,
    /// How late this machine was at worst to wake a task of the client's runtime, in milliseconds.
    lateness: AtomicU64,
}

impl Ground {
    /// On the runtime that this is called on, which is not the client's.
    pub async fn start(cell: Cell, seed: u64) -> Self {
        let lifetime = match cell.rotates() {
            true if cell.is_lone() => LONE_LIFETIME,
            true => 2 * SECOND,
            false => HOUR,
        };
        let emulator = common::start(Emulator::builder().token_lifetime(lifetime)).await;
        let proxy = Proxy::start(emulator.port(), emulator.ca_pem(), seed).await;
        Self { cell, emulator, proxy, requests: AtomicU64::new(0), lateness: AtomicU64::new(0) }
    }

    pub async fn connect(&self) -> Result<EntraRedis, Error> {
        EntraRedis::connect("localhost", self.proxy.port(), self.config()).await
    }

    fn config(&self) -> Config {
        let retries = RetryPolicy::new().delay(Duration::from_millis(50)).max_attempts(3);
        let tokens = common::by_ratio(0.5).token_request_execution_timeout(SECOND / 2).retry_policy(retries);
        self.emulator
            .config()
            .tls(Tls::new().ca_pem(&self.proxy.ca_pem))
            .resolver(self.proxy.resolver())
            .token_manager(tokens)
            .pool_size(self.cell.pool())
            .startup_timeout(STARTUP_TIMEOUT)
            .connect_timeout(SECOND)
            .auth_timeout(SECOND)
            .command_timeout(COMMAND_TIMEOUT)
            .ping_interval(SECOND)
            .max_in_flight(64)
    }

    /// Begins the fault.
    pub fn strike(&self) {
        let Cell { stage, behaviour, .. } = self.cell;
        self.requests.store(self.emulator.identity().requests(), SeqCst);
        if stage == Stage::Token {
            self.emulator.identity().fault_all(identity_fault(behaviour));
        } else {
            self.proxy.set(Some((stage, behaviour)));
        }
        if self.cell.cuts() {
            self.emulator.redis_front().cut_all();
        }
    }

    pub fn note_lateness(&self, late: Duration) {
        self.lateness.fetch_max(u64::try_from(late.as_millis()).unwrap_or(u64::MAX), SeqCst);
    }

    /// By when a command must have ended, as its caller sees it on a machine that was as late as this one.
    pub fn latest(&self) -> Duration {
        COMMAND_TIMEOUT + SLACK + 2 * Duration::from_millis(self.lateness.load(SeqCst))
    }

    /// Whether somebody has come to the stage since the fault began.
    pub fn has_struck(&self) -> bool {
        if self.cell.stage == Stage::Token {
            self.emulator.identity().requests() > self.requests.load(SeqCst)
        } else {
            self.proxy.struck() > 0
        }
    }

    /// Ends the fault; connections that it has broken stay broken.
    pub fn heal(&self) {
        self.emulator.identity().fault_all(None);
        self.proxy.set(None);
    }
}

fn identity_fault(behaviour: Behaviour) -> Option<IdentityFault> {
    Some(match behaviour {
        Behaviour::Ok => return None,
        Behaviour::Error => IdentityFault::Status(500),
        Behaviour::Slow => IdentityFault::Slow(SLOW),
        Behaviour::Never | Behaviour::HalfOpen => IdentityFault::Hang,
        Behaviour::Reset => IdentityFault::Reset,
        Behaviour::Garbage => IdentityFault::Html,
        Behaviour::Truncated => {
            IdentityFault::Body { status: 200, body: r#"{"token_type":"Bearer","expires_in":"#.to_owned() }
        }
    })
}
