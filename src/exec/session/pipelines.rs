//! A pipeline, atomic or not, over a connection that its caller has alone.

use super::{
    Session,
    step::{ReplyMode, Step},
};
use crate::{
    command::{Operation, guard},
    exec::{
        core::Core,
        exec_abort,
        record::{Record, failed},
        slow_path::unreadable,
    },
    link::Outcome,
};
use redis::{Pipeline, RedisResult, Value};

impl Session {
    /// Sends a pipeline; of its replies, `count` after the first `offset`.
    pub(crate) async fn pipeline(
        &mut self,
        core: &Core,
        pipeline: &Pipeline,
        kept: (usize, usize),
    ) -> RedisResult<Vec<Value>> {
        let is_transaction = pipeline.is_transaction();
        let mut record = Record::of(core, if is_transaction { Operation::Transaction } else { Operation::Pipeline });
        let result = self.run_pipeline(core, pipeline, kept).await;
        record.end_with(result.as_ref().map(Vec::as_slice));
        result
    }

    async fn run_pipeline(
        &mut self,
        core: &Core,
        pipeline: &Pipeline,
        kept: (usize, usize),
    ) -> RedisResult<Vec<Value>> {
        let is_transaction = pipeline.is_transaction();
        let steps = Step::of_pipeline(pipeline, self.state.in_multi).inspect_err(|_| core.admission.note_refused())?;
        let is_quiet = self.replies != ReplyMode::On;
        if self.replies == ReplyMode::SkipNext {
            self.replies = ReplyMode::On;
        }
        let is_plain = is_transaction || steps.iter().all(|step| *step == Step::Plain);
        let wanted = if is_plain { kept } else { (0, pipeline.len()) };
        let all = pipeline.cmd_iter().zip(steps.iter().copied());
        self.check_in_multi(all).map_err(|error| failed(core, error))?;
        let time = self.time(core);
        self.prepare(core, &time, !is_plain).await?;
        let blocks = if is_transaction { None } else { guard::block_in_turn(pipeline) };
        self.state.is_blocked = blocks.is_some();
        let deadline = self.deadline(&time, blocks);
        let link = self.link()?;
        self.state.end_is_out = is_transaction || steps.contains(&Step::Exec);
        self.multi_asks &= self.state.in_multi;
        let asking = !self.state.in_multi && self.gone.as_ref().is_some_and(|gone| gone.covers_all(pipeline));
        let outcome = self.outcome(link.pipeline_alone(pipeline, wanted, Some(deadline), asking)).await;
        let values = match outcome {
            Outcome::Answered(Value::Array(values)) => values,
            Outcome::Answered(value) => vec![value],
            Outcome::Written => Vec::new(),
            Outcome::Unreadable(place, problem) => {
                // The replies are gone, and with them what they say of the connection.
                self.state.is_changed |= !is_plain;
                self.transacted(is_transaction);
                self.noted(&[], &[]);
                return Err(unreadable(place, problem));
            }
            Outcome::Aborted(refused) => {
                // Without MULTI the commands have run one by one.
                let was_opened = refused.errors.first().is_none_or(|(place, _)| *place > 0);
                self.state.end_is_out &= !was_opened && refused.sent;
                self.transacted(was_opened);
                self.noted(&[], &[]);
                return exec_abort::aborted(pipeline.len(), refused).await;
            }
            other => {
                let ends: &[Step] = if is_transaction { &[Step::Exec] } else { &steps };
                return Err(self.failed(core, &other, ends));
            }
        };
        if is_plain {
            // Those that are queued in a transaction change nothing before its end.
            self.state.end_is_out &= !matches!(values.as_slice(), [Value::Nil]);
            self.transacted(is_transaction);
            self.state.is_changed |= steps.iter().any(|step| matches!(step, Step::Changes | Step::Select(_)));
            self.noted(&[], &[]);
            return Ok(if is_quiet { vec![Value::Nil; values.len()] } else { values });
        }
        self.noted(&steps, &values);
        let (offset, count) = kept;
        Ok(values.into_iter().skip(offset).take(count).collect())
    }

    /// Takes note that nothing is watched any more, if so.
    fn transacted(&mut self, is_over: bool) {
        if is_over {
            self.state.is_watching = false;
        }
    }
}
