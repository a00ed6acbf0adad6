//! One connection to Redis: opened, authenticated, shared by commands, re-authenticated, closed.

mod coalesce;
mod dial;
mod handshake;
mod state;

use crate::{Error, ErrorKind, error::Stage, lock::lock, token::Current};
use coalesce::{Coalesce, Pulse};
use redis::{Cmd, Pipeline, RedisResult, Value, aio::MultiplexedConnection};
use state::State;
use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::Notify,
    task::AbortHandle,
    time::{Instant, timeout, timeout_at},
};

pub(crate) use dial::Dialer;
pub(crate) use state::Condition;

/// How long a link that is let go waits for Redis to answer its last `PING`.
const LONGEST_FAREWELL: Duration = Duration::from_secs(1);

/// What a link authenticated with.
#[derive(Clone, Copy)]
struct Authenticated {
    generation: u64,
    until: Instant,
}

/// How an `AUTH` on a live link ended.
pub(crate) enum Reauth {
    Done,
    /// Redis refused this user name and token.
    Rejected(Error),
    /// Any other error; the link lives on with its old token.
    Failed(Error),
    /// No answer in time: what follows on this link would wait behind it.
    Silent(Error),
}

/// One multiplexed connection, and what the pool has to know about it.
///
/// It runs the `redis` crate's `MultiplexedConnection` over a stream of our own. Everything that knows so is in this room.
pub(crate) struct Link {
    id: u64,
    connection: MultiplexedConnection,
    driver: AbortHandle,
    state: Arc<State>,
    pulse: Arc<Pulse>,
    authenticated: Mutex<Authenticated>,
    last_used: AtomicU64,
    suspect: AtomicBool,
    /// An `AUTH` is under way: Redis may be silent until it is validated.
    validating: AtomicBool,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Link {
    /// Connects and authenticates with the token that `token` yields; TCP and TLS are set up meanwhile.
    ///
    /// `keeper` is notified when the link goes down.
    pub(crate) async fn open(
        dialer: &Dialer,
        token: impl Future<Output = Result<Arc<Current>, Error>>,
        keeper: Arc<Notify>,
    ) -> Result<Self, Error> {
        let pulse = Arc::new(Pulse::new());
        let state = Arc::new(State::new());
        let (stream, current) = futures_util::future::try_join(dialer.connect(), token).await?;
        let stream = Coalesce::new(stream, Arc::clone(&pulse), Arc::clone(&state));
        let opening = async {
            let ended = {
                let state = Arc::clone(&state);
                move || {
                    state.set(Condition::Down("connection closed"));
                    keeper.notify_one();
                }
            };
            let (mut connection, driver) = handshake::start(stream, ended).await?;
            // From here on the link's drop ends the driver, whatever becomes of the handshake.
            let link = Self {
                id: dialer.next_id(),
                connection: connection.clone(),
                driver,
                state: Arc::clone(&state),
                pulse,
                authenticated: Mutex::new(Authenticated {
                    generation: current.generation,
                    until: current.token.usable_until(),
                }),
                last_used: AtomicU64::new(0),
                suspect: AtomicBool::new(false),
                validating: AtomicBool::new(false),
            };
            handshake::authenticate(&mut connection, dialer, &current).await?;
            link.touch();
            Ok(link)
        };
        timeout(dialer.auth_timeout(), opening).await.unwrap_or_else(|_| Err(unanswered(dialer.auth_timeout())))
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn generation(&self) -> u64 {
        self.authenticated().generation
    }

    /// Until when the token of this link may be used.
    pub(crate) fn authenticated_until(&self) -> Instant {
        self.authenticated().until
    }

    fn authenticated(&self) -> MutexGuard<'_, Authenticated> {
        lock(&self.authenticated)
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.state.in_flight()
    }

    pub(crate) fn condition(&self) -> Condition {
        self.state.condition()
    }

    /// Takes the link out of traffic, for ever; what is in flight may finish.
    pub(crate) fn retire(&self, reason: &'static str) {
        self.state.set(Condition::Down(reason));
    }

    /// Waits until nothing is in flight; meant for a link that takes no new commands.
    pub(crate) async fn drained(&self) {
        self.state.drained().await;
    }

    /// A place for one command (or pipeline) on this link, if it is in `condition`.
    pub(crate) fn lease(self: &Arc<Self>, condition: Condition) -> Option<Lease> {
        self.state.enter(condition).then(|| Lease { link: Arc::clone(self) })
    }

    /// How long nothing has been sent or received.
    pub(crate) fn idle(&self) -> Duration {
        let last = self.pulse.last_read().max(self.last_used.load(Relaxed));
        self.pulse.now().saturating_sub(Duration::from_millis(last))
    }

    /// Has the keeper find out whether Redis is still there.
    pub(crate) fn suspect(&self) {
        self.suspect.store(true, Relaxed);
    }

    /// Whether somebody doubts that Redis is still there.
    pub(crate) fn is_suspect(&self) -> bool {
        self.suspect.load(Relaxed)
    }

    /// How long ago the link was opened.
    pub(crate) fn age(&self) -> Duration {
        self.pulse.now()
    }

    /// Waits until everything sent has reached Redis, what expects no reply included; meant for a link that takes no new
    /// commands.
    pub(crate) async fn settled(&self, deadline: Instant) {
        if timeout_at(deadline, self.drained()).await.is_ok() {
            let left = deadline.saturating_duration_since(Instant::now());
            self.ping(left.min(LONGEST_FAREWELL)).await;
        }
    }

    fn touch(&self) {
        // Milliseconds of uptime fit for 584 million years.
        #[allow(clippy::cast_possible_truncation)]
        self.last_used.store(self.pulse.now().as_millis() as u64, Relaxed);
    }

    /// Whether Redis is still there: a `PING` answered, with anything, within `limit`.
    pub(crate) async fn ping(&self, limit: Duration) -> bool {
        self.touch();
        self.suspect.store(false, Relaxed);
        let mut connection = self.connection.clone();
        let ping = redis::cmd("PING");
        matches!(timeout(limit, connection.send_packed_command(&ping)).await, Ok(Ok(_)))
    }

    /// Lets traffic go around the link until [`reauthenticate`](Self::reauthenticate) is through.
    pub(crate) fn step_aside(&self) {
        self.state.swap(Condition::Open, Condition::Aside);
    }

    /// Sends `AUTH` with a new token, and waits for its answer until `deadline` at most.
    ///
    /// A server may take seconds to validate a token, and everything sent behind the `AUTH` would wait for it: if there
    /// are other links, this one should have stepped aside.
    pub(crate) async fn reauthenticate(&self, current: &Current, deadline: Instant) -> Reauth {
        if self.condition() == Condition::Aside {
            // Commands that were let in before must reach the socket before the AUTH does. One that is still unanswered at
            // half-time is left to itself: the AUTH needs the other half.
            let now = Instant::now();
            let half_time = now + deadline.saturating_duration_since(now) / 2;
            _ = timeout_at(half_time, self.drained()).await;
        }
        let mut connection = self.connection.clone();
        let auth = handshake::auth_command(current);
        let started = Instant::now();
        self.validating.store(true, Relaxed);
        let answer = timeout_at(deadline, connection.send_packed_command(&auth)).await;
        self.validating.store(false, Relaxed);
        let Ok(answer) = answer else {
            return Reauth::Silent(unanswered(started.elapsed()));
        };
        let outcome = match answer.and_then(Value::extract_error) {
            Ok(_) => {
                *self.authenticated() =
                    Authenticated { generation: current.generation, until: current.token.usable_until() };
                Reauth::Done
            }
            Err(error) => {
                let error = handshake::refusal(&error, current);
                if error.kind() == ErrorKind::AuthenticationRejected {
                    Reauth::Rejected(error)
                } else {
                    Reauth::Failed(error)
                }
            }
        };
        self.state.swap(Condition::Aside, Condition::Open);
        outcome
    }
}

/// A command's place on a link; gives it back when dropped, so that a cancelled command leaves nothing behind.
pub(crate) struct Lease {
    link: Arc<Link>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.link.state.leave();
    }
}

impl Lease {
    pub(crate) async fn command(&self, cmd: &Cmd) -> RedisResult<Value> {
        self.link.connection.clone().send_packed_command(cmd).await
    }

    pub(crate) async fn pipeline(&self, pipeline: &Pipeline, offset: usize, count: usize) -> RedisResult<Vec<Value>> {
        self.link.connection.clone().send_packed_commands(pipeline, offset, count).await
    }

    /// Whether not a byte has come from Redis since `moment`, for no good reason.
    pub(crate) fn silent_since(&self, moment: Instant) -> bool {
        self.link.pulse.silent_since(moment) && !self.link.validating.load(Relaxed)
    }

    /// Whether the connection is gone: no reply will come any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.link.driver.is_finished()
    }

    /// Has the keeper find out whether Redis is still there.
    pub(crate) fn suspect(&self) {
        self.link.suspect();
    }

    /// Takes the link out of traffic; the keeper replaces it.
    pub(crate) fn retire(&self, reason: &'static str) {
        self.link.retire(reason);
    }
}

fn unanswered(waited: Duration) -> Error {
    Error::new(ErrorKind::Timeout(Stage::Auth), format!("Redis did not answer AUTH within {waited:?} (`auth_timeout`)"))
}
