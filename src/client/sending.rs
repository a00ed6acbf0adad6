//! How a handle sends commands and pipelines.

use super::EntraRedis;
use crate::{
    command::{Operation, Profile, guard, profile},
    exec::{
        blocking,
        call::Call,
        iteration,
        request::{CommandRequest, PipelineRequest},
        scatter,
    },
};
use redis::{Cmd, Pipeline, RedisError, RedisFuture, RedisResult, Value, aio::ConnectionLike};
use std::{future::ready, sync::Arc};
use tokio::time::Instant;

impl EntraRedis {
    /// Sends something once it is known whether the server is a cluster, all of it within the command timeout.
    #[cold]
    async fn once_found<T>(
        &mut self,
        operation: Operation,
        send: impl AsyncFnOnce(&mut Self) -> RedisResult<T>,
    ) -> RedisResult<T> {
        let manager = Arc::clone(&self.manager);
        let core = manager.core();
        let deadline = Instant::now() + core.command_timeout;
        core.begin_once_found(operation, deadline).await?;
        core.within(deadline, send(self)).await
    }

    /// Sends a command that is not plain, or not to a single endpoint.
    // A function of its own, because it needs much of the stack.
    #[inline(never)]
    fn send_unusual<'a>(&'a mut self, cmd: &'a Cmd, profile: Profile) -> RedisFuture<'a, Value> {
        if let Err(error) = guard::check(profile) {
            if profile.is_sliced() {
                // It has a deadline of its own.
                return Box::pin(blocking::command(self.manager.core(), &mut self.memory, cmd, profile));
            }
            return self.refuse(error);
        }
        if self.manager.core().routing.get().is_none() {
            return Box::pin(async move {
                let operation = Operation::Command(profile);
                self.once_found(operation, async |redis| redis.req_packed_command(cmd).await).await
            });
        }
        let core = self.manager.core();
        if let Some(cluster) = core.cluster()
            && scatter::is_for_several(cmd, profile)
        {
            return Box::pin(scatter::command(core, cluster, &mut self.memory, cmd));
        }
        if profile.cursor().is_some() {
            return Box::pin(iteration::step(core, &mut self.memory, cmd, profile));
        }
        Box::pin(Call::new(core, &mut self.memory, CommandRequest { cmd, profile }))
    }

    /// Sends a pipeline that is not for a single endpoint.
    #[inline(never)]
    fn send_unusual_pipeline<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        (offset, count): (usize, usize),
    ) -> RedisFuture<'a, Vec<Value>> {
        if self.manager.core().routing.get().is_none() {
            return Box::pin(async move {
                let operation = if pipeline.is_transaction() { Operation::Transaction } else { Operation::Pipeline };
                self.once_found(operation, async |redis| redis.req_packed_commands(pipeline, offset, count).await).await
            });
        }
        let core = self.manager.core();
        if let Some(cluster) = core.cluster() {
            if !pipeline.is_transaction() {
                return Box::pin(scatter::pipeline(core, cluster, &mut self.memory, pipeline, (offset, count)));
            }
            if let Err(error) = scatter::check_transaction(pipeline) {
                return self.refuse(error);
            }
        }
        Box::pin(Call::new(core, &mut self.memory, PipelineRequest { pipeline, offset, count }))
    }

    #[cold]
    fn refuse<'a, T: Send + 'a>(&self, error: RedisError) -> RedisFuture<'a, T> {
        self.manager.core().admission.note_refused();
        Box::pin(ready(Err(error)))
    }
}

impl ConnectionLike for EntraRedis {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        let profile = profile(cmd);
        if !profile.is_plain() || !self.manager.core().is_single_endpoint() {
            return self.send_unusual(cmd, profile);
        }
        Box::pin(Call::new(self.manager.core(), &mut self.memory, CommandRequest { cmd, profile }))
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        if let Err(error) = guard::check_pipeline(pipeline) {
            return self.refuse(error);
        }
        if !self.manager.core().is_single_endpoint() {
            return self.send_unusual_pipeline(pipeline, (offset, count));
        }
        Box::pin(Call::new(self.manager.core(), &mut self.memory, PipelineRequest { pipeline, offset, count }))
    }

    fn get_db(&self) -> i64 {
        0
    }
}
