//! The task of a tracker: opens the connection over which its node tells of changes, and finds out whether it still
//! does.

use super::{
    Shared,
    sign::Sign,
    tracker::{Invalidations, Reason, Tracker},
};
use crate::{
    client::manager::ConnectionManager,
    cluster::owned::slots_by_its_word,
    exec::{core::Core, lease::Place},
    link::{Link, Outcome},
    near_cache::Coverage,
    observe::event::Event,
    retry::{Backoff, RetryPolicy},
};
use futures_util::future::join;
use redis::{Cmd, ProtocolVersion, Value};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, sleep_until};

/// How long a connection is waited for before what is known of the node is looked at again.
const LINK_WITHIN: Duration = Duration::from_secs(30);

/// A node that does not want to tell of changes is asked again after so long: it may have been replaced by another one.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// How long the answer is waited for that counts as a sign of life. The keeper finds out a silent connection before
/// that; while a token is validated, the server has a reason to be silent.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A node is asked for a sign of life so many times within `max_staleness`, and no more often than that: on a cluster
/// each one is two commands, one of which has a long answer, and every client of the cluster asks every node.
const SIGNS: u32 = 4;
const SHORTEST_PERIOD: Duration = Duration::from_millis(50);

/// The delays between attempts, while connections come and go.
const FIRST_DELAY: Duration = Duration::from_millis(20);
const LONGEST_DELAY: Duration = Duration::from_secs(2);

/// After a connection that has lasted for so long, the delays begin with the shortest one again.
const LASTING: Duration = Duration::from_secs(1);

/// Why a session is over.
enum End {
    /// The connection has ended.
    Lost,
    /// The server does not want to.
    Refused(Reason),
    /// There is no connection.
    NoLink,
}

/// Keeps a node telling of changes, until commands are refused or the node is gone.
pub(super) async fn run(manager: Arc<ConnectionManager>, shared: Arc<Shared>, tracker: Arc<Tracker>) {
    let core = manager.core();
    let task = Task { manager: &manager, core, shared: &shared, tracker: &tracker };
    tokio::select! {
        () = task.keep_on() => {}
        () = task.is_over() => {}
    }
    task.flush_lost();
    shared.remove(&tracker);
}

struct Task<'a> {
    manager: &'a ConnectionManager,
    core: &'a Core,
    shared: &'a Shared,
    tracker: &'a Arc<Tracker>,
}

