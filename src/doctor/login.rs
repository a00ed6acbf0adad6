//! `HELLO` and `AUTH`, at first and once more on the connection in use.

mod refusal;

use super::{
    Doctor,
    advice::Advice,
    cause::Cause,
    encryption,
    identity::Identity,
    report::Finding,
    wire::{Lost, Wire, words},
};
use crate::ids::UserName;
use redis::{Cmd, ServerError, Value};
use refusal::Refusal;
use std::{net::SocketAddr, time::Duration};
use tokio::time::Instant;

/// Azure may take ten seconds to validate a token.
const AUTH_WITHIN: Duration = Duration::from_secs(12);

/// What takes longer is told of: every new connection does.
const SLOW: Duration = Duration::from_secs(3);

/// One command.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// No reply has more to say than this.
const LONGEST_REPLY: usize = 300;

/// Redis names the command it does not know, and then quotes its arguments, of which one is a token.
const QUOTED_ARGUMENTS: &str = ", with args beginning with";

/// One connection, and who it is for.
pub(super) struct Session<'a> {
    doctor: &'a Doctor,
    advice: &'a Advice,
    identity: &'a Identity,
    wire: Wire,
    /// Where it leads.
    seed: SocketAddr,
    is_resp2: bool,
    is_in: bool,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        doctor: &'a Doctor,
        advice: &'a Advice,
        identity: &'a Identity,
        wire: Wire,
        seed: SocketAddr,
    ) -> Self {
        Self { doctor, advice, identity, wire, seed, is_resp2: doctor.speaks_resp2(), is_in: false }
    }

    pub(super) fn is_in(&self) -> bool {
        self.is_in
    }

    pub(super) fn seed(&self) -> SocketAddr {
        self.seed
    }

    /// Whether there is a connection to go on with: after one that was lost, a new one, which has logged in as the
    /// first one did. Who could not get one does not try again.
    pub(super) async fn is_ready(&mut self) -> bool {
        if self.is_in && !self.wire.is_open() {
            self.is_in = self.renew().await.is_some();
        }
        self.is_in
    }

    /// A connection to another node, which has logged in as this one did.
    pub(super) async fn to(&self, node: SocketAddr) -> Option<Self> {
        let Self { doctor, advice, identity, is_resp2, .. } = *self;
        let mut other = Self { doctor, advice, identity, wire: Wire::default(), seed: node, is_resp2, is_in: true };
        other.is_ready().await.then_some(other)
    }

    async fn renew(&mut self) -> Option<()> {
        let opened = encryption::open(&self.doctor.tls, self.doctor.host(), self.seed, self.advice).await;
        self.wire = Wire::new(opened.ok()?.0);
        let reply = self.wire.ask(&self.first(), AUTH_WITHIN).await.ok()?;
        (!matches!(reply, Value::ServerError(_))).then_some(())
    }

    pub(super) async fn ask(&mut self, cmd: &Cmd) -> Result<Value, Lost> {
        self.wire.ask(cmd, ANSWER_WITHIN).await
    }

    /// What Redis said, without any part of the token.
    pub(super) fn said(&self, error: &ServerError) -> String {
        let text = format!("{} {}", error.code(), error.details().unwrap_or_default());
        let text = text.split(QUOTED_ARGUMENTS).next().unwrap_or_default();
        self.user().scrub(self.identity.token.secret(), text).trim().chars().take(LONGEST_REPLY).collect()
    }

    fn user(&self) -> UserName {
        let user = self.doctor.username().or(self.identity.token.user_name());
        user.cloned().unwrap_or_else(|| UserName::new(""))
    }

    fn auth(&self) -> Cmd {
        let mut auth = redis::cmd("AUTH");
        auth.arg(self.user().expose()).arg(self.identity.token.secret().expose());
        auth
    }

    /// What logs in on a new connection.
    fn first(&self) -> Cmd {
        if self.is_resp2 {
            return self.auth();
        }
        let mut hello = redis::cmd("HELLO");
        hello.arg(3).arg("AUTH").arg(self.user().expose()).arg(self.identity.token.secret().expose());
        hello
    }

    pub(super) async fn log_in(&mut self) -> Finding {
        let began = Instant::now();
        match self.wire.ask(&self.first(), AUTH_WITHIN).await {
            Ok(Value::ServerError(error)) => match Refusal::of(&error) {
                Refusal::Unknown if !self.is_resp2 => self.by_resp2(&error).await,
                refusal => self.refused(&refusal, &error),
            },
            Ok(answer) => {
                self.is_in = true;
                self.welcome(&answer, began.elapsed())
            }
            Err(lost) => self.lost(lost),
        }
    }

    fn welcome(&self, answer: &Value, took: Duration) -> Finding {
        let version = field(answer, "version").map_or_else(String::new, |version| format!(", Redis {version}"));
        let protocol = if self.is_resp2 { "RESP2" } else { "RESP3" };
        let detail = format!("as {}{version}, {protocol}, in {took:.1?}", self.user());
        if took < SLOW {
            return Finding::ok(detail);
        }
        let what = "the cache took its time to validate the token; `Config::auth_timeout` is 15 s by default, and must stay \
                    above that";
        Finding::warning(
            Cause::AuthSlow,
            format!("{detail}: {what}"),
            self.advice.show("'[provisioningState,resourceState]'"),
        )
    }

    /// Servers before Redis 6, and some proxies, do not know `HELLO`.
    async fn by_resp2(&mut self, error: &ServerError) -> Finding {
        let said = self.said(error);
        match self.wire.ask(&self.auth(), AUTH_WITHIN).await {
            Ok(Value::ServerError(error)) => self.refused(&Refusal::of(&error), &error),
            Ok(_) => {
                (self.is_in, self.is_resp2) = (true, true);
                let detail = format!(
                    "as {} by RESP2 alone: the server does not know HELLO (`{said}`); set \
                     `Config::protocol(ProtocolVersion::RESP2)`",
                    self.user()
                );
                Finding::failed(Cause::Resp2Only, detail, self.advice.again(&[("--resp2", "yes")]))
            }
            Err(lost) => {
                let detail = format!("the server does not know HELLO (`{said}`), and to AUTH {}", lost.told());
                Finding::failed(Cause::Resp2Only, detail, self.advice.again(&[("--resp2", "yes")]))
            }
        }
    }

    /// `AUTH` on the connection that is in use, as at every rotation.
    pub(super) async fn log_in_again(&mut self) -> Finding {
        let began = Instant::now();
        match self.wire.ask(&self.auth(), AUTH_WITHIN).await {
            Ok(Value::ServerError(error)) => {
                let said = self.said(&error);
                let detail = format!(
                    "a second AUTH on the same connection is refused ({said}): connections would be replaced at each \
                     rotation instead"
                );
                Finding::failed(Cause::ReauthRefused, detail, self.advice.assignments())
            }
            Ok(_) => match self.ask(&words("PING")).await {
                Ok(value) if !matches!(value, Value::ServerError(_)) => {
                    Finding::ok(format!("the connection took a second AUTH, in {:.1?}, and goes on", began.elapsed()))
                }
                _ => Finding::failed(
                    Cause::ReauthEndsConnection,
                    "the connection took a second AUTH and then answered no more",
                    self.advice.show("'[hostName,resourceState]'"),
                ),
            },
            Err(lost) => Finding::failed(
                Cause::ReauthSilent,
                format!("to a second AUTH on the same connection {}", lost.told()),
                self.advice.show("'[hostName,resourceState]'"),
            ),
        }
    }
}

/// A text of the reply to `HELLO`.
fn field(answer: &Value, name: &str) -> Option<String> {
    let is_it = |key: &Value| matches!(key, Value::BulkString(text) if text == name.as_bytes());
    let found = match answer {
        Value::Map(pairs) => pairs.iter().find(|(key, _)| is_it(key)).map(|(_, value)| value),
        Value::Array(items) => items.chunks_exact(2).find(|pair| is_it(&pair[0])).map(|pair| &pair[1]),
        _ => None,
    }?;
    match found {
        Value::BulkString(text) => Some(String::from_utf8_lossy(text).chars().take(40).collect()),
        _ => None,
    }
}
