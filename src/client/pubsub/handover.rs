//! Over RESP2, where a link lives as long as its token: the next link takes over before that.

use super::{
    delivery::GapReason,
    feed::{At, Phase},
    line::{LineTask, On},
    requests::{Change, batches},
};
use crate::{
    command::profile,
    exec::{call::Call, lease::Place, order::Memory, request::CommandRequest},
    pool::Lease,
};
use futures_util::future::BoxFuture;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::{Instant, timeout_at};

/// Links of many clients are not replaced at the same moment.
const LONGEST_SPREAD: Duration = Duration::from_secs(1);

/// After an attempt that has failed.
const AGAIN: Duration = Duration::from_millis(200);

/// How long the mark may take from one link to the other.
const MARK_WITHIN: Duration = Duration::from_secs(2);

/// Over RESP2, the link that takes the place of one whose token has been renewed.
#[derive(Default)]
pub(super) struct Successor {
    /// When to open it.
    pub(super) at: Option<Instant>,
    dialing: Option<BoxFuture<'static, Option<Lease>>>,
}

impl Successor {
    /// Has the next link opened if the token of this one has been renewed.
    pub(super) fn plan(&mut self, line: &LineTask, on: &On) {
        let link = on.link();
        let is_old = || line.core().tokens.live().is_some_and(|current| current.generation > link.generation());
        if self.at.is_none() && self.dialing.is_none() && link.refuses_auth() && is_old() {
            let now = Instant::now();
            let life = link.authenticated_until().saturating_duration_since(now);
            self.at = Some(now + LONGEST_SPREAD.min(life / 10).mul_f64(fastrand::f64()));
        }
    }

    /// Opens it when it is time.
    pub(super) fn start(&mut self, line: &LineTask) {
        if self.at.take_if(|at| *at <= Instant::now()).is_some() {
            let (manager, node) = (Arc::clone(&line.manager), Arc::clone(&line.node));
            self.dialing = Some(Box::pin(async move {
                let deadline = Instant::now() + manager.core().command_timeout;
                manager.core().subscriber(&Place::Node(node), deadline).await.ok()
            }));
        }
    }

    /// The next link; none if it has not come. Never, if none is being opened.
    pub(super) async fn dialed(&mut self) -> Option<Lease> {
        let Some(dialing) = &mut self.dialing else {
            return std::future::pending().await;
        };
        let lease = dialing.await;
        self.dialing = None;
        lease
    }

    /// The next link has not come, or is of no use: another one is opened a little later.
    pub(super) fn fail(&mut self) {
        (self.at, self.dialing) = (Some(Instant::now() + AGAIN), None);
    }
}

impl LineTask {
    /// Replaces a link by the next one, at one moment of the server's: the old one counts before it, the new one after
    /// it. Gives the old one back if the new one is of no use.
    pub(super) async fn hand_over(&self, old: On, lease: Lease) -> Result<On, On> {
        let Ok(new) = self.take(lease, Phase::Discarding).await else {
            return Err(old);
        };
        let wanted = self.shared.take_wanted(new.at);
        let began = SystemTime::now();
        let subscribed = self.run_batches(&new, batches(Change::Subscribe, wanted)).await;
        if subscribed.is_err() || new.is_down() {
            self.shared.detach(new.at);
            return Err(old);
        }
        let is_exact = old.is_marked && new.is_marked && self.mark(&old, new.at).await;
        if is_exact {
            self.shared.replace(old.at, began);
        } else if old.is_down() {
            self.lose(&old);
        } else {
            self.shared.lose(old.at, began, GapReason::Replaced);
        }
        self.shared.go_live(new.at);
        Ok(new)
    }

    /// Has a mark come over both links; whether it has.
    async fn mark(&self, old: &On, new: At) -> bool {
        let core = self.core();
        let Some(marker) = self.shared.state().lines.get(&self.id).map(|line| line.marker.clone()) else {
            return false;
        };
        let mut publish = redis::cmd("PUBLISH");
        let mark = format!("{:032x}", fastrand::u128(..));
        publish.arg(marker).arg(&mark);
        if let Some(line) = self.shared.state().lines.get_mut(&self.id) {
            line.mark = Some(mark.into_bytes());
        }
        let deadline = Instant::now() + MARK_WITHIN;
        let mut memory = Memory::default();
        let call = Call::new(core, &mut memory, CommandRequest { cmd: &publish, profile: profile(&publish) });
        if !matches!(timeout_at(deadline, call).await, Ok(Ok(value)) if !matches!(value, redis::Value::ServerError(_)))
        {
            return self.shared.is_live(new);
        }
        loop {
            if self.shared.is_live(new) {
                return true;
            }
            if old.is_down() || timeout_at(deadline, self.bell.notified()).await.is_err() {
                return self.shared.is_live(new);
            }
        }
    }
}
