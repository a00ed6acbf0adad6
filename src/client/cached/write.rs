//! What a cached handle sends past its memory: it reads what it writes, and nothing older than it has read.

use super::{CachedRedis, Shared};
use crate::command::{Profile, profile};
use redis::{Cmd, Pipeline, RedisFuture, Value, aio::ConnectionLike};

/// What some commands are about.
enum About<'a> {
    Keys(Vec<&'a [u8]>),
    /// Any keys: which ones is not known.
    All,
}

impl<'a> About<'a> {
    fn of(cmd: &'a Cmd, profile: Profile) -> Self {
        let keys: Vec<_> = profile.keys(cmd).collect();
        let is_all = matches!(profile.full_name(), "FLUSHALL" | "FLUSHDB" | "SWAPDB");
        if is_all || keys.is_empty() && profile.runs_script() { Self::All } else { Self::Keys(keys) }
    }

    fn add(&mut self, other: Self) {
        match (&mut *self, other) {
            (Self::Keys(keys), Self::Keys(more)) => keys.extend(more),
            _ => *self = Self::All,
        }
    }

    fn is_nothing(&self) -> bool {
        matches!(self, Self::Keys(keys) if keys.is_empty())
    }

    fn forget(&self, shared: &Shared) {
        match self {
            Self::Keys(keys) => keys.iter().for_each(|key| shared.store.forget(key)),
            Self::All => shared.flush_all(),
        }
    }
}

/// Commands that go past the memory. What they write is forgotten before they are sent, and once more at their end:
/// what has been read meanwhile may be older. A future that is dropped is an end, too. What they read is forgotten at
/// their end: what is in memory may be older than what they have been answered, as its invalidation comes over another
/// connection.
struct Passing<'a> {
    written: About<'a>,
    read: About<'a>,
    shared: &'a Shared,
}

impl<'a> Passing<'a> {
    fn of(commands: impl Iterator<Item = (&'a Cmd, Profile)>, shared: &'a Shared) -> Self {
        let mut passing = Self { written: About::Keys(Vec::new()), read: About::Keys(Vec::new()), shared };
        for (cmd, profile) in commands {
            let about = if profile.only_reads() { &mut passing.read } else { &mut passing.written };
            about.add(About::of(cmd, profile));
        }
        passing
    }

    fn is_nothing(&self) -> bool {
        self.written.is_nothing() && self.read.is_nothing()
    }
}

impl Drop for Passing<'_> {
    fn drop(&mut self) {
        self.written.forget(self.shared);
        self.read.forget(self.shared);
    }
}

impl CachedRedis {
    pub(super) fn pass<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        let passing = Passing::of(std::iter::once((cmd, profile(cmd))), &self.cache.shared);
        let sent = self.redis.req_packed_command(cmd);
        passed(passing, sent)
    }

    pub(super) fn pass_several<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        let commands = pipeline.cmd_iter().map(|cmd| (cmd, profile(cmd)));
        let passing = Passing::of(commands, &self.cache.shared);
        let sent = self.redis.req_packed_commands(pipeline, offset, count);
        passed(passing, sent)
    }
}

fn passed<'a, T: Send + 'a>(passing: Passing<'a>, sent: RedisFuture<'a, T>) -> RedisFuture<'a, T> {
    if passing.is_nothing() {
        // There is nothing to forget at its end.
        return sent;
    }
    Box::pin(async move {
        passing.written.forget(passing.shared);
        let result = sent.await;
        drop(passing);
        result
    })
}
