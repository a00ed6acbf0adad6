use super::*;
use crate::error::Stage;

#[test]
fn outcomes_are_told_apart() {
    let of = |kind| outcome::<()>(&Err(Error::new(kind, "test")));
    assert_eq!(outcome(&Ok(())), "ok");
    assert_eq!(of(ErrorKind::Timeout(Stage::Auth)), "timed_out");
    assert_eq!(of(ErrorKind::AuthenticationRejected), "rejected");
    assert_eq!(of(ErrorKind::CredentialRejected), "rejected");
    assert_eq!(of(ErrorKind::Connect), "failed");
}
