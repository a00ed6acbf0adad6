//! The tools that developers are signed in with, played by scripts.

use std::{fs, os::unix::fs::PermissionsExt};
use tempfile::TempDir;

/// A directory to be the whole `PATH`.
pub struct Tools(TempDir);

impl Tools {
    /// Programs of these names, each a script for a shell that finds no others.
    pub fn new(scripts: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, script) in scripts {
            let path = dir.path().join(name);
            fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self(dir)
    }

    pub fn path(&self) -> String {
        self.0.path().display().to_string()
    }
}

/// A script that prints this.
pub fn prints(text: &str) -> String {
    assert!(!text.contains('\''));
    format!("printf '%s' '{text}'")
}
