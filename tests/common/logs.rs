//! Everything that is logged, at TRACE, by every crate, is searched for secrets.

use std::{
    io::{self, Write},
    sync::{Mutex, Once, PoisonError},
};

/// What no log line may hold: the start of every JWT, and the emulators' secrets.
static FORBIDDEN: Mutex<Vec<String>> = Mutex::new(Vec::new());
static LEAKS: Mutex<Vec<String>> = Mutex::new(Vec::new());
static START: Once = Once::new();

/// Searches all logs of this process from now on; fails the test when dropped if a secret was found.
#[must_use]
pub fn watch() -> Watch {
    START.call_once(|| {
        forbid("eyJ");
        // A program may have a subscriber of its own already, which searches what it is told itself.
        _ = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(|| Search).try_init();
    });
    Watch
}

/// Adds a secret to search for.
pub fn forbid(secret: &str) {
    let mut forbidden = FORBIDDEN.lock().unwrap_or_else(PoisonError::into_inner);
    if forbidden.iter().all(|known| known != secret) {
        forbidden.push(secret.to_owned());
    }
}

/// Searches a text that a user would see.
pub fn check(text: &str) {
    let forbidden = FORBIDDEN.lock().unwrap_or_else(PoisonError::into_inner);
    if forbidden.iter().any(|secret| text.contains(secret)) {
        LEAKS.lock().unwrap_or_else(PoisonError::into_inner).push(text.to_owned());
    }
}

#[derive(Debug)]
pub struct Watch;

impl Drop for Watch {
    fn drop(&mut self) {
        let leaks = LEAKS.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::thread::panicking() {
            assert!(leaks.is_empty(), "secrets were shown: {:?}", leaks.first());
        }
    }
}

struct Search;

impl Write for Search {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        check(&String::from_utf8_lossy(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
