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
    /// What has no answer yet, though nobody waits for it.
    pub(crate) unanswered: Option<Unanswered>,
}

impl Memory {
    /// Notes that a command on this link has no answer yet, and that its caller does not wait for one.
    #[cold]
    pub(crate) fn leave_behind(&mut self, link: Option<&Arc<Link>>) {
        // A link that is not known any more has ended, and with it the command.
        if let Some(link) = link {
            // The silence of a link counts from the first of them: each new one would begin it anew.
            let first =
                self.unanswered.as_ref().filter(|before| before.is_on(link) && !link.has_answered(before.through));
            let since = first.map_or_else(Instant::now, |before| before.since);
            self.unanswered = Some(Unanswered { link: Arc::downgrade(link), through: link.commands_queued(), since });
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

    /// Where the next command may go, of these links.
    pub(crate) fn next(&self, links: &[Arc<Link>]) -> Next {
        match self.link.upgrade() {
            Some(link) if link.has_ended() || link.has_answered(self.through) || self.is_given_up(&link, links) => {
                Next::Anywhere
            }
            Some(link) if link.is_open() => Next::Behind(link),
            Some(_) => Next::Later,
            None => Next::Anywhere,
        }
    }

    /// Whether the link is taken for dead: it has been silent since, while another link was not.
    ///
    /// While all links are silent, the server is slow, and what was sent over this one may yet run. They fall silent
    /// within moments of each other, so another link's word counts only if it came well after this one's last.
    fn is_given_up(&self, link: &Link, links: &[Arc<Link>]) -> bool {
        let silent = link.since_heard().min(self.since.elapsed());
        silent >= SILENCE && links.iter().any(|other| other.since_heard() + SILENCE / 2 < silent)
    }

    /// Waits until they are answered, or their link has ended; meant for a link that is not open.
    pub(crate) async fn settled(&self) {
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
