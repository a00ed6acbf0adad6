//! The targets, by what they read.

mod certificates;
mod emulator;
mod endpoints;
mod replies;
mod secrets;

pub use certificates::{pem, pkcs12};
pub use emulator::{emulator_commands, emulator_form, emulator_request};
pub use endpoints::{arc_challenge, expires_on, http_headers, imds_answer, jwt, token_answer, tool_output};
pub use replies::{resp_push, resp_reply};
pub use secrets::secret_scrub;

/// A secret without a piece that occurs in words.
const SECRET: &str = "qX7~Zk9_wJ4.vB2-hN8pL5mT3rG6";

/// A token in form, signed by nobody.
const TOKEN: &str = "eyJhbGciOiJub25lIn0.eyJvaWQiOiJmdXp6IiwiZXhwIjo5OTk5OTk5OTk5fQ.qX7-Zk9_wJ4-vB2_hN8pL5mT3rG6sD1f";

/// Panics if `shown` has six characters of `secret` in a row.
fn assert_hidden(secret: &str, shown: &str) {
    let chars: Vec<char> = secret.chars().collect();
    for six in chars.windows(6) {
        let six: String = six.iter().collect();
        assert!(!shown.contains(&six), "{six:?} of the secret is in {shown:?}");
    }
}

/// All that an error says.
fn shown(error: &entra_redis::Error) -> String {
    let mut shown = format!("{error} {error:?} {:?} {:?}", error.hint(), error.correlation_id());
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        shown.push_str(&format!(" {error} {error:?}"));
        source = error.source();
    }
    shown
}

/// The bytes before and after the first one that is `0`, which texts seldom have.
fn halves(data: &[u8]) -> (&[u8], &[u8]) {
    let at = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    (&data[..at], data.get(at + 1..).unwrap_or_default())
}
