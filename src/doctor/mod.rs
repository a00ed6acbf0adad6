//! What is wrong between this machine and a cache, found by walking the whole way; part of the command-line tool, and
//! not of the public API.
//!
//! It walks in steps of its own instead of by `connect`, which stops at the first thing that is wrong and hides what
//! lay before it. Steps that need nothing of each other go at the same time, each has a limit, and so has the whole
//! walk: whatever hangs, there is a report. A token goes nowhere but over a connection whose certificate was verified.

mod advice;
mod cause;
mod certificate;
mod data;
mod encryption;
mod environment;
mod identity;
mod login;
mod network;
mod place;
mod report;
mod token_cause;
mod topology;
mod walk;
mod wire;

use crate::{cluster::discovery::Topology, credential::Credential, error::Error, ids::UserName, transport::tls::Tls};
use advice::Advice;
use identity::Identity;
use report::{Finding, Name};
use std::{net::SocketAddr, time::Duration};
use tokio::time::sleep;
use walk::Walk;
use wire::Wire;

pub use place::Place;
pub use report::{Report, State, Step, Verdict};

/// What is to be looked at.
#[derive(Debug)]
#[non_exhaustive]
pub struct Doctor {
    /// Where the cache is.
    pub place: Place,
    /// Who connects, or why nobody can.
    pub credential: Result<Credential, Error>,
    username: Option<UserName>,
    /// How the certificate is verified.
    pub tls: Tls,
    /// What the cache is thought to be.
    pub topology: Topology,
    /// Whether to speak RESP2.
    pub resp2: bool,
    /// What the keys begin with that the user may use.
    pub key_prefix: String,
    /// Whether the user is meant to read only.
    pub read_only: bool,
    /// The options of the command line, for the commands that are the next thing to do.
    pub options: Vec<(&'static str, String)>,
    /// Variables that hold an access key, which nothing here uses.
    pub access_keys: Vec<String>,
}

/// How long the whole walk may take: a report is there within thirty seconds.
const LIMIT: Duration = Duration::from_secs(29);

/// Why the steps after a lost connection are not reached.
const GONE: &str = "not reached: the connection was lost before, and a new one could not log in";

impl Doctor {
    /// Of this cache, with the defaults of everything else.
    #[must_use]
    pub fn new(place: Place, credential: Result<Credential, Error>) -> Self {
        Self {
            place,
            credential,
            username: None,
            tls: Tls::new(),
            topology: Topology::Auto,
            resp2: false,
            key_prefix: String::new(),
            read_only: false,
            options: Vec::new(),
            access_keys: Vec::new(),
        }
    }

    /// With this Redis user name, in place of the token's object id.
    #[must_use]
    pub fn with_username(mut self, name: Option<&str>) -> Self {
        self.username = name.map(UserName::new);
        self
    }

    fn host(&self) -> &str {
        self.place.host.as_deref().unwrap_or_default()
    }

    fn username(&self) -> Option<&UserName> {
        self.username.as_ref().or(self.place.username.as_ref())
    }

    fn speaks_resp2(&self) -> bool {
        self.resp2 || self.place.resp2
    }

    /// Walks the way, and tells each step as soon as it and all before it are known. It takes half a minute at most,
    /// and ends early when `stop` does.
    pub async fn examine(&self, stop: impl Future<Output = ()>, told: impl FnMut(&Step)) -> Report {
        let mut told = told;
        let walk = Walk::new(&mut told);
        let why = tokio::select! {
            () = self.walk(&walk) => "not reached",
            () = sleep(LIMIT) => "not reached: the 30 seconds were over",
            () = stop => "not reached: interrupted",
        };
        walk.end(why)
    }

    async fn walk(&self, walk: &Walk<'_>) {
        let advice = Advice::new(self);
        walk.settle(Name::Environment, environment::look(self, &advice));
        let token = async {
            let (finding, identity) = identity::look(self, &advice).await;
            walk.settle(Name::Token, finding);
            identity
        };
        let network = async {
            let host = self.host();
            if environment::is_host(host) { self.network(walk, &advice, host).await } else { None }
        };
        let (identity, reached) = tokio::join!(token, network);
        let clock = identity.as_ref().and_then(|identity| identity.clock_ahead);
        let Some((address, shown)) = reached else {
            return;
        };
        let wire = match shown {
            Ok((stream, finding)) => {
                walk.settle(Name::Tls, finding);
                Wire::new(stream)
            }
            Err(problem) => return walk.settle(Name::Tls, problem.explain(self, &advice, clock).await),
        };
        let Some(identity) = identity else {
            return walk.settle(Name::Auth, Finding::not_reached("there is no token to authenticate with"));
        };
        self.session(walk, &advice, wire, &identity, address).await;
    }

    /// Addresses, a connection, encryption. What is found of the last is told later: a certificate that is out of date
    /// may be the doing of this machine's clock, which the token tells of.
    async fn network(
        &self,
        walk: &Walk<'_>,
        advice: &Advice,
        host: &str,
    ) -> Option<(SocketAddr, Result<encryption::Encrypted, encryption::Problem>)> {
        let (finding, addresses) = network::resolve(host, self.place.port, advice).await;
        walk.settle(Name::Dns, finding);
        if addresses.is_empty() {
            return None;
        }
        let (finding, address) = network::connect(&addresses, advice).await;
        walk.settle(Name::Tcp, finding);
        let address = address?;
        Some((address, encryption::open(&self.tls, host, address, advice).await))
    }

    async fn session(&self, walk: &Walk<'_>, advice: &Advice, wire: Wire, identity: &Identity, seed: SocketAddr) {
        let mut session = login::Session::new(self, advice, identity, wire, seed);
        let finding = session.log_in().await;
        let is_in = session.is_in();
        walk.settle(Name::Auth, finding);
        if !is_in {
            return;
        }
        let (finding, layout) = topology::look(self, advice, &mut session).await;
        walk.settle(Name::Topology, finding);
        walk.settle(Name::Nodes, topology::nodes(self, advice, &layout).await);
        // Whatever has lost the connection, what comes after it has another one, or is not looked at.
        if !session.is_ready().await {
            return walk.give_up(GONE);
        }
        walk.settle(Name::Data, data::look(self, advice, &mut session, &layout).await);
        if !session.is_ready().await {
            return walk.give_up(GONE);
        }
        walk.settle(Name::Latency, data::latency(advice, &mut session).await);
        if !session.is_ready().await {
            return walk.give_up(GONE);
        }
        walk.settle(Name::Reauth, session.log_in_again().await);
    }
}
