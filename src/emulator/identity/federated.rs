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
struct Claims {
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
    signer.jwt(&Claims {
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
    let claims: Claims = signer
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
mod tests {
    use super::*;
    use crate::emulator::tokens::TokenClaims;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_cluster_s_token_is_good_until_it_expires_however_often() {
        let signer = Signer::generate().unwrap();
        let token = issue(&signer, HOUR).unwrap();
        assert!(check(&signer, &token).is_ok() && check(&signer, &token).is_ok());
        let expired = issue(&signer, Duration::ZERO).unwrap();
        assert_eq!(check(&signer, &expired).unwrap_err().code(), Some(700_024));
        let foreign = issue(&Signer::generate().unwrap(), HOUR).unwrap();
        assert_eq!(check(&signer, &foreign).unwrap_err().code(), Some(50_013));
    }

    #[test]
    fn a_managed_identity_s_token_counts_for_the_user_assigned_one_and_the_exchange_only() {
        let signer = Signer::generate().unwrap();
        let checked = |claims: TokenClaims| check(&signer, &signer.sign(&claims, HOUR).unwrap().0);
        for audience in TOKEN_EXCHANGE {
            assert!(checked(TokenClaims::user_assigned().audience(audience)).is_ok());
        }
        let system_assigned = checked(TokenClaims::new().audience(TOKEN_EXCHANGE[0]));
        assert_eq!(system_assigned.unwrap_err().code(), Some(700_213));
        assert_eq!(checked(TokenClaims::user_assigned()).unwrap_err().code(), Some(700_212));
        let expired = checked(TokenClaims::user_assigned().audience(TOKEN_EXCHANGE[0]).expired());
        assert_eq!(expired.unwrap_err().code(), Some(700_024));
    }

    #[test]
    fn a_stranger_s_claims_are_refused_even_with_our_signature() {
        let signer = Signer::generate().unwrap();
        let claims = Claims {
            iss: "https://stranger.invalid/".to_owned(),
            sub: SERVICE_ACCOUNT.to_owned(),
            aud: TOKEN_EXCHANGE[0].to_owned(),
            nbf: 0,
            exp: u64::MAX,
        };
        let stranger = signer.jwt(&claims).unwrap();
        assert_eq!(check(&signer, &stranger).unwrap_err().code(), Some(700_211));
        let other = Claims { iss: CLUSTER.to_owned(), sub: "system:serviceaccount:default:other".to_owned(), ..claims };
        let other = signer.jwt(&other).unwrap();
        assert_eq!(check(&signer, &other).unwrap_err().code(), Some(700_213));
    }
}
