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
mod tests;
