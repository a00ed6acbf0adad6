//! Why nobody is logged in: what Redis refuses, or that it does not answer.

use super::Session;
use crate::doctor::{cause::Cause, encryption, report::Finding, wire::Lost};
use redis::ServerError;

/// Redis's refusals, by what they mean here.
pub(super) enum Refusal {
    WrongPass,
    Unknown,
    MaxClients,
    NoAccess,
    NotConfigured,
    Busy,
    Other,
}

impl Refusal {
    pub(super) fn of(error: &ServerError) -> Self {
        let text = format!("{} {}", error.code(), error.details().unwrap_or_default());
        let has = |part: &str| text.contains(part);
        match error.code() {
            "WRONGPASS" => Self::WrongPass,
            "ERR" if has("ERR WRONGPASS") || has("invalid username-password") => Self::WrongPass,
            "NOPROTO" => Self::Unknown,
            "ERR" if has("unknown command") || has("unsupported RESP version") => Self::Unknown,
            _ if has("max number of clients") => Self::MaxClients,
            "ERR" if has("without any password configured") || has("no password is set") => Self::NotConfigured,
            "LOADING" | "MASTERDOWN" | "BUSY" | "CLUSTERDOWN" | "TRYAGAIN" => Self::Busy,
            "NOPERM" | "NOAUTH" | "DENIED" => Self::NoAccess,
            _ => Self::Other,
        }
    }
}

impl Session<'_> {
    pub(super) fn lost(&self, lost: Lost) -> Finding {
        let seed = self.seed;
        let detail = format!("to HELLO with the token, {}", lost.told());
        match lost {
            Lost::Silent(_) => {
                let detail = format!("{detail}: Azure may take ten seconds to validate a token, and no more");
                Finding::failed(Cause::AuthSilent, detail, self.advice.show("'[provisioningState,resourceState]'"))
            }
            Lost::Garbage => {
                let detail =
                    format!("{seed} speaks TLS, but not Redis: is it a web server, or another port of the cache?");
                Finding::failed(Cause::NotRedis, detail, self.advice.again(&[("--port", "10000")]))
            }
            Lost::Reset => Finding::failed(Cause::ConnectionReset, detail, self.advice.open_ports()),
            Lost::Closed => {
                let detail = format!("{detail}: the server, or a proxy before it, ends connections that log in");
                Finding::failed(Cause::ConnectionClosed, detail, self.advice.show("'[hostName,resourceState]'"))
            }
        }
    }

    pub(super) fn refused(&self, refusal: &Refusal, error: &ServerError) -> Finding {
        let said = self.said(error);
        match refusal {
            Refusal::WrongPass => self.wrong_pass(&said),
            Refusal::MaxClients => encryption::max_clients(&said, self.advice),
            Refusal::NotConfigured => Finding::failed(
                Cause::AuthenticationOff,
                format!("the server asks nobody for a password (`{said}`): it is no cache with Microsoft Entra ID"),
                self.advice.show("'[hostName,resourceState]'"),
            ),
            Refusal::Busy => Finding::failed(
                Cause::ServerNotReady,
                format!("the server is there, and not ready: {said}"),
                format!("sleep 15 && {}", self.advice.again(&[])),
            ),
            Refusal::NoAccess => Finding::failed(Cause::AccessDenied, said, self.advice.assignments()),
            Refusal::Unknown | Refusal::Other => {
                Finding::failed(Cause::AuthRefused, said, self.advice.show("'[hostName,resourceState]'"))
            }
        }
    }

    /// The token is good, or Microsoft Entra ID would not have given it: mostly it is the name.
    fn wrong_pass(&self, said: &str) -> Finding {
        let user = self.user();
        let (user, own) = (user.expose(), self.identity.token.username().unwrap_or("(unknown)"));
        let without = self.advice.again(&[("--username", "")]);
        let cause = if user == own {
            let detail = format!(
                "{said}: the token is good, and the cache has no access policy for the object id {own}; one for a group \
                 that it is a member of does not count, nor does one for the client id or for the app registration's own \
                 object id"
            );
            return Finding::failed(Cause::AssignmentMissing, detail, self.advice.assign(own));
        } else if self.identity.app_id.as_deref() == Some(user) || self.advice.client_id.as_deref() == Some(user) {
            (Cause::UserNameIsClientId, "the client id")
        } else if self.identity.groups.iter().any(|group| group == user) {
            (Cause::UserNameIsGroup, "the id of a group, and groups cannot log in")
        } else if !self.user().is_shown() {
            let detail = format!(
                "{said}: the user name must be the principal's object id {own}, and the one that is set has not the form of \
                 an id: it is not shown, as it may be an access key in the wrong place"
            );
            return Finding::failed(Cause::UserNameWrong, detail, without);
        } else if user == "default" {
            (
                Cause::UserNameIsDefault,
                "the user of the access keys, which are disabled on a cache with Microsoft Entra ID alone, and which no \
                 token is good for",
            )
        } else {
            (
                Cause::UserNameWrong,
                "neither that nor a client id: it may be a group's id, which cannot log in, or the object id of an app \
                 registration",
            )
        };
        let (cause, what) = cause;
        let detail = format!("{said}: the user name must be the principal's object id {own}, and {user} is {what}");
        Finding::failed(cause, detail, without)
    }
}
