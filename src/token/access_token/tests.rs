use super::*;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

fn jwt(claims: &Value) -> String {
    encode(&Header::default(), claims, &EncodingKey::from_secret(b"k")).unwrap()
}

fn epoch(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

fn message(result: Result<AccessToken, Error>) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MalformedToken);
    error.to_string()
}

#[test]
fn expiry_in_seconds_parses_exactly() {
    let exp = SystemTime::now() + Duration::from_secs(3600);
    let token = AccessToken::from_jwt(jwt(&json!({"exp": epoch(exp).floor(), "oid": "me"}))).unwrap();
    assert_eq!(token.username(), Some("me"));
    let parsed = epoch(token.expires_at());
    assert!((parsed - epoch(exp).floor()).abs() < 0.5, "{parsed}");
}

#[test]
fn audience_and_tenant_are_read_and_may_be_odd() {
    let read = |aud: Value, tid: Value| {
        let claims = json!({"exp": epoch(SystemTime::now()) + 60.0, "oid": "me", "aud": aud, "tid": tid});
        let token = AccessToken::from_jwt(jwt(&claims)).unwrap();
        assert_eq!(token.source(), None);
        (token.audience().map(str::to_owned), token.tenant_id().map(str::to_owned))
    };
    let both = (Some("https://redis.azure.com".to_owned()), Some("t".to_owned()));
    assert_eq!(read(json!("https://redis.azure.com"), json!("t")), both);
    assert_eq!(read(json!(["https://redis.azure.com", "other"]), json!("t")), both);
    assert_eq!(read(json!(5), json!({})), (None, None));
    let bare = AccessToken::from_jwt(jwt(&json!({"exp": epoch(SystemTime::now()) + 60.0}))).unwrap();
    assert_eq!((bare.audience(), bare.tenant_id(), bare.username()), (None, None, None));
}

#[test]
fn malformed_tokens_are_typed_errors() {
    assert!(message(AccessToken::from_jwt("")).contains("empty"));
    for garbage in ["not.a", "a.b.c", "....", "e30.e30"] {
        assert!(message(AccessToken::from_jwt(garbage)).contains("not a JWT"));
    }
    assert!(message(AccessToken::from_jwt(jwt(&json!({"oid": "me"})))).contains("`exp`"));
    for exp in [json!(1), json!(-5), json!(1e300)] {
        _ = message(AccessToken::from_jwt(jwt(&json!({"exp": exp, "oid": "me"}))));
    }
    assert!(message(AccessToken::opaque("t", Duration::ZERO, "me")).contains("expired"));
}

/// The claim is named, if something else does not make it needless.
#[test]
fn a_jwt_with_an_odd_claim_is_a_jwt() {
    let text = message(AccessToken::from_jwt(jwt(&json!({"exp": "1700000000", "oid": "me"}))));
    assert!(text.contains("`exp` claim is no time") && !text.contains("1700000000"), "{text}");
    let hints = Hints { expires_in: Some(Duration::from_secs(60)), ..Hints::default() };
    let token = jwt(&json!({"exp": "soon", "oid": "me"}));
    let token = AccessToken::from_answer(Secret::new(token), hints).unwrap();
    assert_eq!((token.username(), token.lifetime()), (Some("me"), Duration::from_secs(60)));
    for oid in [json!(5), json!(null), json!(["me"]), json!("")] {
        let claims = json!({"exp": epoch(SystemTime::now()) + 60.0, "oid": oid});
        assert_eq!(AccessToken::from_jwt(jwt(&claims)).unwrap().username(), None, "{oid}");
    }
}

#[test]
fn errors_and_debug_hold_no_token() {
    let token = jwt(&json!({"oid": "me"}));
    assert!(!message(AccessToken::from_jwt(token.clone())).contains(&token));
    let token = AccessToken::opaque("s3cr3t", Duration::from_secs(1), "me").unwrap();
    assert!(!format!("{token:?}").contains("s3cr3t"));
}

