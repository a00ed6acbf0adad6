//! The order of what one handle sends.
//!
//! Commands of one handle take effect in the order in which they were sent. While its caller waits for each reply, that
//! is so by itself: the next command is sent when the one before has run. It takes care where nobody waits for a reply:
//! after a command that wants none (`set_no_response`), and after one whose caller has given up on it. Until that one
//! is answered, the next commands of the handle follow it over the same connection.

use crate::{
    cluster::node::Node,
    link::{Link, SILENCE},
    pool::Pool,
};
use std::{
    fmt,
    sync::{Arc, Weak},
};
use tokio::time::Instant;

/// What a handle remembers of the commands that it has sent. A clone begins with what its original has under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    /// Whether the last command, or its reply, was large.
    pub(crate) expects_large: bool,
    /// What has no answer yet, though nobody waits for it: for each link at most one.
    pub(crate) unanswered: Vec<Unanswered>,
}

impl Memory {
    /// Notes that a command on this link has no answer yet, and that its caller does not wait for one.
    #[cold]
    pub(crate) fn leave_behind(&mut self, node: &Arc<Node>, link: &Arc<Link>) {
        // The silence of a link counts from the first of them: else each new one would have it begin again.
        let first = self.unanswered.iter().find(|before| before.is_on(link) && !link.has_answered(before.through));
        let since = first.map_or_else(Instant::now, |before| before.since);
        self.unanswered.retain(|before| !before.is_on(link));
        let (node, through) = (Arc::downgrade(node), link.commands_queued());
        self.unanswered.push(Unanswered { node, link: Arc::downgrade(link), through, since });
    }

    /// Takes in what another memory has, of a part of the same handle's commands.
    pub(crate) fn join(&mut self, part: Self) {
        self.expects_large |= part.expects_large;
        for unanswered in part.unanswered {
            // A part that has sent nothing over the link has what the whole had at its beginning.
            match self.unanswered.iter_mut().find(|before| before.link.ptr_eq(&unanswered.link)) {
                Some(before) if before.through < unanswered.through => *before = unanswered,
                Some(_) => {}
                None => self.unanswered.push(unanswered),
            }
        }
    }

    /// Where the next command may go, if it goes over one of these links, which are those of `pool`. What has been
    /// answered is forgotten.
    ///
    /// What is under way to another node is waited for, as long as that one gives signs of life: a node that says
    /// nothing must not keep a handle from all the others.
    #[cold]
    pub(super) fn next(&mut self, pool: &Pool, links: &[Arc<Link>]) -> Next {
        self.forget_answered();
        let here = |before: &&Unanswered| before.is_to(pool);
        if self.unanswered.iter().any(|before| !before.is_to(pool) && !before.is_silent()) {
            return Next::Later;
        }
        match &*self.unanswered.iter().filter(here).collect::<Vec<_>>() {
            [] => Next::Anywhere,
            [before] => match before.link.upgrade() {
                Some(link) if link.is_open() && links.iter().any(|other| Arc::ptr_eq(other, &link)) => {
                    Next::Behind(link)
                }
                _ => Next::Later,
            },
            _ => Next::Later,
        }
    }

    /// Forgets what the next command cannot overtake any more.
    pub(super) fn forget_answered(&mut self) {
        self.unanswered.retain(|before| !before.is_over());
    }

    /// Waits until one of them is answered, or its link has ended.
    pub(super) async fn settled(&self) {
        match self.unanswered.first() {
            Some(before) => before.settled().await,
            None => std::future::pending().await,
        }
    }
}

/// Commands on one link without an answer, for which nobody waits.
#[derive(Clone)]
pub(crate) struct Unanswered {
    node: Weak<Node>,
    link: Weak<Link>,
    /// How many commands the link has to answer before all of them are.
    through: u64,
    /// When the first one of them was left behind.
    since: Instant,
}

/// Where the next command of a handle may go.
pub(crate) enum Next {
    /// Over any link: nothing that it could overtake is under way.
    Anywhere,
    /// Over this link, behind the ones before.
    Behind(Arc<Link>),
    /// Nowhere until those are answered: their link takes no commands now, or leads to another node.
    Later,
}

impl Unanswered {
    fn is_on(&self, link: &Arc<Link>) -> bool {
        std::ptr::eq(self.link.as_ptr(), Arc::as_ptr(link))
    }

    /// Whether there is nothing under way that the next command could overtake.
    fn is_over(&self) -> bool {
        let link = self.link.upgrade();
        link.is_none_or(|link| link.has_ended() || link.has_answered(self.through) || self.is_given_up(&link))
    }

    /// Whether the link is taken for dead: it has been silent since, while another link of its node was not. Not so one
    /// whose server validates a token: what is behind the `AUTH` runs when that is answered.
    ///
    /// While all of them are silent, the server is slow, and what was sent over this one may yet run. They fall silent
    /// within moments of each other, so another link counts as heard only if that was well after this one was.
    fn is_given_up(&self, link: &Link) -> bool {
        let silent = link.since_heard().min(self.since.elapsed());
        let is_heard = |other: &Arc<Link>| other.since_heard() + SILENCE / 2 < silent;
        silent >= SILENCE
            && !link.awaits_auth()
            && self.node.upgrade().is_some_and(|node| node.pool().snapshot().iter().any(is_heard))
    }

    /// Whether it is on its way to the node of this pool.
    fn is_to(&self, pool: &Pool) -> bool {
        self.node.upgrade().is_some_and(|node| std::ptr::eq(Arc::as_ptr(node.pool()), pool))
    }

    /// Whether its node owes answers over its link and has said nothing for so long that commands for other nodes do
    /// not wait for it.
    fn is_silent(&self) -> bool {
        self.link.upgrade().is_none_or(|link| link.is_silent())
    }

    /// Waits until they are answered, or their link has ended.
    async fn settled(&self) {
        // Only the queue is held meanwhile: a caller that does not poll this for long must not keep the link open.
        if let Some(queue) = self.link.upgrade().map(|link| Arc::clone(link.queue())) {
            queue.answered(self.through).await;
        }
    }
}

impl fmt::Debug for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let link = self.link.upgrade().map(|link| link.id());
        f.debug_struct("Unanswered").field("link", &link).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
