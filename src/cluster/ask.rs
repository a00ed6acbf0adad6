//! Asking a node how it sees the cluster.

use super::{address::NodeAddress, topology::Topology};
use crate::{
    error::{Error, ErrorKind, Stage},
    link::{Link, Outcome, Setup, outcome},
    pool::Shared,
};
use redis::Value;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};

/// How long a node may take to answer that was one of the cluster before.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Why there is no topology.
#[derive(Debug)]
pub(super) enum Refused {
    /// The server has answered, and that it is no cluster, or may not be asked, or something that is no topology.
    Said(String),
    /// It has not answered.
    Silent(Error),
}

const WHAT_TO_DO: &str = "is it a single endpoint, as with the Enterprise and the non-clustered policy? Then set \
                          `Topology::Auto`; and if this is a cluster, the user must be allowed `CLUSTER SLOTS`";

impl Refused {
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Said(what) => {
                let text =
                    format!("`Topology::OssCluster` is set, but the server does not say which nodes it has: {what}");
                Error::new(ErrorKind::Connect, text).with_hint(WHAT_TO_DO)
            }
            Self::Silent(error) => error,
        }
    }
}

/// Asks over a link that is up. What this returns does not keep the connection open.
pub(super) fn ask(
    link: &Link,
    name: &NodeAddress,
    limit: Duration,
) -> impl Future<Output = Result<Topology, Refused>> + Send + use<> {
    let (asked, name) = (link.ask_for_slots(Instant::now() + limit), name.clone());
    async move { read(outcome(asked).await, &name, limit) }
}

fn read(outcome: Outcome, name: &NodeAddress, limit: Duration) -> Result<Topology, Refused> {
    match outcome {
        Outcome::Answered(Value::ServerError(error)) if is_for_a_while(error.code()) => {
            Err(Refused::Silent(unanswered(&format!("Redis said {}", error.code()))))
        }
        Outcome::Answered(reply) => match Topology::parse(&reply, name) {
            // It has just been formed, or has just joined.
            Ok(topology) if topology.ranges().is_empty() => {
                Err(Refused::Silent(unanswered("no node has any slots yet")))
            }
            Ok(topology) => Ok(topology),
            Err(problem) => Err(Refused::Said(problem)),
        },
        Outcome::Unreadable(_, problem) => Err(Refused::Said(format!("its reply cannot be read ({problem})"))),
        Outcome::TimedOut => Err(Refused::Silent(unanswered(&format!("no reply within {limit:?}")))),
        _ => Err(Refused::Silent(unanswered("the connection was lost"))),
    }
}

fn is_for_a_while(code: &str) -> bool {
    matches!(code, "LOADING" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" | "BUSY" | "NOAUTH")
}

fn unanswered(why: &str) -> Error {
    Error::new(ErrorKind::Timeout(Stage::Connect), format!("CLUSTER SLOTS was not answered: {why}"))
}

/// Asks over a connection of its own, to where the name leads now.
pub(super) async fn ask_anew(
    setup: &Setup,
    shared: &Shared,
    name: &NodeAddress,
    limit: Duration,
) -> Result<Topology, Refused> {
    let mut tokens = shared.tokens.clone();
    let open = Link::open(setup, async { tokens.current().await }, Arc::default(), Arc::clone(&shared.admission));
    let dialled = timeout_at(Instant::now() + setup.auth_timeout, open).await;
    let link = dialled.unwrap_or_else(|_| Err(unanswered("no connection"))).map_err(Refused::Silent)?;
    ask(&link, name, limit).await
}

#[cfg(test)]
mod tests;
