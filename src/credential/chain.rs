//! Several credentials, tried in order until one gives a token.

use super::{hints, tools};
use crate::{
    error::{Error, ErrorKind},
    observe::trace::target,
    token::{AccessToken, TokenFuture, TokenSource},
};
use std::sync::{Arc, OnceLock};

pub(super) struct Member {
    pub(super) name: &'static str,
    /// What gives its tokens, or why it cannot be asked at all.
    pub(super) source: Result<Arc<dyn TokenSource>, Error>,
    /// Whether the environment describes it in full: then it is the one that is meant, even if it cannot be used.
    pub(super) described: bool,
}

pub(super) struct ChainSource {
    /// Asked one by one; the first that is there at all decides.
    strict: Vec<Member>,
    /// Asked together after them, and passed over whatever their errors are: developers are signed in with one tool,
    /// and not with another.
    tools: Vec<Member>,
    /// The first that gave a token is asked alone from then on: a service must not change who it is because of an
    /// outage.
    chosen: OnceLock<Arc<dyn TokenSource>>,
}

/// What one member said.
struct MemberFailure {
    name: &'static str,
    error: Error,
    /// Whether there was something to authenticate with, or should have been.
    tried: bool,
}

impl ChainSource {
    pub(super) fn new(strict: Vec<Member>, tools: Vec<Member>) -> Self {
        Self { strict, tools, chosen: OnceLock::new() }
    }

    async fn token(&self) -> Result<AccessToken, Error> {
        if let Some(source) = self.chosen.get() {
            return source.fetch().await;
        }
        let mut said = Vec::new();
        for member in &self.strict {
            match member.token().await {
                Ok(token) => return Ok(self.choose(member, token)),
                Err(error) => said.push(member.said(error)),
            }
            if said.last().is_some_and(|last| last.tried) {
                return Err(summary(&said));
            }
        }
        for (member, outcome) in self.tools.iter().zip(tools::ask(&self.tools).await) {
            match outcome {
                Ok(token) => return Ok(self.choose(member, token)),
                Err(error) => said.push(member.said(error)),
            }
        }
        Err(summary(&said))
    }

    fn choose(&self, member: &Member, token: AccessToken) -> AccessToken {
        let credential = member.name;
        tracing::debug!(name: "credential_chosen", target: target::TOKEN, credential, "credential chosen");
        if let Ok(source) = &member.source {
            _ = self.chosen.set(Arc::clone(source));
        }
        token
    }
}

impl Member {
    pub(super) async fn token(&self) -> Result<AccessToken, Error> {
        match &self.source {
            Ok(source) => source.fetch().await,
            Err(error) => Err(error.clone()),
        }
    }

    fn said(&self, error: Error) -> MemberFailure {
        let available = self.source.is_ok() && error.kind() != ErrorKind::CredentialUnavailable;
        MemberFailure { name: self.name, error, tried: self.described || available }
    }
}

impl TokenSource for ChainSource {
    fn fetch(&self) -> TokenFuture<'_> {
        Box::pin(self.token())
    }
}

/// One error that tells what each one said, in order, and is of the kind that matters.
fn summary(said: &[MemberFailure]) -> Error {
    let list: Vec<_> = said.iter().map(|said| format!("{}: {}", said.name, said.error.message())).collect();
    let message = format!("no credential of the default chain gave a token: {}", list.join("; "));
    let error = match said.iter().rev().find(|said| said.tried) {
        Some(decisive) => decisive.error.clone().with_message(message),
        None => Error::new(ErrorKind::CredentialUnavailable, message).with_hint(hints::NO_CREDENTIAL),
    };
    // What was not there, such as an IMDS that was busy, may be there the next time.
    let absent = said.iter().filter(|said| !said.tried && said.error.is_transient()).map(|said| &said.error);
    absent.fold(error, |error, absent| {
        let longest = error.retry_after().max(absent.retry_after());
        longest.into_iter().fold(error.with_transient(true), Error::with_retry_after)
    })
}

#[cfg(test)]
mod tests;
