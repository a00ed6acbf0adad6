//! What is done with a request: who answers it, and with what.

use super::Session;
use crate::emulator::resp::{Reply, Request};
use std::sync::atomic::Ordering::Relaxed;

const NOAUTH: &str = "NOAUTH Authentication required.";

const SUBSCRIBED: &str = "ERR Can't execute 'auth': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are \
                          allowed in this context";

/// What to do with one request.
pub(super) enum Verdict {
    Forward(Vec<u8>),
    /// As `Forward`, for a request without a reply of its own.
    ForwardUnanswered(Vec<u8>),
    Answer(Reply),
    /// This error, as if it came from Redis.
    Refuse(String),
    Never,
    /// No answer, though what follows has one.
    Nothing,
}

impl Session {
    pub(super) async fn judge(&self, request: &Request, raw: &[u8]) -> Verdict {
        let error = |text: &str| Verdict::Answer(Reply::error(text));
        match request.name().as_str() {
            "HELLO" if self.front.without_hello.load(Relaxed) => Verdict::Answer(unknown_command(request)),
            "HELLO" => self.hello(request).await,
            "AUTH" if self.subscriber.load(Relaxed) => error(SUBSCRIBED),
            "AUTH" => match (request.arg(1), request.arg(2)) {
                (Some(user), Some(token)) => match self.authenticate(user, token).await {
                    Ok(()) => Verdict::Answer(Reply::OK),
                    Err(verdict) => verdict,
                },
                // A password alone is for the default user, which does not exist here.
                (Some(_), None) => self.rejected(),
                _ => error("ERR wrong number of arguments for 'auth' command"),
            },
            "QUIT" => Verdict::Forward(raw.to_vec()),
            "RESET" => {
                self.control.deauthenticate();
                self.resp3.store(false, Relaxed);
                self.subscriber.store(false, Relaxed);
                Verdict::Forward(raw.to_vec())
            }
            _ if !self.control.is_authenticated() => error(NOAUTH),
            name => self.judge_authenticated(name, request, raw),
        }
    }

    /// What becomes of an `AUTH` that did not come alone.
    pub(super) fn judge_accompanied(&self, verdict: Verdict) -> Verdict {
        self.front.totals.accompanied_auths.fetch_add(1, Relaxed);
        match verdict {
            Verdict::Answer(Reply::Error(_)) if self.front.drops_failed_auths() => Verdict::Nothing,
            verdict => verdict,
        }
    }

    fn judge_authenticated(&self, name: &str, request: &Request, raw: &[u8]) -> Verdict {
        let error = |text: &str| Verdict::Answer(Reply::error(text));
        let is_subscriber = self.subscriber.load(Relaxed);
        // What a subscriber sends has no reply that could be told from messages: Redis refuses it.
        if !is_subscriber && let Some(problem) = self.front.policy.blocked(request) {
            return Verdict::Refuse(problem);
        }
        match name {
            "MONITOR" => error("ERR the emulator's front does not pass on MONITOR"),
            "CLIENT" if request.arg(1).is_some_and(|sub| sub.eq_ignore_ascii_case(b"REPLY")) => {
                error("ERR the emulator's front does not pass on CLIENT REPLY")
            }
            "SUBSCRIBE" | "PSUBSCRIBE" | "SSUBSCRIBE" | "UNSUBSCRIBE" | "PUNSUBSCRIBE" | "SUNSUBSCRIBE" => {
                let subscribes = !name.contains("UNSUB");
                if subscribes && !self.resp3.load(Relaxed) {
                    self.subscriber.store(true, Relaxed);
                }
                Verdict::ForwardUnanswered(raw.to_vec())
            }
            _ if is_subscriber => Verdict::ForwardUnanswered(raw.to_vec()),
            _ => Verdict::Forward(raw.to_vec()),
        }
    }
}

/// As Redis 5 words it: the arguments are quoted, a password among them.
fn unknown_command(request: &Request) -> Reply {
    let quoted =
        |word: &Vec<u8>| format!("`{}`, ", String::from_utf8_lossy(word).chars().take(128).collect::<String>());
    let name = request.arg(0).map(String::from_utf8_lossy).unwrap_or_default();
    let arguments: String = request.args.iter().skip(1).map(quoted).collect();
    Reply::error(format!("ERR unknown command `{name}`, with args beginning with: {arguments}"))
}
