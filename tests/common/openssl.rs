//! The `openssl` program, which knows all about certificates and nothing about this crate.

use super::logs::{self, Watch};
use std::{
    fs,
    path::PathBuf,
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

/// It works in a directory of its own. While it lives the logs are searched for secrets.
pub struct OpenSsl(TempDir, Watch);

impl OpenSsl {
    pub fn in_a_directory() -> Self {
        Self(tempfile::tempdir().unwrap(), logs::watch())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    /// Runs it with these arguments, which are the words of a text; returns what it prints.
    pub fn run(&self, arguments: &str) -> String {
        let output = self.output(arguments);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments}: {complaint}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Whether it ends with an error.
    pub fn refuses(&self, arguments: &str) -> bool {
        !self.output(arguments).status.success()
    }

    fn output(&self, arguments: &str) -> Output {
        let mut command = Command::new("openssl");
        command.args(arguments.split(' ')).current_dir(self.0.path()).stdin(Stdio::null());
        command.output().expect("openssl is needed for this test: `make test` installs it")
    }
}
