//! The links that commands travel on: which there are, and which one takes the next command.

mod keeper;
mod seat;

use crate::{
    admission::{Admission, Overload, Permit},
    error::{Error, ErrorKind, Stage},
    exec::{
        order::{Memory, Next},
        request::Request,
    },
    link::{Access, Condition, LARGE, Link, Queued, Reply},
    lock::lock,
    timer::Timers,
    token::Tokens,
};
use arc_swap::ArcSwap;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

pub(crate) use keeper::{Keeper, KeeperOptions};

/// Commands in flight on one link before the next one is used.
///
/// Fill, then spill: the more commands share a link, the larger its batches, and the less each costs.
const SPILL_AT: usize = 2048;

/// The same for those whose replies, or they themselves, are large.
///
/// Fewer such connections leave a server more turns for the others: beside 8 tasks that read 1 MiB each, small `GET`s
/// were 1.5 to 2 times as many with one such connection as with two, and the large ones as many, on two cores shared
/// with the server (`make bench-peers QUICK="--workloads beside-large --only entra-redis"`, with 16 and with 1 here).
const SPILL_LARGE_AT: usize = 16;

/// How often a command looks again whose handle has something unanswered on a link that takes no commands.
const RECHECK: Duration = Duration::from_millis(50);

/// The links in use. Commands read a snapshot, without a lock; only the keeper changes it.
pub(crate) struct Pool {
    links: ArcSwap<Vec<Arc<Link>>>,
    tokens: Tokens,
    closed: AtomicBool,
    /// Rung when commands that wait for a link should look again.
    changed: Notify,
    /// Rung when the keeper should look again.
    keeper: Arc<Notify>,
    last_error: Mutex<Option<Error>>,
    admission: Arc<Admission>,
    overload: Overload,
    timers: Timers,
    /// Links that were taken out, until what is in flight on them is answered.
    leaving: Mutex<Vec<Arc<Link>>>,
    /// Places of the pool that there are, and that have a link.
    size: usize,
    filled: AtomicUsize,
    /// Links that are being opened.
    dialing: AtomicUsize,
}

impl Pool {
    pub(crate) fn new(
        size: usize,
        tokens: Tokens,
        admission: Arc<Admission>,
        overload: Overload,
        timers: Timers,
    ) -> Self {
        Self {
            links: ArcSwap::default(),
            tokens,
            closed: AtomicBool::new(false),
            changed: Notify::new(),
            keeper: Arc::new(Notify::new()),
            last_error: Mutex::new(None),
            admission,
            overload,
            timers,
            leaving: Mutex::default(),
            size,
            filled: AtomicUsize::new(0),
            dialing: AtomicUsize::new(0),
        }
    }

    /// Queues a request on a link if one is up, with the command timeout from now.
    ///
    /// `memory` is that of the handle that sends it.
    pub(crate) fn try_send<R: Request>(&self, request: &R, memory: &mut Memory) -> Option<Sent> {
        if self.admission.has_queue() || !self.admission.try_acquire() {
            return None;
        }
        let sent = self.route(request, None, memory);
        if sent.is_none() {
            self.admission.release(1);
        }
        sent
    }

    /// Queues a request on a link. It waits, if it has to, until one is up, and `deadline` at most.
    ///
    /// One that has been let in before is not refused for want of room: it still has its place, or waits for one.
    #[cold]
    pub(crate) async fn send<R: Request>(
        &self,
        request: &R,
        deadline: Instant,
        memory: &mut Memory,
        turn: Turn,
    ) -> Result<Sent, Error> {
        let _waiting = self.admission.wait();
        let was_sent = matches!(turn, Turn::Again);
        let place = match turn {
            Turn::First => self.place(deadline, self.overload, was_sent).await?,
            Turn::Unsent(None) | Turn::Again => self.place(deadline, Overload::Wait, was_sent).await?,
            Turn::Unsent(Some(place)) => place,
        };
        self.wait_for_link(place, request, deadline, memory, was_sent).await
    }

