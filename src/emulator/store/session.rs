//! One connection: its protocol, its transaction, its subscriptions.

use super::{
    Store,
    args::{Args, Outcome, Problem, SYNTAX},
    cluster,
    commands::{self, Known},
    data::{Bytes, Data, count},
    hub::{Mailbox, Topic},
    server,
};
use crate::{
    emulator::{
        hello::{Hello, client_name},
        resp::{Reply, Request, parse_request},
    },
    lock::lock,
};
use std::{io, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
};

const CHUNK: usize = 64 << 10;

const SUBSCRIBED: &str = "only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context";

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
}

#[derive(Default)]
struct Transaction {
    queued: Vec<Request>,
    /// Something could not be queued: `EXEC` runs nothing.
    spoilt: bool,
}

impl Drop for Session {
    fn drop(&mut self) {
        lock(&self.store.hub).leave(self.id);
    }
}

impl Session {
    pub(super) fn new(store: Store) -> Self {
        let (mailbox, mail) = unbounded_channel();
        let id = lock(&store.hub).register();
        Self { store, id, mailbox, mail, resp3: false, name: Bytes::new(), transaction: None, asking: false }
    }

    pub(super) async fn run(mut self, stream: impl AsyncRead + AsyncWrite) -> io::Result<()> {
        let (mut input, mut output) = split(stream);
        let mut buffer = Vec::with_capacity(CHUNK);
        loop {
            let mut out = Vec::new();
            tokio::select! {
                read = input.read_buf(&mut buffer) => {
                    if read? == 0 {
                        return Ok(());
                    }
                    let goes_on = self.answer(&mut buffer, &mut out);
                    output.write_all(&out).await?;
                    if !goes_on {
                        return Ok(());
                    }
                }
                Some(message) = self.mail.recv() => {
                    message.write(self.resp3, &mut out);
                    output.write_all(&out).await?;
                }
            }
        }
    }

