//! One connection: its protocol, its transaction, its subscriptions.

use super::{
    Store,
    args::{Args, Outcome},
    commands,
    data::{Bytes, count},
    hub::{Mailbox, Topic},
};
use crate::{
    emulator::resp::{Reply, Request, parse_request},
    lock::lock,
};
use std::io;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
};

const CHUNK: usize = 64 << 10;

pub(super) struct Session {
    store: Store,
    id: u64,
    mailbox: Mailbox,
    mail: UnboundedReceiver<Reply>,
    resp3: bool,
    name: Bytes,
    transaction: Option<Transaction>,
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
        Self { store, id, mailbox, mail, resp3: false, name: Bytes::new(), transaction: None }
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
    fn answer(&mut self, buffer: &mut Vec<u8>, out: &mut Vec<u8>) -> bool {
        let mut done = 0;
        let goes_on = loop {
            match parse_request(&buffer[done..]) {
                Ok(None) => break true,
                Ok(Some(request)) => {
                    done += request.len;
                    let name = request.name();
                    if !name.is_empty() {
                        let resp3 = self.resp3 || name == "HELLO" && request.arg(1) == Some(b"3");
                        for reply in self.execute(&name, request) {
                            reply.write(resp3, out);
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
                    Reply::Error(problem).write(self.resp3, out);
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
        let args = Args(&request.args).from(1);
        let topic = if name.contains("PSUB") || name.contains("PUNSUB") { Topic::Pattern } else { Topic::Channel };
        match name {
            "SUBSCRIBE" | "PSUBSCRIBE" if args.len() > 0 && self.transaction.is_none() => {
                args.iter().map(|channel| self.subscribe(topic, channel)).collect()
            }
            "UNSUBSCRIBE" | "PUNSUBSCRIBE" if self.transaction.is_none() => self.unsubscribe(topic, args),
            _ => vec![self.outcome(name, request).unwrap_or_else(Reply::Error)],
        }
    }

    fn outcome(&mut self, name: &str, request: Request) -> Outcome {
        match (name, self.transaction.is_some()) {
            ("MULTI", true) => Err("ERR MULTI calls can not be nested".to_owned()),
            ("MULTI", false) => {
                self.transaction = Some(Transaction::default());
                Ok(Reply::OK)
            }
            ("EXEC", _) => self.exec(),
            ("DISCARD", false) => Err("ERR DISCARD without MULTI".to_owned()),
            ("DISCARD", true) => {
                self.transaction = None;
                Ok(Reply::OK)
            }
            ("QUIT" | "RESET", _) | (_, false) => self.now(name, &request),
            (_, true) => self.queue(name, request),
        }
    }

    fn queue(&mut self, name: &str, request: Request) -> Outcome {
        let known = matches!(name, "CLIENT" | "PUBLISH" | "SELECT" | "TIME" | "COMMAND" | "INFO");
        let problem = if known { None } else { commands::find(name, request.args.len() - 1).err() };
        if let Some(transaction) = &mut self.transaction {
            match problem {
                Some(problem) => {
                    transaction.spoilt = true;
                    return Err(problem);
                }
                None => transaction.queued.push(request),
            }
        }
        Ok(Reply::Simple("QUEUED"))
    }

    fn exec(&mut self) -> Outcome {
        let transaction = self.transaction.take().ok_or("ERR EXEC without MULTI")?;
        if transaction.spoilt {
            return Err("EXECABORT Transaction discarded because of previous errors.".to_owned());
        }
        let replies = transaction.queued.iter().map(|request| {
            let name = request.name();
            self.now(&name, request).unwrap_or_else(Reply::Error)
        });
        Ok(Reply::Array(replies.collect()))
    }

    /// Runs a command outside a transaction, or one whose turn has come.
    fn now(&mut self, name: &str, request: &Request) -> Outcome {
        let args = Args(&request.args).from(1);
        match name {
            "HELLO" => self.hello(args),
            // The gate in front has seen to it.
            "AUTH" | "QUIT" => Ok(Reply::OK),
            "RESET" => Ok(self.reset()),
            "CLIENT" => self.client(args),
            "COMMAND" => Ok(Reply::Array(Vec::new())),
            "INFO" => Ok(Reply::bulk("# Server\r\nredis_version:7.4.0\r\nredis_mode:standalone\r\n")),
            "PUBLISH" if args.len() == 2 => Ok(count(lock(&self.store.hub).publish(args.at(0), args.at(1)))),
            "SELECT" if args.at(0) == b"0" => Ok(Reply::OK),
            "SELECT" => Err("ERR DB index is out of range".to_owned()),
            "PUBLISH" | "SUBSCRIBE" | "PSUBSCRIBE" => Err(commands::wrong_number(name)),
            _ => commands::find(name, args.len())?(&mut lock(&self.store.data), args),
        }
    }

    /// Makes it as it was when it began.
    fn reset(&mut self) -> Reply {
        lock(&self.store.hub).leave(self.id);
        self.resp3 = false;
        self.name.clear();
        self.transaction = None;
        Reply::Simple("RESET")
    }

    fn hello(&mut self, args: Args<'_>) -> Outcome {
        match args.at(0) {
            b"" => {}
            b"2" => self.resp3 = false,
            b"3" => self.resp3 = true,
            _ => return Err("NOPROTO unsupported protocol version".to_owned()),
        }
        let fields = [
            ("server", Reply::bulk("redis")),
            ("version", Reply::bulk("7.4.0")),
            ("proto", Reply::Int(if self.resp3 { 3 } else { 2 })),
            ("id", Reply::Int(i64::try_from(self.id).unwrap_or(i64::MAX))),
            ("mode", Reply::bulk("standalone")),
            ("role", Reply::bulk("master")),
            ("modules", Reply::Array(Vec::new())),
        ];
        Ok(Reply::Map(fields.into_iter().map(|(name, value)| (Reply::bulk(name), value)).collect()))
    }

    fn client(&mut self, args: Args<'_>) -> Outcome {
        match args.option(0).as_str() {
            "ID" => Ok(Reply::Int(i64::try_from(self.id).unwrap_or(i64::MAX))),
            "SETNAME" => {
                self.name = args.at(1).to_vec();
                Ok(Reply::OK)
            }
            "GETNAME" if self.name.is_empty() => Ok(Reply::Nil),
            "GETNAME" => Ok(Reply::bulk(&self.name)),
            "SETINFO" | "NO-EVICT" | "NO-TOUCH" => Ok(Reply::OK),
            other => Err(format!("ERR unknown subcommand '{}'. Try CLIENT HELP.", other.escape_debug())),
        }
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
        let mut hub = lock(&self.store.hub);
        let left = [Topic::Channel, Topic::Pattern].map(|topic| hub.of_session(topic, self.id).len());
        Reply::Push(vec![Reply::bulk(kind), name, count(left.iter().sum())])
    }
}
