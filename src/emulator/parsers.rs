//! The emulator's parsers for the fuzz targets.

use super::{
    identity::{assertion, request},
    resp, store,
};
use std::collections::HashMap;

/// The arguments of a request, and how many bytes it takes.
pub type Request = (Vec<Vec<u8>>, usize);

/// The arguments of the request at the start of `bytes`, and its length; none if it is not there in whole.
///
/// # Errors
///
/// The reply to what is no request.
pub fn request(bytes: &[u8]) -> Result<Option<Request>, String> {
    Ok(resp::parse_request(bytes)?.map(|request| (request.args, request.len)))
}

/// The length of the reply at the start of `bytes`; none if it is not there in whole.
///
/// # Errors
///
/// What is wrong with it.
pub fn reply_len(bytes: &[u8]) -> Result<Option<usize>, String> {
    resp::frame_len(bytes)
}

/// The fields of a form.
#[must_use]
pub fn form(body: &[u8]) -> HashMap<String, String> {
    request::form(body)
}

/// Who says that it has written an assertion.
#[must_use]
pub fn issuer(assertion: &str) -> Option<String> {
    assertion::issuer(assertion)
}

/// What the store answers to these requests over one connection, in RESP3 once they ask for it.
#[must_use]
pub fn commands(requests: &[u8]) -> Vec<u8> {
    store::answers(requests)
}
