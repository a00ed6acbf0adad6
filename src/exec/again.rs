//! A transaction that has not come to its end: whether it is begun again, when, and where.

use super::{
    core::{Core, Way},
    lease::Place,
    redirects::Redirects,
    retry::{self, Remedy, Retries},
};
use crate::{
    cluster::{
        node::Node,
        redirect::{Redirect, Sent},
        slot::Slot,
    },
    error::{Error, ErrorKind},
    retry::{Backoff, RetryPolicy},
};
use redis::{RedisError, RedisResult, ServerError};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// How often a transaction is begun whose keys are changed by others each time.
pub(crate) const MOST_ATTEMPTS: u32 = 100;

/// The first of the growing delays after a conflict, and the longest. They are random: those who are in each other's
/// way must not meet again.
const FIRST_DELAY: Duration = Duration::from_millis(2);
const LONGEST_DELAY: Duration = Duration::from_millis(100);

/// Where a transaction is begun.
pub(crate) struct Start {
    pub(crate) place: Place,
    /// If that node is just taking over its slot: until when what the slot's owner has said of its keys is good.
    pub(crate) asking: Option<Instant>,
}

/// The connection on which a transaction has failed.
pub(crate) struct Ended {
    pub(crate) node: Arc<Node>,
    pub(crate) asking: bool,
    /// Whether it takes commands yet.
    pub(crate) is_open: bool,
}

/// What one transaction may still try.
pub(crate) struct Again<'a> {
    core: &'a Core,
    slot: Option<Slot>,
    /// What may still be tried after an error. It begins again after each conflict: until that, all has gone well.
    trouble: Option<(Retries<'a>, Option<Redirects<'a>>)>,
    conflicts: u32,
    backoff: Backoff,
}

impl<'a> Again<'a> {
    pub(crate) fn new(core: &'a Core, slot: Option<Slot>) -> Self {
        let backoff = Backoff::new(&RetryPolicy::new().delay(FIRST_DELAY).max_delay(LONGEST_DELAY));
        Self { core, slot, trouble: None, conflicts: 0, backoff }
    }

    /// Where it goes first.
    pub(crate) fn start(&self) -> Start {
        Start { place: Place::Owner(self.slot), asking: None }
    }

    /// After somebody else has changed what it watches: waits until it may be begun again.
    pub(crate) async fn after_conflict(&mut self) -> RedisResult<()> {
        self.trouble = None;
        self.conflicts += 1;
        if self.conflicts >= MOST_ATTEMPTS {
            let text = format!(
                "what the transaction watches was changed by others in each of {MOST_ATTEMPTS} attempts; nothing of it \
                 has been done"
            );
            return Err(Error::new(ErrorKind::Conflict, text).not_run().into());
        }
        self.core.timers.sleep_until(Instant::now() + self.backoff.next_delay()).await;
        if self.core.is_closed() { Err(Error::closed().into()) } else { Ok(()) }
    }

    /// After an error that came before the end of the transaction was sent, in this session: where it is begun again,
    /// once it is time; none if the error stands.
    pub(crate) async fn after(&mut self, error: &RedisError, session: Ended) -> Option<Start> {
        let Ended { node, asking, is_open } = session;
        let core = self.core;
        let (retries, redirects) = self.trouble.get_or_insert_with(|| {
            let deadline = Instant::now() + core.command_timeout;
            let redirects = core.cluster().map(|cluster| Redirects::new(core, cluster, deadline));
            (Retries::new(deadline, &core.timers), redirects)
        });
        if let Some(redirects) = redirects {
            let sent = Sent { slot: self.slot, runs_script: false, to: node.name() };
            let redirect = match Redirect::of_redis_error(error, sent) {
                Some(Redirect::CrossSlot) => return None,
                redirect => redirect.map(|redirect| redirects.read(redirect, asking)),
            };
            if let Some(redirect) = redirect {
                let start = match redirects.heed(&redirect, None) {
                    Way::Redirected { to, asking } => {
                        let until = Instant::now() + core.command_timeout;
                        Start { place: Place::Node(to), asking: asking.then_some(until) }
                    }
                    Way::Owner | Way::Part { .. } => Start { place: Place::Owner(self.slot), asking: None },
                };
                return redirects.allow(&redirect).await.then_some(start);
            }
        }
        let is_of_the_connection = !is_open && error.is_connection_dropped();
        let remedy = if is_of_the_connection {
            Some(Remedy::Later)
        } else {
            first(error).and_then(|error| retry::remedy(&error))
        };
        if !retries.allow(remedy?).await {
            return None;
        }
        core.admission.note_retry();
        Some(self.start())
    }
}

fn first(error: &RedisError) -> Option<ServerError> {
    error.clone().into_server_errors()?.first().map(|(_, error)| error.clone())
}
