//! Commands on the connection itself.

use super::Session;
use crate::{
    emulator::{
        hello::{Hello, client_name},
        resp::Reply,
        store::{
            args::{Args, Outcome, SYNTAX},
            commands,
            data::{Data, count},
            server,
        },
    },
    lock::lock,
};

impl Session {
    pub(super) fn of_connection(&mut self, data: &mut Data, name: &str, args: Args<'_>) -> Outcome {
        match name {
            "PING" => self.ping(args),
            "HELLO" => self.hello(args),
            "RESET" => Ok(self.reset(data)),
            "CLIENT" => self.client(args),
            "INFO" => {
                let (keys, waiting) = (data.keys().len(), data.waiting.count());
                Ok(server::info(args, keys, waiting, self.store.member.is_some()))
            }
            "ASKING" | "CLUSTER" | "READONLY" | "READWRITE" => self.cluster(data, name, args),
            "ROLE" => Ok(server::role()),
            "PUBLISH" => Ok(count(lock(&self.store.hub).publish(args.at(0), args.at(1)))),
            "SELECT" => server::select(args),
            "WATCH" => {
                data.watch(self.id, args.iter());
                Ok(Reply::OK)
            }
            "UNWATCH" => {
                data.unwatch(self.id);
                Ok(Reply::OK)
            }
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
    fn reset(&mut self, data: &mut Data) -> Reply {
        lock(&self.store.hub).leave(self.id);
        data.unwatch(self.id);
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
}
