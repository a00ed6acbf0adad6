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
    let claims = ServiceAccountClaims {
        iss: "https://stranger.invalid/".to_owned(),
        sub: SERVICE_ACCOUNT.to_owned(),
        aud: TOKEN_EXCHANGE[0].to_owned(),
        nbf: 0,
        exp: u64::MAX,
    };
    let stranger = signer.jwt(&claims).unwrap();
    assert_eq!(check(&signer, &stranger).unwrap_err().code(), Some(700_211));
    let other = ServiceAccountClaims {
        iss: CLUSTER.to_owned(),
        sub: "system:serviceaccount:default:other".to_owned(),
        ..claims
    };
    let other = signer.jwt(&other).unwrap();
    assert_eq!(check(&signer, &other).unwrap_err().code(), Some(700_213));
}