    /// A permit for one command, if need be after those who came before.
    async fn place(&self, deadline: Instant, overload: Overload, was_sent: bool) -> Result<Permit, Error> {
        if overload == Overload::Refuse {
            return if !self.admission.has_queue() && self.admission.try_acquire() {
                Ok(Permit::acquired(&self.admission))
            } else if self.is_closed() {
                Err(Error::closed())
            } else {
                Err(self.admission.overloaded())
            };
        }
        let turn = async {
            tokio::select! {
                () = self.admission.acquire() => Ok(Permit::acquired(&self.admission)),
                () = self.until_closed() => Err(Error::closed()),
            }
        };
        self.timers.timeout_at(deadline, turn).await.unwrap_or_else(|| {
            if self.is_closed() || self.timers.have_ended() {
                return Err(Error::closed());
            }
            self.admission.note_unserved();
            let unsent = unsent(was_sent);
            let text =
                format!("too many commands were in flight (`max_in_flight`) until this one's deadline; {unsent}");
            Err(Error::new(ErrorKind::Timeout(Stage::Command), text))
        })
    }

    async fn until_closed(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.is_closed() {
                return;
            }
            changed.await;
        }
    }

    fn route<R: Request>(&self, request: &R, deadline: Option<Instant>, memory: &mut Memory) -> Option<Sent> {
        if self.closed.load(SeqCst) {
            return None;
        }
        let links = self.links.load();
        let queue = |link: &Arc<Link>, access| Some(Sent::new(link, request.queue(link, access, deadline)?));
        if let Some(unanswered) = &memory.unanswered {
            match unanswered.next(&links) {
                Next::Anywhere => memory.unanswered = None,
                Next::Behind(link) => return queue(&link, Access::Open),
                Next::Later => return None,
            }
        }
        // Somebody whose last request was large is expected to send another such.
        let preferred = if memory.expects_large {
            // From the back, so that the front stays free for small replies.
            let back = &links[links.len() / 2..];
            let has_room = |link: &&Arc<Link>| is_well(link) && link.in_flight() < SPILL_LARGE_AT;
            let link = back.iter().rev().find(has_room).or_else(|| least_busy(back, is_well));
            link.and_then(|link| queue(link, Access::Open))
        } else {
            let has_room = |link: &&Arc<Link>| is_well(link) && link.in_flight() < SPILL_AT && !link.is_congested();
            links.iter().filter(has_room).find_map(|link| queue(link, Access::Open))
        };
        preferred
            .or_else(|| queue(least_busy(&links, is_well)?, Access::Open))
            .or_else(|| queue(least_busy(&links, Link::is_open)?, Access::Open))
            // Better behind an AUTH than not at all.
            .or_else(|| queue(least_busy(&links, Link::is_reauthenticating)?, Access::Reauthenticating))
    }

    /// Queues a request that has its permit, once a link is up.
    async fn wait_for_link<R: Request>(
        &self,
        place: Permit,
        request: &R,
        deadline: Instant,
        memory: &mut Memory,
        was_sent: bool,
    ) -> Result<Sent, Error> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Enabled before the look, so that no change falls between the two.
            changed.as_mut().enable();
            if self.is_closed() {
                return Err(Error::closed());
            }
            if let Some(sent) = self.route(request, Some(deadline), memory) {
                place.hand_on();
                return Ok(sent);
            }
            if let Some(error) = self.tokens.dead() {
                return Err(error.for_want_of_a_token());
            }
            let Some(before) = &memory.unanswered else {
                if self.timers.timeout_at(deadline, changed).await.is_none() {
                    return Err(self.no_link());
                }
                continue;
            };
            // Nobody is told when a link is given up.
            let look_again = deadline.min(Instant::now() + RECHECK);
            let settled = async {
                tokio::select! {
                    () = changed => {}
                    () = before.settled() => {}
                }
            };
            if self.timers.timeout_at(look_again, settled).await.is_none() && Instant::now() >= deadline {
                return Err(self.not_in_order(was_sent));
            }
        }
    }

    /// The link of this number, if its connection has not ended, in use or not.
    pub(crate) fn any_link(&self, id: u64) -> Option<Arc<Link>> {
        self.link(id).or_else(|| lock(&self.leaving).iter().find(|link| link.id() == id).map(Arc::clone))
    }

    /// The link of this number, if it is still in use.
    pub(crate) fn link(&self, id: u64) -> Option<Arc<Link>> {
        self.links.load().iter().find(|link| link.id() == id).map(Arc::clone)
    }

    fn not_in_order(&self, was_sent: bool) -> Error {
        self.admission.note_unserved();
        let unsent = unsent(was_sent);
        let text = format!(
            "an earlier command of the same handle, for which nobody waits, has no answer yet, and this one may not \
             overtake it; {unsent}"
        );
        Error::new(ErrorKind::Timeout(Stage::Command), text)
    }

    fn no_link(&self) -> Error {
        if self.is_closed() || self.timers.have_ended() {
            return Error::closed();
        }
        self.admission.note_unserved();
        let error = Error::new(
            ErrorKind::Timeout(Stage::Command),
            "no connection to Redis came up within the command's deadline",
        );
        match self.tokens.late().or_else(|| self.last_error()) {
            Some(source) => {
                Error::new(error.kind(), format!("{error}; the last attempt: {source}")).with_source(source)
            }
            None => error,
        }
    }

    pub(crate) fn timers(&self) -> &Timers {
        &self.timers
    }

    pub(crate) fn admission(&self) -> &Admission {
        &self.admission
    }

    pub(crate) fn links(&self) -> Vec<Arc<Link>> {
        self.links.load().to_vec()
    }

    /// Those, and the ones that were taken out and have something in flight yet.
    pub(crate) fn all_links(&self) -> Vec<Arc<Link>> {
        let mut links = self.links();
        for link in &*lock(&self.leaving) {
            // One that is just being taken out is in both.
            if links.iter().all(|other| other.id() != link.id()) {
                links.push(Arc::clone(link));
            }
        }
        links
    }

    fn leaves(&self, link: &Arc<Link>) {
        lock(&self.leaving).push(Arc::clone(link));
    }

    fn has_left(&self, link: u64) {
        lock(&self.leaving).retain(|leaving| leaving.id() != link);
    }

    /// Places of the pool.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Links that are being opened.
    pub(crate) fn dialing(&self) -> usize {
        self.dialing.load(SeqCst)
    }

    /// Links that were taken out and have something in flight yet.
    pub(crate) fn draining(&self) -> usize {
        lock(&self.leaving).len()
    }

    /// Places of the pool whose link takes commands; links that stand in for others do not count.
    pub(crate) fn open_places(&self) -> usize {
        self.open_links().min(self.filled.load(SeqCst))
    }

    /// Links that take commands.
    pub(crate) fn open_links(&self) -> usize {
        let links = self.links.load();
        links.iter().filter(|link| !matches!(link.condition(), Condition::Down(_))).count()
    }

    /// The keeper's snapshot for the commands to read.
    ///
    /// `filled` places have a link; links more than that stand in for others.
    pub(crate) fn publish(&self, links: Vec<Arc<Link>>, filled: usize) {
        self.links.store(Arc::new(links));
        self.filled.store(filled, SeqCst);
        self.changed.notify_waiters();
    }

    /// Lets the commands that wait for a link look again.
    fn wake_commands(&self) {
        self.changed.notify_waiters();
    }

    pub(crate) fn wake_keeper(&self) {
        self.keeper.notify_one();
    }

    pub(crate) fn last_error(&self) -> Option<Error> {
        lock(&self.last_error).clone()
    }

    fn note_error(&self, error: Option<Error>) {
        *lock(&self.last_error) = error;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(SeqCst)
    }

    /// Refuses commands from now on; those that wait for a link are refused too.
    pub(crate) fn close(&self) {
        self.closed.store(true, SeqCst);
        self.changed.notify_waiters();
    }

    /// Lets go of the links; their connections close.
    pub(crate) fn clear(&self) {
        self.links.store(Arc::default());
        lock(&self.leaving).clear();
    }
}

/// Whether a request has been let in before.
pub(crate) enum Turn {
    First,
    /// It has been, and has not been sent; with the permit that it has kept since, if it has.
    Unsent(Option<Permit>),
    /// It has been sent before.
    Again,
}

/// What became of a request that is given up before it is sent: in both cases it has not run since.
fn unsent(was_sent: bool) -> &'static str {
    if was_sent { "it was not sent again" } else { "it was not sent" }
}

/// A request on its way.
pub(crate) struct Sent {
    pub(crate) reply: Reply,
    /// The number of the link that carries it.
    pub(crate) link: u64,
    /// Whether it has many bytes.
    pub(crate) large: bool,
}

impl Sent {
    fn new(link: &Link, (reply, bytes): Queued) -> Self {
        Self { reply, link: link.id(), large: bytes > LARGE }
    }
}

/// Whether it takes commands, and answers those that it has.
fn is_well(link: &Link) -> bool {
    link.is_open() && !link.is_silent()
}

fn least_busy(links: &[Arc<Link>], takes_commands: fn(&Link) -> bool) -> Option<&Arc<Link>> {
    links.iter().filter(|link| takes_commands(link)).min_by_key(|link| link.in_flight())
}
