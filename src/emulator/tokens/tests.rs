use super::*;

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn only_good_tokens_of_the_right_user_are_accepted() {
    let signer = Signer::generate().unwrap();
    let token = |claims: TokenClaims| signer.sign(&claims, HOUR).unwrap().0;
    let ok = |token: String| signer.verify(OBJECT_ID.as_bytes(), token.as_bytes()).is_ok();
    assert!(ok(token(TokenClaims::new())));
    assert!(signer.verify(CLIENT_ID.as_bytes(), token(TokenClaims::new()).as_bytes()).is_err());
    assert!(!ok(token(TokenClaims::new().oid("somebody-else"))));
    assert!(!ok(token(TokenClaims::new().without_oid())));
    assert!(!ok(token(TokenClaims::new().without_exp())));
    assert!(!ok(token(TokenClaims::new().expired())));
    assert!(!ok(token(TokenClaims::new().audience(TOKEN_EXCHANGE[0]))));
    // A date that no clock can show.
    assert!(!ok(token(TokenClaims::new().lifetime(Duration::MAX))));
    let foreign = Signer::generate().unwrap().sign(&TokenClaims::new(), HOUR).unwrap().0;
    assert!(!ok(foreign));
    assert!(!ok(String::new()));
}

#[test]
fn the_user_assigned_identity_is_a_user_of_its_own() {
    let signer = Signer::generate().unwrap();
    let (token, _) = signer.sign(&TokenClaims::user_assigned(), HOUR).unwrap();
    assert!(signer.verify(USER_ASSIGNED_OBJECT_ID.as_bytes(), token.as_bytes()).is_ok());
    for other in [OBJECT_ID, USER_ASSIGNED_CLIENT_ID] {
        assert!(signer.verify(other.as_bytes(), token.as_bytes()).is_err());
    }
}

#[test]
fn a_token_lives_at_least_its_lifetime() {
    let signer = Signer::generate().unwrap();
    let before = SystemTime::now();
    let (token, _) = signer.sign(&TokenClaims::new(), HOUR).unwrap();
    let expiry = signer.verify(OBJECT_ID.as_bytes(), token.as_bytes()).ok().unwrap();
    assert!(expiry >= before + HOUR && expiry <= SystemTime::now() + HOUR + Duration::from_secs(1));
}

proptest::proptest! {
    #[test]
    fn nothing_but_a_token_is_one(user in ".{0,40}", token in "[ -~]{0,80}|[A-Za-z0-9_-]{0,60}\\.[A-Za-z0-9_-]{0,60}\\.[A-Za-z0-9_-]{0,60}") {
        static SIGNER: std::sync::LazyLock<Signer> = std::sync::LazyLock::new(|| Signer::generate().unwrap());
        assert!(SIGNER.verify(user.as_bytes(), token.as_bytes()).is_err());
    }
}
