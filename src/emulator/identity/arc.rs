//! The agent of Azure Arc, which gives tokens to those who can read one of its files.

use super::{Grant, imds, request::TokenRequest};
use crate::{emulator::answers::Refusal, lock::lock, uuid};
use std::{collections::HashMap, fs, io, path::PathBuf, sync::Mutex};

/// What tells the agent's requests from those to the Instance Metadata Service.
pub(super) const API_VERSION: &str = "2020-06-01";

/// Where challenges are written, and those that nobody has answered yet, by their content.
#[derive(Default)]
pub(super) struct KeyFiles {
    pub(super) directory: Option<PathBuf>,
    open: HashMap<String, PathBuf>,
}

impl KeyFiles {
    fn write(&mut self) -> io::Result<String> {
        let directory = self.directory.as_ref().ok_or_else(|| io::Error::other("the emulator has no arc_key_dir"))?;
        let id = || uuid::random().map_err(io::Error::other);
        let path = directory.join(format!("{}.key", id()?));
        let content = format!("{}{}", id()?, id()?).replace('-', "");
        fs::write(&path, &content)?;
        let shown = path.to_string_lossy().into_owned();
        self.open.insert(content, path);
        Ok(shown)
    }

    /// Whether it is the content of a file; that file is removed then, since no content counts twice.
    fn redeem(&mut self, content: &str) -> bool {
        self.open.remove(content).is_some_and(|path| {
            // It may be gone already.
            _ = fs::remove_file(path);
            true
        })
    }
}

pub(super) fn grant(request: &TokenRequest, files: &Mutex<KeyFiles>) -> Result<Grant, Refusal> {
    // What cannot be granted is refused before the challenge; there are no user-assigned identities.
    let grant = imds::grant_to(request, &[])?;
    let authorization = request.header("Authorization");
    if authorization.is_empty() {
        let path = lock(files).write();
        let path = path.map_err(|error| Refusal::imds(500, "server_error", &error.to_string()))?;
        return Err(Refusal::challenge(&path));
    }
    let content = authorization.strip_prefix("Basic ").unwrap_or_default();
    if lock(files).redeem(content) {
        Ok(grant)
    } else {
        Err(Refusal::imds(401, "unauthorized_client", "Invalid Basic Authorization header"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::tokens::{RESOURCE, USER_ASSIGNED_CLIENT_ID};
    use std::path::Path;

    fn request() -> TokenRequest {
        TokenRequest::get()
            .with(&[("api-version", API_VERSION), ("resource", RESOURCE)])
            .with_header("Metadata", "true")
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
}
