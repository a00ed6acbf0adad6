//! `AUTH` and `HELLO`, which the front answers itself as far as they are about tokens.

use super::{Session, verdict::Verdict};
use crate::emulator::{
    faults::AuthFault,
    hello::Hello,
    resp::{Reply, Request},
};
use std::{sync::atomic::Ordering::Relaxed, time::SystemTime};

const NOAUTH_HELLO: &str = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO \
                            <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP \
                            protocol version at the same time";
const WRONGPASS: &str = "WRONGPASS invalid username-password pair or user is disabled.";

impl Session {
    /// The token is for the front, the rest for the backend.
    pub(super) async fn hello(&self, request: &Request) -> Verdict {
        let args = request.args.get(1..).unwrap_or_default();
        let Hello { resp3, login, name, problem } = Hello::read(args);
        if let Some((user, token)) = login
            && let Err(verdict) = self.authenticate(user, token).await
        {
            return verdict;
        }
        if let Some(problem) = problem {
            return Verdict::Answer(Reply::Error(problem));
        }
        if !self.control.is_authenticated() {
            return Verdict::Answer(Reply::error(NOAUTH_HELLO));
        }
        if let Some(resp3) = resp3 {
            self.resp3.store(resp3, Relaxed);
        }
        let mut words = vec![Reply::bulk("HELLO")];
        words.extend(request.arg(1).map(Reply::bulk));
        words.extend(name.into_iter().flat_map(|name| [Reply::bulk("SETNAME"), Reply::bulk(name)]));
        let mut bytes = Vec::new();
        Reply::Array(words).write(false, &mut bytes);
        Verdict::Forward(bytes)
    }

    pub(super) async fn authenticate(&self, user: &[u8], token: &[u8]) -> Result<(), Verdict> {
        let reauth = self.control.is_authenticated();
        let (delay, scripted) = self.front.next_auth(reauth);
        tokio::time::sleep(delay).await;
        match self.control.take_fault().or(scripted) {
            Some(AuthFault::WrongPass) => return Err(self.rejected()),
            Some(AuthFault::Error(text)) => return Err(Verdict::Answer(Reply::error(text))),
            Some(AuthFault::Silent) => return Err(Verdict::Never),
            Some(AuthFault::Delay(delay)) => tokio::time::sleep(delay).await,
            None => {}
        }
        let until: SystemTime = self.front.signer.verify(user, token).map_err(|_| self.rejected())?;
        self.control.authenticated(until);
        self.front.totals.authentications.fetch_add(1, Relaxed);
        self.front.totals.reauths.fetch_add(u64::from(reauth), Relaxed);
        Ok(())
    }

    pub(super) fn rejected(&self) -> Verdict {
        self.front.totals.rejected.fetch_add(1, Relaxed);
        Verdict::Answer(Reply::error(WRONGPASS))
    }
}