impl Task<'_> {
    async fn keep_on(&self) {
        if self.manager.protocol == ProtocolVersion::RESP2 {
            self.is_off("the protocol is RESP2 (`Config::protocol`), in which Redis does not tell of changes");
            return std::future::pending().await;
        }
        let mut backoff = Backoff::new(&RetryPolicy::new().delay(FIRST_DELAY).max_delay(LONGEST_DELAY));
        loop {
            let began = Instant::now();
            let end = self.session().await;
            self.flush_lost();
            match end {
                End::Lost => {
                    self.is_off("the connection has ended; it is being opened again");
                    if began.elapsed() >= LASTING {
                        backoff.reset();
                    }
                    sleep(backoff.next_delay()).await;
                }
                End::NoLink => {
                    self.is_off("there is no connection yet");
                    sleep(backoff.next_delay()).await;
                }
                End::Refused(reason) => {
                    self.is_off(reason);
                    sleep(ASK_AGAIN).await;
                }
            }
        }
    }

    /// Waits until commands are refused, or no connection to the node comes up any more.
    async fn is_over(&self) {
        loop {
            let changed = self.core.availability.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.core.is_closed() || self.tracker.node.pool().has_ended() {
                return;
            }
            changed.await;
        }
    }

    /// What was covered is not served any more, and goes.
    fn flush_lost(&self) {
        if self.tracker.end() {
            self.shared.store.note_flush();
        }
        self.shared.store.sweep();
    }

    fn is_off(&self, reason: impl Into<Reason>) {
        let reason = reason.into();
        if self.tracker.set_status(false, Some(reason.clone())) {
            let node = self.tracker.node.name().to_string().into();
            self.manager.sources.journal.record(Event::CacheUntracked { node, reason });
        }
    }

    /// One connection, from its beginning to its end.
    async fn session(&self) -> End {
        let place = Place::Node(Arc::clone(&self.tracker.node));
        let Ok(lease) = self.core.subscriber(&place, Instant::now() + LINK_WITHIN).await else {
            return End::NoLink;
        };
        let link = lease.link();
        link.hand_pushes_to(Invalidations::new(&self.shared.store, self.tracker));
        let mut tracking = redis::cmd("CLIENT");
        tracking.arg("TRACKING").arg("ON");
        match answer(link, &tracking).await {
            Some(Value::Okay) => {}
            Some(Value::ServerError(error)) => {
                // The code alone: the rest quotes what was sent, or names the user.
                let reason = format!("the server refuses CLIENT TRACKING ({})", error.code());
                return End::Refused(reason.into());
            }
            Some(_) => return End::Refused("the server's answer to CLIENT TRACKING is unknown".into()),
            None => return End::Lost,
        }
        let Some(sign) = self.sign_of_life(link).await else {
            return End::Lost;
        };
        self.tracker.begin(link, Coverage::from(sign.asked.wall));
        if is_down(link) {
            // It may have ended before the session began, when there was nothing for its end to stop.
            return End::Lost;
        }
        if self.tracker.set_status(true, None) {
            let node = self.tracker.node.name().to_string().into();
            self.manager.sources.journal.record(Event::CacheTracking { node, link: link.id() });
        }
        tokio::select! {
            () = self.signs_of_life(link, sign) => {}
            () = self.changes(link) => {}
        }
        End::Lost
    }

    /// Has the node give signs of life, until one does not come.
    async fn signs_of_life(&self, link: &Arc<Link>, mut last: Sign) {
        let (store, limit) = (&self.shared.store, self.shared.store.limits().max_staleness);
        let period = (limit / SIGNS).max(SHORTEST_PERIOD);
        loop {
            sleep_until(last.asked.monotonic + period).await;
            let too_late = async {
                sleep_until(last.asked.monotonic + limit).await;
                // What is served is found to be too old by the wall clock, unless that has been set back meanwhile.
                if self.tracker.session().is_some_and(|session| store.holds(&session.coverage)) {
                    self.shared.flush(self.tracker);
                }
                std::future::pending().await
            };
            let sign = tokio::select! {
                sign = self.sign_of_life(link) => sign,
                none = too_late => none,
            };
            let (Some(sign), Some(session)) = (sign, self.tracker.session()) else {
                return;
            };
            let has_lost_slots = sign.has_not(&session.coverage);
            if has_lost_slots || sign.has_changed_since(&last, store.moment()) {
                self.shared.flush(self.tracker);
            }
            if has_lost_slots && let Some(cluster) = self.core.cluster() {
                cluster.doubt();
            }
            last = sign;
            // After the look at the slots: until then it is not certain that all changes have been told.
            if let Some(session) = self.tracker.session() {
                session.coverage.told(last.asked.wall);
            }
        }
    }

    /// None if there is none.
    async fn sign_of_life(&self, link: &Link) -> Option<Sign> {
        if is_down(link) {
            return None;
        }
        let asked = self.shared.store.moment();
        if self.core.cluster().is_none() {
            // Any answer is a sign of life.
            return answer(link, &redis::cmd("PING")).await.map(|_| Sign { asked, slots: None, epoch: None });
        }
        let mut info = redis::cmd("CLUSTER");
        info.arg("INFO");
        let (info, slots) = join(answer(link, &info), slots_by_its_word(&self.tracker.node, link, ANSWER_WITHIN)).await;
        Sign::of_cluster(asked, &info?, slots?)
    }

    /// Looks at what may end or flush what is covered, until the connection ends.
    async fn changes(&self, link: &Arc<Link>) {
        let cluster = self.core.cluster();
        let mut fingerprint = cluster.map(|cluster| cluster.map().fingerprint());
        loop {
            let changed = self.core.availability.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let Some(session) = self.tracker.session().filter(|_| !is_down(link)) else {
                return;
            };
            if let Some(cluster) = cluster
                && let now = Some(cluster.map().fingerprint())
                && std::mem::replace(&mut fingerprint, now) != now
                && !cluster.slots_of(&self.tracker.node).has_all_of(session.coverage.slots())
            {
                self.shared.flush(self.tracker);
            }
            tokio::select! {
                () = changed => {}
                () = self.tracker.news.notified() => self.shared.store.sweep(),
            }
        }
    }
}

/// Whether the link takes no commands any more.
fn is_down(link: &Link) -> bool {
    link.has_ended() || !(link.is_open() || link.is_reauthenticating())
}

/// What a command of the link's only user is answered; none if it is not.
async fn answer(link: &Link, cmd: &Cmd) -> Option<Value> {
    let (reply, _) = link.command_alone(cmd, Some(Instant::now() + ANSWER_WITHIN))?;
    match reply.await.outcome {
        Outcome::Answered(value) => Some(value),
        _ => None,
    }
}
