//! What the benches and the fuzz targets reach for. Nothing here is part of the public API; all of it may change or go
//! in any version.

use crate::{
    admission::{Admission, Overload},
    cluster::{
        address::NodeAddress,
        node::Node,
        routing::{Found, Routing},
    },
    command::{guard, profile},
    error::Error,
    exec::{core::Core, iteration::SignedCursors, order::Memory, request::CommandRequest},
    link::{Link, Outcome},
    observe::{journal::Journal, metrics::Operations},
    pool::{Leases, Pool},
    resp,
    timer::Timers,
    token::{AccessToken, TokenActor, TokenManagerConfig},
};
use redis::{Cmd, Value};
use std::{fmt, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    runtime::Handle,
};

pub mod parsers;

/// Longer than any bench takes to answer.
const PATIENCE: Duration = Duration::from_secs(3600);

/// The reply at the start of `bytes`, and how many bytes it takes; none if it is not there in whole, or is no reply.
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<(Value, usize)> {
    resp::parse::parse(bytes).ok()
}

/// Appends the command in the form in which it travels.
pub fn pack(cmd: &Cmd, bytes: &mut Vec<u8>) {
    resp::pack::pack(cmd, bytes);
}

/// Whether a shared link carries the command and it only reads: the look that each command gets before it is sent.
#[must_use]
pub fn look(cmd: &Cmd) -> bool {
    let profile = profile(cmd);
    guard::check(profile).is_ok() && profile.only_reads()
}

/// A pool of links over any streams, without a keeper and without tokens.
pub struct Links(Core);

impl Links {
    /// A link over each stream, whose other end is to answer commands. Must be called on a runtime.
    ///
    /// The first `diverted` links take commands only when no other one does: the search for one passes them by.
    #[must_use]
    pub fn over<S>(streams: impl IntoIterator<Item = S>, diverted: usize) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let source = || async { Err::<AccessToken, Error>(Error::closed()) };
        let (_, tokens) = TokenActor::new(Arc::new(source), TokenManagerConfig::new(), None, Journal::new("bench_api"));
        let admission = Admission::new(usize::MAX);
        let link = |(id, stream): (u64, S)| Arc::new(Link::over(id, stream, Arc::clone(&admission), PATIENCE));
        let links: Vec<Arc<Link>> = (1..).zip(streams).map(link).collect();
        links.iter().take(diverted).for_each(|link| link.divert());
        // Nothing here waits for a link.
        let (timers, _) = Timers::of(Handle::current());
        let (pool, roster) = Pool::new(links.len(), Arc::default(), Leases::new(0));
        let filled = links.len();
        roster.publish(links, filled);
        Self(Core {
            leases: Leases::new(0),
            routing: Found::known(Routing::Single(Node::without_keeper(NodeAddress::new("none", 1), pool))),
            tokens,
            admission,
            overload: Overload::Refuse,
            gathering: tokio::sync::Mutex::default(),
            availability: Arc::default(),
            timers,
            command_timeout: PATIENCE,
            ping_interval: PATIENCE,
            retry_reads: false,
            operations: Operations::unlabelled(),
            signed_cursors: SignedCursors::default(),
        })
    }

    /// Queues a command on one of the links, as a handle does, if one takes it; the future tells whether it was
    /// answered.
    #[must_use]
    pub fn send(&self, cmd: &Cmd) -> Option<impl Future<Output = bool> + use<>> {
        let request = CommandRequest { cmd, profile: profile(cmd) };
        let sent = self.0.try_send(&request, &mut Memory::default())?;
        Some(async move { matches!(sent.reply.await.outcome, Outcome::Answered(_)) })
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links")
            .field("open", &self.0.nodes().iter().map(|node| node.pool().open_links()).sum::<usize>())
            .finish_non_exhaustive()
    }
}
