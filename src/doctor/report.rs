//! What the doctor says: a step a line, and a verdict on all of them.

use super::cause::Cause;
use serde::Serialize;

/// What is looked at, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    /// The settings, and which credential they mean.
    Environment,
    /// One token: whose it is, and what for.
    Token,
    /// The addresses of the host.
    Dns,
    /// A connection to each address.
    Tcp,
    /// Encryption, and who shows which certificate.
    Tls,
    /// `HELLO` and `AUTH`.
    Auth,
    /// The cluster policy.
    Topology,
    /// The ports of a cluster's nodes.
    Nodes,
    /// A write, a read and a `DEL`.
    Data,
    /// A hundred `PING`s.
    Latency,
    /// A second `AUTH` on the same connection.
    Reauth,
}

impl Name {
    pub(super) const ALL: [(Self, &'static str); 11] = [
        (Self::Environment, "environment"),
        (Self::Token, "token"),
        (Self::Dns, "dns"),
        (Self::Tcp, "tcp"),
        (Self::Tls, "tls"),
        (Self::Auth, "auth"),
        (Self::Topology, "topology"),
        (Self::Nodes, "nodes"),
        (Self::Data, "data"),
        (Self::Latency, "latency"),
        (Self::Reauth, "reauth"),
    ];
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, and something about it should be known.
    Warning,
    /// It does not work.
    Failed,
    /// Nothing is known of it: a step that it needs has failed, or the time was over.
    NotReached,
}

/// The verdict on all steps together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// Everything was looked at, and nothing has failed.
    Well,
    /// A step has failed.
    Broken,
    /// Nothing has failed, and not everything could be looked at.
    Unknown,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Step {
    /// What was looked at.
    pub step: &'static str,
    /// How it ended.
    pub state: State,
    /// What was found.
    pub detail: String,
    /// A stable name for what is wrong.
    pub cause: Option<&'static str>,
    /// A command that is the next thing to do.
    pub next: Option<String>,
}

/// All that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The verdict on all steps together.
    pub verdict: Verdict,
    /// The steps, in order, each of them once.
    pub steps: Vec<Step>,
}

impl Report {
    pub(super) fn new(steps: Vec<Step>) -> Self {
        let any = |state| steps.iter().any(|step| step.state == state);
        let verdict = if any(State::Failed) {
            Verdict::Broken
        } else if any(State::NotReached) {
            Verdict::Unknown
        } else {
            Verdict::Well
        };
        Self { verdict, steps }
    }
}

/// What a step has found.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) state: State,
    pub(super) detail: String,
    pub(super) cause: Option<Cause>,
    pub(super) next: Option<String>,
}

impl Finding {
    pub(super) fn ok(detail: impl Into<String>) -> Self {
        Self { state: State::Ok, detail: detail.into(), cause: None, next: None }
    }

    pub(super) fn not_reached(detail: impl Into<String>) -> Self {
        Self { state: State::NotReached, ..Self::ok(detail) }
    }

    pub(super) fn failed(cause: Cause, detail: impl Into<String>, next: impl Into<String>) -> Self {
        Self { state: State::Failed, detail: detail.into(), cause: Some(cause), next: Some(next.into()) }
    }

    pub(super) fn warning(cause: Cause, detail: impl Into<String>, next: impl Into<String>) -> Self {
        Self { state: State::Warning, ..Self::failed(cause, detail, next) }
    }

    pub(super) fn called(self, step: &'static str) -> Step {
        let Self { state, detail, cause, next } = self;
        Step { step, state, detail: plain(&detail), cause: cause.map(Cause::name), next: next.map(|next| plain(&next)) }
    }
}

/// One line, without what a terminal takes for orders: servers and certificates are quoted in it.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