    /// Answers the requests in the buffer; false if the connection ends then.
    pub(super) fn answer(&mut self, buffer: &mut Vec<u8>, out: &mut Vec<u8>) -> bool {
        let mut done = 0;
        let goes_on = loop {
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

    /// The replies to one request: one, save for the confirmations of subscriptions.
    fn execute(&mut self, name: &str, request: Request) -> Vec<Reply> {
        // Nobody else sees it half done, a transaction included, nor are its keys moved to another node meanwhile.
        let data = Arc::clone(&self.store.data);
        let mut data = lock(&data);
        let replies = self.execute_on(&mut data, name, request);
        self.asking &= name == "ASKING" || self.transaction.is_some();
        replies
    }

    fn execute_on(&mut self, data: &mut Data, name: &str, request: Request) -> Vec<Reply> {
        let args = Args(&request.args).from(1);
        let topic = if name.contains("PSUB") || name.contains("PUNSUB") { Topic::Pattern } else { Topic::Channel };
        match (name, self.allowed(data, name, args)) {
            (_, Err(problem)) => vec![problem.into_reply()],
            ("SUBSCRIBE" | "PSUBSCRIBE", Ok(_)) => args.iter().map(|name| self.subscribe(topic, name)).collect(),
            ("UNSUBSCRIBE" | "PUNSUBSCRIBE", Ok(_)) => self.unsubscribe(topic, args),
            (_, Ok(known)) => vec![self.outcome(data, name, request, &known).unwrap_or_else(Problem::into_reply)],
        }
    }

    /// Refuses what the store does not have, and what is not for now; in a transaction, that spoils it.
    fn allowed(&mut self, data: &mut Data, name: &str, args: Args<'_>) -> Result<Known, Problem> {
        let known = commands::find(name, args).and_then(|known| self.fits_in(name, known));
        let known = known.and_then(|known| self.is_here(data, &cluster::keys(name, args)).map(|()| known));
        match (known, &mut self.transaction) {
            // Whatever is wrong with it, it ends the transaction.
            (Err(problem), transaction) if name == "EXEC" => {
                *transaction = None;
                Err(problem.in_place_of_code("EXECABORT Transaction discarded because of:"))
            }
            (Err(problem), Some(transaction)) => {
                transaction.spoilt = true;
                Err(problem)
            }
            (known, _) => known,
        }
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
        Err(format!("ERR Can't execute '{}': {SUBSCRIBED}", known.full_name).into())
    }

    fn outcome(&mut self, data: &mut Data, name: &str, request: Request, known: &Known) -> Outcome {
        match (name, &mut self.transaction) {
            ("MULTI", Some(_)) => Err("ERR MULTI calls can not be nested".into()),
            ("MULTI", None) => {
                self.transaction = Some(Transaction::default());
                Ok(Reply::OK)
            }
            ("EXEC", _) => self.exec(data),
            ("DISCARD", transaction) => {
                transaction.take().ok_or("ERR DISCARD without MULTI")?;
                Ok(Reply::OK)
            }
            ("QUIT" | "RESET", _) | (_, None) => self.now(data, name, &request, known),
            (_, Some(transaction)) => {
                transaction.queued.push(request);
                Ok(Reply::Simple("QUEUED"))
            }
        }
    }

    /// Whether the keys are this node's, if it is one of a cluster.
    fn is_here(&self, data: &mut Data, keys: &[&[u8]]) -> Result<(), Problem> {
        self.store.member.as_ref().map_or(Ok(()), |member| member.check(keys, data, self.asking))
    }

    fn exec(&mut self, data: &mut Data) -> Outcome {
        let transaction = self.transaction.take().ok_or("ERR EXEC without MULTI")?;
        if transaction.spoilt {
            return Err("EXECABORT Transaction discarded because of previous errors.".into());
        }
        let queued = transaction.queued.iter();
        let keys: Vec<_> =
            queued.flat_map(|request| cluster::keys(&request.name(), Args(&request.args).from(1))).collect();
        self.is_here(data, &keys)?;
        let replies = transaction.queued.iter().map(|request| {
            let name = request.name();
            let outcome = commands::find(&name, Args(&request.args).from(1));
            outcome.and_then(|known| self.now(data, &name, request, &known)).unwrap_or_else(Problem::into_reply)
        });
        Ok(Reply::Array(replies.collect()))
    }

    /// Runs a command outside a transaction, or one whose turn has come.
    fn now(&mut self, data: &mut Data, name: &str, request: &Request, known: &Known) -> Outcome {
        let args = Args(&request.args).from(1);
        if let Some(run) = known.run {
            return run(data, args);
        }
        match name {
            "PING" => self.ping(args),
            "HELLO" => self.hello(args),
            "RESET" => Ok(self.reset()),
            "CLIENT" => self.client(args),
            "INFO" => Ok(server::info(args, data.keys().len(), self.store.member.is_some())),
            "ASKING" | "CLUSTER" | "READONLY" | "READWRITE" => self.cluster(data, name, args),
            "ROLE" => Ok(server::role()),
            "PUBLISH" => Ok(count(lock(&self.store.hub).publish(args.at(0), args.at(1)))),
            "SELECT" => server::select(args),
            // The front has seen to AUTH; what is left is QUIT.
            _ => Ok(Reply::OK),
        }
    }

    fn ping(&self, args: Args<'_>) -> Outcome {
        match args.len() {
            0 | 1 if !self.resp3 && self.subscriptions() > 0 => {
                Ok(Reply::Array(vec![Reply::bulk("pong"), Reply::bulk(args.at(0))]))
            }
            0 => Ok(Reply::Simple("PONG")),
            1 => Ok(Reply::bulk(args.at(0))),
            _ => Err(commands::wrong_number("ping")),
        }
    }

    /// Makes it as it was when it began.
    fn reset(&mut self) -> Reply {
        lock(&self.store.hub).leave(self.id);
        self.resp3 = false;
        self.name.clear();
        self.transaction = None;
        self.asking = false;
        Reply::Simple("RESET")
    }

    fn hello(&mut self, args: Args<'_>) -> Outcome {
        // The front has seen to the login.
        let Hello { resp3, login: _, name, problem } = Hello::read(args.0);
        if let Some(name) = name {
            self.name = name.to_vec();
        }
        if let Some(problem) = problem {
            return Err(problem.into());
        }
        self.resp3 = resp3.unwrap_or(self.resp3);
        Ok(server::hello(self.resp3, self.id, self.store.member.is_some()))
    }

    fn cluster(&mut self, data: &mut Data, name: &str, args: Args<'_>) -> Outcome {
        let member = self.store.member.as_ref().ok_or("ERR This instance has cluster support disabled")?;
        match name {
            "CLUSTER" => member.tell(args, data),
            "ASKING" => {
                self.asking = true;
                Ok(Reply::OK)
            }
            // There are no replicas.
            _ => Ok(Reply::OK),
        }
    }

    fn client(&mut self, args: Args<'_>) -> Outcome {
        match args.option(0).as_str() {
            "ID" => Ok(Reply::Int(i64::try_from(self.id).unwrap_or(i64::MAX))),
            "SETNAME" => {
                self.name = client_name(args.at(1))?.to_vec();
                Ok(Reply::OK)
            }
            "GETNAME" if self.name.is_empty() => Ok(Reply::Nil),
            "GETNAME" => Ok(Reply::bulk(&self.name)),
            "SETINFO" => server::client_info(args),
            // Nothing is evicted here, and nothing is touched: NO-EVICT and NO-TOUCH.
            _ if matches!(args.option(1).as_str(), "ON" | "OFF") => Ok(Reply::OK),
            _ => Err(SYNTAX.into()),
        }
    }

    fn subscriptions(&self) -> usize {
        let mut hub = lock(&self.store.hub);
        [Topic::Channel, Topic::Pattern].map(|topic| hub.of_session(topic, self.id).len()).iter().sum()
    }

    fn subscribe(&mut self, topic: Topic, name: &[u8]) -> Reply {
        lock(&self.store.hub).subscribe(topic, name, self.id, &self.mailbox);
        let kind = if topic == Topic::Pattern { "psubscribe" } else { "subscribe" };
        self.confirmation(kind, Reply::bulk(name))
    }

    fn unsubscribe(&mut self, topic: Topic, args: Args<'_>) -> Vec<Reply> {
        let kind = if topic == Topic::Pattern { "punsubscribe" } else { "unsubscribe" };
        let names: Vec<Bytes> = match args.len() {
            0 => lock(&self.store.hub).of_session(topic, self.id),
            _ => args.iter().map(<[u8]>::to_vec).collect(),
        };
        if names.is_empty() {
            return vec![self.confirmation(kind, Reply::Nil)];
        }
        let leave = |name: Bytes| {
            lock(&self.store.hub).unsubscribe(topic, &name, self.id);
            self.confirmation(kind, Reply::Bulk(name))
        };
        names.into_iter().map(leave).collect()
    }

    fn confirmation(&self, kind: &str, name: Reply) -> Reply {
        Reply::Push(vec![Reply::bulk(kind), name, count(self.subscriptions())])
    }
}
