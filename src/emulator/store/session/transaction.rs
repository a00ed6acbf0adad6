//! `MULTI`, `EXEC`, `DISCARD`, `WATCH` and `UNWATCH`.

use super::Session;
use crate::emulator::{
    resp::{Reply, Request},
    store::{
        args::{Args, Outcome, Problem},
        commands::{self, Known},
        data::Data,
        places,
    },
};

#[derive(Default)]
pub(super) struct Transaction {
    queued: Vec<Request>,
    /// Something could not be queued: `EXEC` runs nothing.
    spoilt: bool,
}

impl Session {
    /// Runs the command, or queues it.
    pub(super) fn outcome(&mut self, data: &mut Data, name: &str, request: Request, known: &Known) -> Outcome {
        match (name, &mut self.transaction) {
            ("MULTI", Some(_)) => Err("ERR MULTI calls can not be nested".into()),
            ("WATCH", Some(_)) => Err("ERR WATCH inside MULTI is not allowed".into()),
            ("MULTI", None) => {
                self.transaction = Some(Transaction::default());
                Ok(Reply::OK)
            }
            ("EXEC", _) => self.exec(data),
            ("DISCARD", transaction) => {
                transaction.take().ok_or("ERR DISCARD without MULTI")?;
                data.unwatch(self.id);
                Ok(Reply::OK)
            }
            ("QUIT" | "RESET", _) | (_, None) => self.now(data, name, &request, known),
            (_, Some(transaction)) => {
                transaction.queued.push(request);
                Ok(Reply::Simple("QUEUED"))
            }
        }
    }

    /// What a refused command does to a transaction, and the error that says so.
    pub(super) fn spoil(&mut self, data: &mut Data, name: &str, problem: Problem) -> Problem {
        // Whatever is wrong with it, it ends the transaction.
        if name == "EXEC" {
            self.transaction = None;
            data.unwatch(self.id);
            return problem.in_place_of_code("EXECABORT Transaction discarded because of:");
        }
        if let Some(transaction) = &mut self.transaction {
            transaction.spoilt = true;
        }
        problem
    }

    fn exec(&mut self, data: &mut Data) -> Outcome {
        let transaction = self.transaction.take().ok_or("ERR EXEC without MULTI")?;
        let is_unchanged = data.unwatch(self.id);
        if transaction.spoilt {
            return Err("EXECABORT Transaction discarded because of previous errors.".into());
        }
        let mut commands = Vec::new();
        let mut keys = Vec::new();
        for request in &transaction.queued {
            let (name, args) = (request.name(), Args(&request.args).from(1));
            let known = commands::find(&name, args)?;
            keys.extend(places::keys(&name, &known, args));
            commands.push((name, request, known));
        }
        self.is_here(data, &keys)?;
        if !is_unchanged {
            return Ok(Reply::NullArray);
        }
        let replies = commands
            .into_iter()
            .map(|(name, request, known)| self.now(data, &name, request, &known).unwrap_or_else(Problem::into_reply));
        Ok(Reply::Array(replies.collect()))
    }
}
