//! The task of one line: keeps what is subscribed to at a node equal to what is wanted there, whatever becomes of the
//! links.

use super::{
    feed::{At, Phase},
    handover::Successor,
    shared::Shared,
    topic::Topic,
};
use crate::{
    client::manager::ConnectionManager,
    cluster::node::Node,
    exec::{core::Core, lease::Place},
    link::{Condition, Link, PushReceiver},
    pool::Lease,
};
use redis::{Cmd, PushKind, Value};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until, timeout},
};

/// A link that nothing is wanted of is kept for so long.
const IDLE: Duration = Duration::from_secs(5);

/// How long to wait when no new link has come: the reason may go away without a sign.
const NO_LINK: Duration = Duration::from_millis(250);

pub(super) struct LineTask {
    pub(super) manager: Arc<ConnectionManager>,
    pub(super) shared: Arc<Shared>,
    pub(super) id: u64,
    pub(super) node: Arc<Node>,
    pub(super) bell: Arc<Notify>,
}

/// A link in use.
pub(super) struct On {
    pub(super) lease: Lease,
    pub(super) at: At,
    /// Whether it is subscribed to the line's own channel.
    pub(super) is_marked: bool,
}

impl On {
    pub(super) fn link(&self) -> &Arc<Link> {
        self.lease.link()
    }

    pub(super) fn is_down(&self) -> bool {
        self.link().has_ended() || matches!(self.link().condition(), Condition::Down(_))
    }
}

/// The link is of no use any more.
pub(super) struct Lost;

/// Gets what a link receives.
struct Tap {
    shared: Arc<Shared>,
    at: At,
    manager: std::sync::Weak<ConnectionManager>,
}

impl PushReceiver for Tap {
    fn receive(&self, kind: PushKind, data: Vec<Value>) {
        if self.shared.receive(self.at, kind, data)
            && let Some(manager) = self.manager.upgrade()
            && let Some(cluster) = manager.core().cluster()
        {
            cluster.doubt();
        }
    }

    fn end(&self) {
        self.shared.ring(self.at.line);
    }
}

/// Whether a line goes on when a link is through.
enum Then {
    GoOn,
    End,
}

impl LineTask {
    pub(super) fn core(&self) -> &Core {
        self.manager.core()
    }

    pub(super) async fn run(self) {
        while let Some(lease) = self.lease().await {
            if let Then::End = self.serve(lease).await {
                return;
            }
        }
    }

    /// A link to the node; none if nothing is wanted of it any more.
    async fn lease(&self) -> Option<Lease> {
        loop {
            if self.shared.end_if_unwanted(self.id) || self.core().is_closed() {
                return None;
            }
            let changed = self.core().availability.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let ordered = self.order();
            tokio::pin!(ordered);
            let lease = loop {
                tokio::select! {
                    lease = &mut ordered => break lease,
                    () = self.bell.notified() => if self.shared.is_unwanted(self.id) { break None },
                }
            };
            if lease.is_some() {
                return lease;
            }
            if let Some(error) = self.core().tokens.dead() {
                let wanted: Vec<_> =
                    self.shared.state().lines.get(&self.id).into_iter().flat_map(|line| line.wanted.topics()).collect();
                for topic in wanted {
                    self.shared.refuse(self.id, &topic, error.clone().for_want_of_a_token().into());
                }
            }
            _ = timeout(NO_LINK, changed).await;
        }
    }

    pub(super) async fn order(&self) -> Option<Lease> {
        let deadline = Instant::now() + self.core().command_timeout;
        self.core().subscriber(&Place::Node(Arc::clone(&self.node)), deadline).await.ok()
    }

    /// Uses a link.
    pub(super) async fn take(&self, lease: Lease, phase: Phase) -> Result<On, Lost> {
        let at = self.shared.attach(self.id, lease.link(), phase);
        let tap = Tap { shared: Arc::clone(&self.shared), at, manager: Arc::downgrade(&self.manager) };
        lease.link().hand_pushes_to(Arc::new(tap));
        let mut on = On { lease, at, is_marked: false };
        if on.link().refuses_auth() {
            let marker = self.shared.state().lines.get(&self.id).map(|line| line.marker.clone()).unwrap_or_default();
            let cmd: Cmd = redis::cmd("SUBSCRIBE").arg(marker).take();
            match self.ask(&on, &cmd, PushKind::Subscribe).await {
                Ok(Value::ServerError(_)) => {}
                Ok(_) => on.is_marked = true,
                Err(lost) => {
                    self.shared.detach(at);
                    return Err(lost);
                }
            }
        }
        Ok(on)
    }

    /// Keeps up what is wanted over a link, and over those that take its place, until one is lost.
    async fn serve(&self, lease: Lease) -> Then {
        let Ok(mut on) = self.take(lease, Phase::Holding).await else {
            return Then::GoOn;
        };
        let mut tokens = self.core().tokens.clone();
        let mut again: Option<(Instant, Vec<Topic>)> = None;
        let mut idle_since: Option<Instant> = None;
        let mut next = Successor::default();
        loop {
            let changed = self.core().availability.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let result = self.round(&on).await;
            if result.is_err() || on.is_down() {
                self.lose(&on);
                return Then::GoOn;
            }
            if let Ok(Some(more)) = result {
                let at = more.0.min(again.as_ref().map_or(more.0, |(at, _)| *at));
                again = Some((at, again.into_iter().flat_map(|(_, topics)| topics).chain(more.1).collect()));
            }
            if self.core().is_closed() {
                return Then::End;
            }
            let is_idle = self.shared.is_unwanted(self.id);
            idle_since = is_idle.then(|| idle_since.unwrap_or_else(Instant::now));
            if idle_since.is_some_and(|since| since.elapsed() >= IDLE) && self.shared.end_if_unwanted(self.id) {
                return Then::End;
            }
            next.plan(self, &on);
            let retry_at = again.as_ref().map(|(at, _)| *at);
            let wake = retry_at.into_iter().chain(idle_since.map(|since| since + IDLE)).chain(next.at).min();
            tokio::select! {
                () = changed => {}
                () = self.bell.notified() => {}
                alive = tokens.changed() => if !alive { return Then::End },
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
                lease = next.dialed() => match lease {
                    Some(lease) => match self.hand_over(on, lease).await {
                        Ok(new) => { on = new; next = Successor::default(); }
                        Err(old) => { on = old; next.fail(); }
                    },
                    None => next.fail(),
                },
            }
            if let Some((_, topics)) = again.take_if(|(at, _)| *at <= Instant::now()) {
                self.shared.look_at(self.id, topics);
            }
            next.start(self);
        }
    }

    /// The link is gone: what came over it is missed since it last gave a sign.
    pub(super) fn lose(&self, on: &On) {
        self.shared.lose_silent(on.at);
    }
}
