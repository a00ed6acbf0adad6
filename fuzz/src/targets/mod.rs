//! The targets, by what they read.

mod certificates;
mod cluster;
mod emulator;
mod endpoints;
mod replies;
mod secrets;

pub use certificates::{pem, pkcs12};
pub use cluster::{cluster_address, cluster_redirect, cluster_slots};
pub use emulator::{emulator_commands, emulator_form, emulator_request};
pub use endpoints::{arc_challenge, expires_on, http_headers, imds_answer, jwt, token_answer, tool_output};
pub use replies::{resp_push, resp_reply};
pub use secrets::secret_scrub;

use std::{error::Error as StdError, iter};

/// A secret without a piece that occurs in words.
const SECRET: &str = "qX7~Zk9_wJ4.vB2-hN8pL5mT3rG6";

/// A token in form. No piece of it occurs in the corpus, whose tokens have parts in common with all others.
const TOKEN: &str =
    "eyJgtD7fGUOv8fwNfBb0jXxU.eyJJR4QQAAabVVloZaXZxmCu1VShIqmArIntn9oX98W.HgCtzC1uwB5FXZPf7stg7NvlE3LaruSr";

/// Six characters of `secret` in a row that are in `text`.
fn piece_in(secret: &str, text: &str) -> Option<String> {
    let chars: Vec<char> = secret.chars().collect();
    chars.windows(6).map(|six| six.iter().collect::<String>()).find(|six| text.contains(six))
}

fn assert_hidden(secret: &str, shown: &str) {
    if let Some(piece) = piece_in(secret, shown) {
        panic!("{piece:?} of the secret is in {shown:?}");
    }
}

/// All that an error says.
fn shown(error: &entra_redis::Error) -> String {
    let first: &(dyn StdError + 'static) = error;
    let causes = iter::successors(Some(first), |error: &&(dyn StdError + 'static)| (*error).source());
    let said: Vec<_> = causes.map(|error| format!("{error} {error:?}")).collect();
    format!("{} {:?} {:?}", said.join(" "), error.hint(), error.correlation_id())
}

/// The bytes before and after the first one that is `0`, which texts seldom have.
fn halves(data: &[u8]) -> (&[u8], &[u8]) {
    let at = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    (&data[..at], data.get(at + 1..).unwrap_or_default())
}
