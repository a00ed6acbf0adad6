//! One connection: what comes over it, and in which order it is answered.

mod connection;
mod subscriptions;
mod transaction;
mod waiting;

use super::{
    Store,
    args::{Args, Outcome, Problem},
    commands::{self, Known, Runner},
    data::{Bytes, Data},
    hub::{Mailbox, Topic},
    places,
    waiting::Attempted,
};
use crate::{
    emulator::resp::{Reply, Request, parse_request},
    lock::lock,
};
use std::{io, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
};
use transaction::Transaction;
use waiting::Waiter;

const CHUNK: usize = 64 << 10;

pub(super) struct Session {
    store: Store,
    id: u64,
    mailbox: Mailbox,
    mail: UnboundedReceiver<Reply>,
    resp3: bool,
    name: Bytes,
    transaction: Option<Transaction>,
    /// It may use a slot that the node is about to get: for one command, or for one transaction.
    asking: bool,
    /// The command that waits: what came after it is not looked at before it is answered.
    waiter: Option<Waiter>,
}

impl Drop for Session {
    fn drop(&mut self) {
        lock(&self.store.hub).leave(self.id);
        let data = Arc::clone(&self.store.data);
        let mut data = lock(&data);
        data.watches.remove(self.id);
        if let Some(waiter) = self.waiter.take() {
            waiter.give_up(&mut data);
        }
    }
}

impl Session {
    pub(super) fn new(store: Store) -> Self {
        let (mailbox, mail) = unbounded_channel();
        let id = lock(&store.hub).register();
        Self {
            store,
            id,
            mailbox,
            mail,
            resp3: false,
            name: Bytes::new(),
            transaction: None,
            asking: false,
            waiter: None,
        }
    }

    pub(super) async fn run(mut self, stream: impl AsyncRead + AsyncWrite) -> io::Result<()> {
        let (mut input, mut output) = split(stream);
        let mut buffer = Vec::with_capacity(CHUNK);
        let mut goes_on = true;
        while goes_on {
            let mut out = Vec::new();
            tokio::select! {
                // Read while a command waits, too: whoever hangs up takes nothing from anybody.
                read = input.read_buf(&mut buffer) => {
                    if read? == 0 {
                        return Ok(());
                    }
                    goes_on = self.answer(&mut buffer, &mut out);
                }
                Some(message) = self.mail.recv() => message.write(self.resp3, &mut out),
                reply = waiting::outcome(&mut self.waiter, &self.store) => {
                    reply.write(self.resp3, &mut out);
                    goes_on = self.answer(&mut buffer, &mut out);
                }
            }
            output.write_all(&out).await?;
        }
        Ok(())
    }

    /// Answers the requests in the buffer, up to one that waits; false if the connection ends then.
    pub(super) fn answer(&mut self, buffer: &mut Vec<u8>, out: &mut Vec<u8>) -> bool {
        let mut done = 0;
        let goes_on = loop {
            if self.waiter.is_some() {
                break true;
            }
            match parse_request(&buffer[done..]) {
                Ok(None) => break true,
                Ok(Some(request)) => {
                    done += request.len;
                    let name = request.name();
                    if !request.args.is_empty() {
                        for reply in self.execute(&name, request) {
                            reply.write(self.resp3, out);
                        }
                    }
                    // Messages that this very session has published come before the next reply.
                    while let Ok(message) = self.mail.try_recv() {
                        message.write(self.resp3, out);
                    }
                    if name == "QUIT" {
                        break false;
                    }
                }
                Err(problem) => {
                    Reply::error(problem).write(self.resp3, out);
                    break false;
                }
            }
        };
        buffer.drain(..done);
        buffer.reserve(CHUNK);
        goes_on
    }

    /// The replies to one request: one, save for the confirmations of subscriptions, and for what waits.
    fn execute(&mut self, name: &str, request: Request) -> Vec<Reply> {
        // Nobody else sees it half done, a transaction included, nor are its keys moved to another node meanwhile.
        let data = Arc::clone(&self.store.data);
        let mut data = lock(&data);
        let replies = self.execute_on(&mut data, name, request);
        self.asking &= name == "ASKING" || self.transaction.is_some();
        data.serve_waiting();
        replies
    }

    fn execute_on(&mut self, data: &mut Data, name: &str, request: Request) -> Vec<Reply> {
        let args = Args(&request.args).from(1);
        let topic = if name.contains("PSUB") || name.contains("PUNSUB") { Topic::Pattern } else { Topic::Channel };
        match (name, self.allowed(data, name, args)) {
            (_, Err(problem)) => vec![problem.into_reply()],
            ("SUBSCRIBE" | "PSUBSCRIBE", Ok(_)) => args.iter().map(|name| self.subscribe(topic, name)).collect(),
            ("UNSUBSCRIBE" | "PUNSUBSCRIBE", Ok(_)) => self.unsubscribe(topic, args),
            (_, Ok(known)) => match (self.transaction.is_some(), known.runner) {
                (false, Runner::Waiting(attempt)) => match attempt(data, args) {
                    Ok(Attempted::Done(reply)) => vec![reply],
                    Ok(Attempted::Waits(wait)) => {
                        self.waiter = Some(Waiter::new(data, attempt, wait));
                        Vec::new()
                    }
                    Err(problem) => vec![problem.into_reply()],
                },
                _ => vec![self.outcome(data, name, request, &known).unwrap_or_else(Problem::into_reply)],
            },
        }
    }

    /// Refuses what the store does not have, and what is not for now; in a transaction, that spoils it.
    fn allowed(&mut self, data: &mut Data, name: &str, args: Args<'_>) -> Result<Known, Problem> {
        let known = commands::find(name, args).and_then(|known| self.fits_in(name, known));
        let known = known.and_then(|known| {
            self.is_here(data, &places::keys(name, &known, args))?;
            Ok(known)
        });
        known.map_err(|problem| self.spoil(data, name, problem))
    }

    fn fits_in(&self, name: &str, known: Known) -> Result<Known, Problem> {
        let subscribes = name.contains("SUBSCRIBE");
        if subscribes && self.transaction.is_some() {
            return Err(commands::missing_here("command", name, &format!("{name} in a transaction")));
        }
        let always = subscribes || matches!(name, "PING" | "QUIT" | "RESET");
        if self.resp3 || always || self.subscriptions() == 0 {
            return Ok(known);
        }
        Err(subscriptions::not_while_subscribed(&known))
    }

    /// Whether the keys are this node's, if it is one of a cluster.
    fn is_here(&self, data: &mut Data, keys: &[&[u8]]) -> Result<(), Problem> {
        self.store.member.as_ref().map_or(Ok(()), |member| member.check(keys, data, self.asking))
    }

    /// Runs a command that does not wait: outside a transaction, or when its turn has come.
    fn now(&mut self, data: &mut Data, name: &str, request: &Request, known: &Known) -> Outcome {
        let args = Args(&request.args).from(1);
        match known.runner {
            Runner::OnData(run) => run(data, args),
            Runner::Waiting(attempt) => Ok(match attempt(data, args)? {
                Attempted::Done(reply) => reply,
                Attempted::Waits(wait) => wait.in_transaction,
            }),
            Runner::OfConnection => self.of_connection(data, name, args),
        }
    }
}
