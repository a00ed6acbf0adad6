//! Assertions of other issuers that the application trusts: a cluster's workload identity, and Azure's managed
//! identities.

use crate::emulator::{
    aadsts,
    answers::Refusal,
    tokens::{ISSUER, Signer, TOKEN_EXCHANGE, USER_ASSIGNED_OBJECT_ID, since_epoch},
};
use serde::{Deserialize, Serialize};
use std::{
    io,
    time::{Duration, SystemTime},
};

/// The issuer that plays a Kubernetes cluster.
const CLUSTER: &str = "https://oidc.emulator.invalid/";
const SERVICE_ACCOUNT: &str = "system:serviceaccount:default:emulator";

#[derive(Deserialize, Serialize)]
struct ServiceAccountClaims {
    iss: String,
    sub: String,
    aud: String,
    nbf: u64,
    exp: u64,
}

/// A token such as a cluster writes into a pod's file. `exp` is in whole seconds, rounded down:
/// a lifetime of zero has expired already.
pub(super) fn issue(signer: &Signer, lifetime: Duration) -> io::Result<String> {
    let now = since_epoch(SystemTime::now());
    signer.jwt(&ServiceAccountClaims {
        iss: CLUSTER.to_owned(),
        sub: SERVICE_ACCOUNT.to_owned(),
        aud: TOKEN_EXCHANGE[0].to_owned(),
        nbf: now.as_secs(),
        exp: now.saturating_add(lifetime).as_secs(),
    })
}

/// The subject that the application trusts this issuer to name; none if it does not trust it at all.
pub(super) fn subject(issuer: &str) -> Option<&'static str> {
    match issuer {
        CLUSTER => Some(SERVICE_ACCOUNT),
        ISSUER => Some(USER_ASSIGNED_OBJECT_ID),
        _ => None,
    }
}

/// Refuses an assertion that is not good for the application's tokens. The same one may come again: files are read
/// often.
pub(super) fn check(signer: &Signer, assertion: &str) -> Result<(), Refusal> {
    let claims: ServiceAccountClaims = signer
        .read(assertion)
        .ok_or_else(|| aadsts::refusal(50_013, "its signature does not match its issuer's key"))?;
    let now = since_epoch(SystemTime::now());
    match subject(&claims.iss) {
        None => Err(aadsts::refusal(700_211, &claims.iss)),
        Some(subject) if subject != claims.sub => Err(aadsts::refusal(700_213, &claims.sub)),
        Some(_) if !TOKEN_EXCHANGE.contains(&claims.aud.as_str()) => Err(aadsts::refusal(700_212, &claims.aud)),
        Some(_) if claims.nbf > now.as_secs() || Duration::from_secs(claims.exp) <= now => {
            Err(aadsts::refusal(700_024, ""))
        }
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
