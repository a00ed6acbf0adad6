//! `AUTH` and `HELLO`, which the gate answers itself as far as they are about tokens.

use super::{Session, Verdict};
use crate::emulator::{
    faults::AuthFault,
    resp::{Reply, Request},
};
use std::{sync::atomic::Ordering::Relaxed, time::SystemTime};

const NOAUTH_HELLO: &str = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO \
                            <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP \
                            protocol version at the same time";
const WRONGPASS: &str = "WRONGPASS invalid username-password pair or user is disabled.";

impl Session {
    /// `HELLO [version [AUTH user token] [SETNAME name]]`: the token is for the gate, the rest for the backend.
    pub(super) async fn hello(&self, request: &Request) -> Verdict {
        let mut words = vec![b"HELLO".to_vec()];
        words.extend(request.arg(1).map(<[u8]>::to_vec));
        let mut credentials = None;
        let mut at = 2;
        while let Some(option) = request.arg(at) {
            match (option.to_ascii_uppercase().as_slice(), request.arg(at + 1), request.arg(at + 2)) {
                (b"AUTH", Some(user), Some(token)) => {
                    credentials = Some((user, token));
                    at += 3;
                }
                (b"SETNAME", Some(name), _) => {
                    words.extend([option.to_vec(), name.to_vec()]);
                    at += 2;
                }
                _ => return Verdict::Answer(Reply::error("ERR Syntax error in HELLO option")),
            }
        }
        match credentials {
            Some((user, token)) => {
                if let Err(verdict) = self.authenticate(user, token).await {
                    return verdict;
                }
            }
            None if !self.control.is_authenticated() => {
                return Verdict::Answer(Reply::error(NOAUTH_HELLO));
            }
            None => {}
        }
        match request.arg(1) {
            Some(b"3") => self.resp3.store(true, Relaxed),
            Some(b"2") => self.resp3.store(false, Relaxed),
            _ => {}
        }
        let mut bytes = Vec::new();
        Reply::Array(words.into_iter().map(Reply::Bulk).collect()).write(false, &mut bytes);
        Verdict::Forward(bytes)
    }

    pub(super) async fn authenticate(&self, user: &[u8], token: &[u8]) -> Result<(), Verdict> {
        let reauth = self.control.is_authenticated();
        let (delay, scripted) = self.gate.next_auth(reauth);
        tokio::time::sleep(delay).await;
        match self.control.take_fault().or(scripted) {
            Some(AuthFault::WrongPass) => return Err(self.rejected()),
            Some(AuthFault::Error(text)) => return Err(Verdict::Answer(Reply::error(text))),
            Some(AuthFault::Silent) => return Err(Verdict::Never),
            Some(AuthFault::Delay(delay)) => tokio::time::sleep(delay).await,
            None => {}
        }
        let until: SystemTime = self.gate.signer.verify(user, token).map_err(|_| self.rejected())?;
        self.control.authenticated(until);
        self.gate.totals.authentications.fetch_add(1, Relaxed);
        self.gate.totals.reauths.fetch_add(u64::from(reauth), Relaxed);
        Ok(())
    }

    pub(super) fn rejected(&self) -> Verdict {
        self.gate.totals.rejected.fetch_add(1, Relaxed);
        Verdict::Answer(Reply::error(WRONGPASS))
    }
}
