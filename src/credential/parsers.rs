//! The parsers of this room for the fuzz targets: the same functions that a token request uses, without the request.

use super::{
    certificate::ClientCertificate,
    developer::{DeveloperSource, Tool, azd, azure_cli},
    expiry,
    http::{self, HttpAnswer},
    managed_identity::{arc, recognition},
    process_env::ProcessEnv,
    token_response::{self, Issuer},
};
use crate::{error::Error, secret::Secret, token::AccessToken};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

fn answered(status: u16, body: &[u8], secret: Option<&Secret>) -> HttpAnswer {
    HttpAnswer {
        status,
        retry_after: None,
        date: None,
        challenge: None,
        server: None,
        is_microsofts: false,
        body: body.to_vec().into(),
        is_plain_text: false,
        secret: secret.cloned(),
        client_id: String::new(),
    }
}

/// What Entra ID (0), IMDS (1) or another endpoint of a machine says in answer to a request that carried `secret`.
///
/// # Errors
///
/// As for a token request.
pub fn token_answer(issuer: u8, status: u16, body: &[u8], secret: &Secret) -> Result<AccessToken, Error> {
    let issuer = match issuer {
        0 => Issuer::Entra,
        1 => Issuer::Imds,
        _ => Issuer::Machine,
    };
    token_response::token(&answered(status, body, Some(secret)), "https://login.example", issuer)
}

/// What an answer says that is no token.
#[must_use]
pub fn told(status: u16, body: &[u8]) -> String {
    token_response::told(&answered(status, body, None))
}

/// Whether an answer with this `Server` header, or one with a header of Microsoft's, is from IMDS; whether it is JSON.
#[must_use]
pub fn imds(status: u16, server: Option<&str>, is_microsofts: bool, body: &[u8]) -> (bool, bool) {
    let answer = HttpAnswer { server: server.map(str::to_owned), is_microsofts, ..answered(status, body, None) };
    (recognition::is_imds(&answer), recognition::is_json(&answer))
}

/// The moment that `expires_on` names as a JSON value.
#[must_use]
pub fn moment(value: &Value) -> Option<SystemTime> {
    expiry::moment(value)
}

/// The moment that a date of this machine's time zone names.
#[must_use]
pub fn local_moment(text: &str) -> Option<SystemTime> {
    expiry::local_moment(text)
}

/// The time that `expires_in` names as a JSON value.
#[must_use]
pub fn seconds(value: &Value) -> Option<Duration> {
    expiry::seconds(value)
}

/// The delay that a `Retry-After` header names.
#[must_use]
pub fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    http::retry_after(text, now)
}

/// The path that a challenge of Azure Arc's agent names.
#[must_use]
pub fn arc_realm(challenge: &str) -> Option<PathBuf> {
    arc::realm(challenge)
}

/// The content of the challenge file at `path`.
///
/// # Errors
///
/// If it is none of the files in `tokens`, or cannot be read.
pub fn arc_key(path: &Path, tokens: &Path) -> Result<Secret, Error> {
    arc::read_key(path, tokens)
}

fn tool(is_azd: bool) -> Result<DeveloperSource, Error> {
    let tool: &'static Tool = if is_azd { &azd::TOOL } else { &azure_cli::TOOL };
    DeveloperSource::new(tool, super::REDIS_SCOPE, None, &ProcessEnv::of_process())
}

/// The token in what `az` or `azd` printed.
///
/// # Errors
///
/// If there is none.
pub fn tool_output(is_azd: bool, output: &[u8]) -> Result<AccessToken, Error> {
    tool(is_azd)?.read(output)
}

/// The error for a tool that printed this and failed.
#[must_use]
pub fn tool_failure(is_azd: bool, complaint: &[u8], output: &[u8]) -> Error {
    tool(is_azd).map_or_else(|error| error, |tool| tool.failed(Some(1), complaint, output))
}

/// Reads a certificate with its key as a token request does; the error says why it cannot be used.
///
/// # Errors
///
/// As for a token request.
pub fn load_certificate(certificate: &ClientCertificate) -> Result<(), Error> {
    certificate.load().map(|_| ())
}

/// BER as the DER that is read here.
///
/// # Errors
///
/// If it is no BER.
#[cfg(feature = "pkcs12")]
pub fn der(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let der = super::certificate::der(bytes).ok_or_else(|| Error::config("certificate", "is no BER"))?;
    Ok(der.to_vec())
}
