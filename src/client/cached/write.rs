//! What a cached handle sends that may change something: it reads what it writes.

use super::{CachedRedis, Shared};
use crate::command::{Profile, profile};
use redis::{Cmd, Pipeline, RedisFuture, Value, aio::ConnectionLike};
use std::sync::Arc;

/// What a command may change.
enum Touched {
    Keys(Vec<Box<[u8]>>),
    /// Nobody can say.
    All,
}

impl Touched {
    fn by(cmd: &Cmd, profile: Profile) -> Self {
        let keys: Vec<_> = profile.keys(cmd).map(Box::from).collect();
        let is_all = matches!(profile.full_name(), "FLUSHALL" | "FLUSHDB" | "SWAPDB");
        if is_all || keys.is_empty() && profile.runs_script() { Self::All } else { Self::Keys(keys) }
    }

    fn join(self, other: Self) -> Self {
        match (self, other) {
            (Self::Keys(mut keys), Self::Keys(more)) => {
                keys.extend(more);
                Self::Keys(keys)
            }
            _ => Self::All,
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

/// Forgets what is being written, and once more at its end: what has been read meanwhile may be older. Its end is also
/// that nobody waits for it any more.
struct Writing {
    touched: Touched,
    shared: Arc<Shared>,
}

impl Writing {
    fn begin(touched: Touched, shared: &Arc<Shared>) -> Self {
        touched.forget(shared);
        Self { touched, shared: Arc::clone(shared) }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.touched.forget(&self.shared);
    }
}

impl CachedRedis {
    pub(super) fn write<'a>(&'a mut self, cmd: &'a Cmd, profile: Profile) -> RedisFuture<'a, Value> {
        let touched = Touched::by(cmd, profile);
        if touched.is_nothing() {
            return self.redis.req_packed_command(cmd);
        }
        let shared = &self.cache.shared;
        let sent = self.redis.req_packed_command(cmd);
        Box::pin(async move {
            let _writing = Writing::begin(touched, shared);
            sent.await
        })
    }

    pub(super) fn write_several<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        let writes = pipeline.cmd_iter().map(|cmd| (cmd, profile(cmd))).filter(|(_, profile)| !profile.only_reads());
        let touched = writes.map(|(cmd, profile)| Touched::by(cmd, profile));
        let touched = touched.fold(Touched::Keys(Vec::new()), Touched::join);
        let shared = &self.cache.shared;
        let sent = self.redis.req_packed_commands(pipeline, offset, count);
        if touched.is_nothing() {
            return sent;
        }
        Box::pin(async move {
            let _writing = Writing::begin(touched, shared);
            sent.await
        })
    }
}