#[test]
fn a_year_or_more_does_not_overflow() {
    for days in [366_u64, 1_000_000_000] {
        let life = Duration::from_secs(days * 24 * 3600);
        let token = AccessToken::opaque("t", life, "me").unwrap();
        assert!(token.usable_until() > Instant::now());
        assert!(token.expires_at() > SystemTime::now());
    }
}

#[test]
fn the_lifetime_survives_wrong_clocks() {
    const HOUR: Duration = Duration::from_secs(3600);
    let now = SystemTime::now();
    let ahead = now + 5 * HOUR;
    let life = |exp, expires_in, issuer_now| {
        let hints = Hints { expires_in, expires_on: None, issuer_now };
        lifetime(exp, None, hints, now).unwrap()
    };
    // Our clock is right: the shorter promise counts, to the fraction of a second.
    assert_eq!(life(Some(now + HOUR), None, None), HOUR);
    assert_eq!(life(Some(now + HOUR), Some(2 * HOUR), Some(now)), HOUR);
    assert_eq!(life(Some(now + 2 * HOUR), Some(HOUR), Some(now)), HOUR);
    // The issuer's clock is five hours ahead of, then behind, ours.
    assert_eq!(life(Some(ahead + HOUR), Some(HOUR), Some(ahead)), HOUR);
    assert_eq!(life(Some(now - 4 * HOUR), Some(HOUR), Some(now - 5 * HOUR)), HOUR);
    // Without its clock, its `expires_in` is believed of a token that seems to have expired, or to live for longer.
    assert_eq!(life(Some(now - 4 * HOUR), Some(HOUR), None), HOUR);
    assert_eq!(life(Some(ahead + HOUR), Some(HOUR), None), HOUR);
    assert_eq!(life(Some(now + HOUR), Some(2 * HOUR), None), HOUR);
    assert_eq!(lifetime(None, None, Hints::default(), now), None);
    // A source of the user's that tells nothing but the token: one from the future lives from its issue.
    let bare = |exp, issued| lifetime(Some(exp), Some(issued), Hints::default(), now).unwrap();
    assert_eq!(bare(ahead + HOUR, ahead), HOUR);
    assert_eq!(bare(now + HOUR / 2, now - HOUR / 2), HOUR / 2);
    assert_eq!(bare(now + HOUR, now + Duration::from_secs(1)), HOUR);
    assert_eq!(bare(now + HOUR, now + 1000 * HOUR), HOUR);
    // A clock that is fast shows by nothing: the token looks as one that has expired.
    assert_eq!(bare(now - HOUR, now - 2 * HOUR), Duration::ZERO);
}

#[test]
fn an_expiry_in_whole_seconds_does_not_shorten_a_life_that_is_known_exactly() {
    const MILLIS: Duration = Duration::from_millis(1);
    let now = SystemTime::now();
    let exact = 3_599_900 * MILLIS;
    for issuer_now in [None, Some(now), Some(now + 2000 * MILLIS)] {
        for expires_in in [3_599_000 * MILLIS, 3_600_000 * MILLIS] {
            let hints = Hints { expires_in: Some(expires_in), expires_on: None, issuer_now };
            assert_eq!(lifetime(Some(now + exact), None, hints, now), Some(exact));
        }
    }
    // By a clock of whole seconds, the date is no more exact.
    let theirs = now + 7_200_000 * MILLIS;
    let hints = Hints { expires_in: Some(3_599_000 * MILLIS), expires_on: None, issuer_now: Some(theirs) };
    assert_eq!(lifetime(Some(theirs + exact), None, hints, now), Some(3_599_000 * MILLIS));
}

proptest::proptest! {
    #[test]
    fn no_token_is_a_reason_to_panic(text in proptest::prelude::any::<String>(), exp in proptest::prelude::any::<f64>()) {
        _ = AccessToken::from_jwt(text.as_str());
        _ = AccessToken::from_jwt(format!("e30.{text}.e30"));
        for exp in [json!(exp), json!(text), json!([exp])] {
            let token = AccessToken::from_jwt(jwt(&json!({"exp": exp, "oid": text})));
            if let Ok(token) = token {
                _ = (token.usable_until(), token.expires_at(), token.remaining());
            }
        }
    }
}
