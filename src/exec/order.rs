//! The order of what one handle sends.
//!
//! Commands of one handle take effect in the order in which they were sent. While its caller waits for each reply, that
//! is so by itself: the next command is sent when the one before has run. It takes care where nobody waits for a reply:
//! after a command that wants none (`set_no_response`), and after one whose caller has given up on it. Until that one
//! is answered, the next commands of the handle follow it over the same connection.

use crate::link::{Link, SILENCE};
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
    pub(crate) fn leave_behind(&mut self, link: Option<&Arc<Link>>) {
        // A link that is not known any more has ended, and with it the command.
        if let Some(link) = link {
            // The silence of a link counts from the first of them: each new one would begin it anew.
            let first = self.unanswered.iter().find(|before| before.is_on(link) && !link.has_answered(before.through));
            let since = first.map_or_else(Instant::now, |before| before.since);
            self.unanswered.retain(|before| !before.is_on(link));
            self.unanswered.push(Unanswered { link: Arc::downgrade(link), through: link.commands_queued(), since });
        }
    }

    /// Takes in what another memory has, of a part of the same handle's commands.
    pub(crate) fn join(&mut self, part: Self) {
        for unanswered in part.unanswered {
            self.unanswered.retain(|before| !before.link.ptr_eq(&unanswered.link));
            self.unanswered.push(unanswered);
        }
    }

    /// Where the next command may go, if it goes over one of these links, all of one node. What has been answered is
    /// forgotten.
    ///
    /// What is under way to another node is not waited for. Its keys are others: a node never answers for keys that
    /// another one has, and what one node has left unanswered must not keep a handle from all the others.
    #[cold]
    pub(super) fn next(&mut self, links: &[Arc<Link>]) -> Next {
        self.unanswered.retain(|before| !before.is_over(links));
        let is_here = |before: &&Unanswered| {
            let link = before.link.upgrade();
            links.is_empty() || link.is_some_and(|link| links.iter().any(|other| other.node() == link.node()))
        };
        match &*self.unanswered.iter().filter(is_here).collect::<Vec<_>>() {
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

    /// Whether something has no answer yet; what has been answered is forgotten.
    pub(super) fn has_unanswered(&mut self) -> bool {
        self.unanswered.retain(|before| !before.is_over(&[]));
        !self.unanswered.is_empty()
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
    /// Nowhere until those are answered: their link takes no commands now.
    Later,
}

impl Unanswered {
    fn is_on(&self, link: &Arc<Link>) -> bool {
        std::ptr::eq(self.link.as_ptr(), Arc::as_ptr(link))
    }

    /// Whether there is nothing under way that the next command could overtake.
    fn is_over(&self, links: &[Arc<Link>]) -> bool {
        let link = self.link.upgrade();
        link.is_none_or(|link| link.has_ended() || link.has_answered(self.through) || self.is_given_up(&link, links))
    }

    /// Whether the link is taken for dead: it has been silent since, while another link was not.
    ///
    /// While all links are silent, the server is slow, and what was sent over this one may yet run. They fall silent
    /// within moments of each other, so another link's word counts only if it came well after this one's last.
    fn is_given_up(&self, link: &Link, links: &[Arc<Link>]) -> bool {
        let silent = link.since_heard().min(self.since.elapsed());
        silent >= SILENCE && {
            let same_node = links.iter().filter(|other| Arc::ptr_eq(other.node(), link.node()));
            same_node.into_iter().any(|other| other.since_heard() + SILENCE / 2 < silent)
        }
    }

    /// Waits until they are answered, or their link has ended.
    async fn settled(&self) {
        // The caller need not poll this again before it drops it: that must not keep the connection open.
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
