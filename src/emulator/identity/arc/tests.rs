use super::*;
use crate::emulator::tokens::{RESOURCE, USER_ASSIGNED_CLIENT_ID};
use std::path::Path;

fn request() -> TokenRequest {
    TokenRequest::get().with(&[("api-version", API_VERSION), ("resource", RESOURCE)]).with_header("Metadata", "true")
}

#[test]
fn a_challenge_is_good_for_one_token() {
    let directory = tempfile::tempdir().unwrap();
    let files = Mutex::new(KeyFiles { directory: Some(directory.path().to_owned()), ..KeyFiles::default() });
    let challenge = grant(&request(), &files).unwrap_err();
    assert_eq!(challenge.status(), 401);
    let path = Path::new(challenge.realm().unwrap());
    assert_eq!((path.parent(), path.extension()), (Some(directory.path()), Some(std::ffi::OsStr::new("key"))));

    let authorization = format!("Basic {}", fs::read_to_string(path).unwrap());
    assert!(grant(&request().with_header("Authorization", "Basic guessed"), &files).unwrap_err().realm().is_none());
    assert!(grant(&request().with_header("Authorization", &authorization), &files).is_ok());
    assert!(!path.exists());
    let again = grant(&request().with_header("Authorization", &authorization), &files).unwrap_err();
    assert_eq!(again.status(), 401);
}

#[test]
fn what_cannot_be_granted_is_refused_without_a_challenge() {
    let files = Mutex::default();
    let user_assigned = request().with(&[("client_id", USER_ASSIGNED_CLIENT_ID)]);
    assert_eq!(grant(&user_assigned, &files).unwrap_err().status(), 400);
    // Nor is there one without a directory for it.
    assert_eq!(grant(&request(), &files).unwrap_err().status(), 500);
}
