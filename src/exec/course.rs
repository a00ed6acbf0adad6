//! What Redis's answer means for a request: whether it has run, and if not, where it goes next and when.

use super::{
    core::{Core, Way},
    redirects::Redirects,
    request::Request,
    retry::{Remedy, Retries, remedy},
};
use crate::link::{NOAUTH, READONLY, SILENCE};
use redis::RedisResult;
use tokio::time::Instant;

/// Where a request goes next, and what may still be tried.
pub(super) struct Course<'a> {
    core: &'a Core,
    pub(super) way: Way,
    pub(super) retries: Retries<'a>,
    /// None on a single endpoint.
    redirects: Option<Redirects<'a>>,
}

/// What a reply says of its request.
pub(super) enum Verdict {
    /// It is the request's.
    Accepted,
    /// The request has not run, and is not sent again: its time is over, or it may not be tried any more.
    Refused,
    /// The request has not run, and it is time to send it again.
    Again,
}

impl Verdict {
    fn refused(is_sent_again: bool) -> Self {
        if is_sent_again { Self::Again } else { Self::Refused }
    }
}

impl<'a> Course<'a> {
    pub(super) fn new(core: &'a Core, way: Way, deadline: Instant) -> Self {
        let redirects = core.cluster().map(|cluster| Redirects::new(core, cluster, deadline));
        Self { core, way, retries: Retries::new(deadline, &core.timers), redirects }
    }

    /// What the reply says that came over this link. If the request is to be sent again, what is to be done before that
    /// is done, and the time waited for.
    pub(super) async fn judge<R: Request>(&mut self, request: &R, reply: &RedisResult<R::Reply>, link: u64) -> Verdict {
        let is_part = matches!(self.way, Way::Part { .. });
        if let Some(redirects) = self.redirects.as_mut().filter(|_| !is_part)
            && let Some(redirect) = redirects.of(request, reply, link, &self.way)
        {
            self.way = redirects.heed(&redirect, Some(link));
            return Verdict::refused(redirects.allow(&redirect).await);
        }
        let remedy = request.refusal(reply).and_then(|error| remedy(&error));
        // Of a part, the rest is up to whoever has taken the whole apart.
        let Some(remedy) = remedy.filter(|remedy| !is_part || *remedy == Remedy::Elsewhere) else {
            return Verdict::Accepted;
        };
        if !is_part {
            self.way = Way::Owner;
        }
        match remedy {
            Remedy::Elsewhere => self.retire(link, NOAUTH),
            Remedy::Reconnect => self.reconnect(link),
            Remedy::Later => {}
        }
        Verdict::refused(self.retries.allow(remedy).await)
    }

    /// Replaces a link whose server turns out to be no primary; not a young one, which may just have been opened for
    /// that reason.
    fn reconnect(&self, link: u64) {
        if self.core.link(link).is_some_and(|(_, link)| link.age() >= SILENCE) {
            self.retire(link, READONLY);
        }
    }

    fn retire(&self, link: u64, reason: &'static str) {
        if let Some((node, link)) = self.core.link(link) {
            link.retire(reason);
            node.pool().wake_keeper();
        }
    }
}
