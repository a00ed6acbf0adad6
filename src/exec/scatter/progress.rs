//! How far the units of a plan have come.

use crate::{cluster::partial::with_note, error::Error, exec::waiting::has_strayed};
use redis::{RedisError, RedisResult, Value};
use std::collections::HashSet;

/// What has become of the units so far.
pub(super) struct Progress {
    outcomes: Vec<RedisResult<Value>>,
    /// Those that have run, or may have.
    pub(super) have_run: Vec<bool>,
    /// Those that are not sent again, because something behind them has run.
    pub(super) overtaken: HashSet<usize>,
}

/// Why a command of a pipeline that was refused is not sent again.
const OVERTAKEN: &str = "it was not sent again: a later command of the pipeline has run on one of its keys";

impl Progress {
    pub(super) fn of(units: usize) -> Self {
        let outcomes = std::iter::repeat_with(|| Ok(Value::Nil)).take(units).collect();
        Self { outcomes, have_run: vec![false; units], overtaken: HashSet::new() }
    }

    /// Takes in what a node has answered to a unit, or why it has not, and whether that says that it is refused.
    pub(super) fn note(&mut self, unit: usize, outcome: RedisResult<Value>, is_refused: bool) {
        self.have_run[unit] = !is_refused && outcome.as_ref().map_or_else(Error::leaves_open, |_| true);
        // That Redis has refused it says more than that it could not be sent again since.
        let has_word = matches!(self.outcomes[unit], Ok(Value::ServerError(_)));
        if !has_word || !outcome.as_ref().is_err_and(is_unsent) {
            self.outcomes[unit] = outcome;
        }
    }

    pub(super) fn outcomes(mut self) -> Vec<RedisResult<Value>> {
        for unit in self.overtaken {
            let outcome = &mut self.outcomes[unit];
            if let Ok(Value::ServerError(error)) = outcome {
                *outcome = Ok(Value::ServerError(with_note(error.clone(), OVERTAKEN)));
            }
        }
        self.outcomes
    }
}

/// Whether it was not sent, because there was no node for it, or no time left.
fn is_unsent(error: &RedisError) -> bool {
    has_strayed(error) || (error.is_timeout() && !Error::leaves_open(error))
}
