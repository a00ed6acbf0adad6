//! The command line tools that developers are signed in with.

pub(super) mod azd;
pub(super) mod azure_cli;
mod output;
mod process;

use super::{
    aadsts,
    authority::check_tenant,
    process_env::ProcessEnv,
    token_response::{aadsts_in, first_line},
};
use crate::{
    error::{Error, ErrorKind},
    secret,
    secret::Secret,
    token::{self, AccessToken, Hints, TokenFuture, TokenSource},
};
use process::{Failure, Finished, Process};
use std::time::SystemTime;

/// What one of the tools is called, how it is asked, and how it answers.
pub(super) struct Tool {
    /// What the tokens are said to come from.
    source: &'static str,
    /// Its name, for people.
    title: &'static str,
    program: &'static str,
    program_on_windows: &'static str,
    /// The arguments before the scope.
    arguments: &'static [&'static str],
    tenant_option: &'static str,
    /// What it tells people to run when they are not signed in.
    login: &'static str,
    hint_install: &'static str,
    hint_login: &'static str,
    /// Variables that make it print what it is asked for and nothing else.
    environment: &'static [(&'static str, &'static str)],
    read: fn(&str) -> Option<Printed>,
}

/// A token, as a tool prints it.
struct Printed {
    token: Secret,
    expires_on: Option<SystemTime>,
}

pub(super) struct DeveloperSource {
    tool: &'static Tool,
    process: Process,
}

impl DeveloperSource {
    pub(super) fn new(
        tool: &'static Tool,
        scope: &str,
        tenant_id: Option<&str>,
        env: &ProcessEnv,
    ) -> Result<Self, Error> {
        // It becomes an argument, on Windows one of a batch file: nothing in it may mean anything to a shell or to the
        // tool.
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/".contains(c);
        if scope.starts_with('-') || !scope.chars().all(plain) {
            return Err(Error::config("scope", "must be letters, digits and `-_.:/` only, to be asked of a tool"));
        }
        let mut arguments: Vec<_> = tool.arguments.iter().map(|argument| (*argument).to_owned()).collect();
        arguments.extend(["--scope".to_owned(), scope.to_owned()]);
        if let Some(tenant_id) = tenant_id {
            check_tenant(tenant_id)?;
            arguments.extend([tool.tenant_option.to_owned(), tenant_id.to_owned()]);
        }
        let program = if cfg!(windows) { tool.program_on_windows } else { tool.program };
        let process = Process { program, arguments, environment: tool.environment, path: env.path.clone() };
        Ok(Self { tool, process })
    }

    async fn token(&self) -> Result<AccessToken, Error> {
        let Tool { title, program, login, .. } = *self.tool;
        let unavailable = |problem: &str, hint: &'static str| {
            Error::new(ErrorKind::CredentialUnavailable, format!("{title} (`{program}`) {problem}")).with_hint(hint)
        };
        let whom = format!("{title} (`{program}`)");
        let finished = token::in_time(whom, self.process.run()).await?.map_err(|error| self.not_run(error))?;
        match finished {
            Finished { code: Some(127), .. } => Err(unavailable("is not installed", self.tool.hint_install)),
            Finished { code: Some(0), output, .. } => self.read(&output),
            Finished { output, complaint, .. } if mentions(&output, login) || mentions(&complaint, login) => {
                // The number says why the sign-in is not valid any more.
                let aadsts =
                    [&complaint, &output].into_iter().find_map(|said| aadsts_in(&String::from_utf8_lossy(said)));
                let reason = aadsts.map_or_else(String::new, |code| format!(" (AADSTS{code})"));
                let problem = format!("is not signed in{reason}");
                Err(unavailable(&problem, self.tool.hint_login).with_aadsts(aadsts))
            }
            Finished { code, complaint, output } => Err(self.failed(code, &complaint, &output)),
        }
    }

    fn not_run(&self, error: Failure) -> Error {
        let Tool { title, program, .. } = *self.tool;
        match error {
            Failure::NotFound => {
                Error::new(ErrorKind::CredentialUnavailable, format!("{title} (`{program}`) is not installed"))
                    .with_hint(self.tool.hint_install)
            }
            Failure::Io(source) => {
                Error::new(ErrorKind::CredentialUnavailable, format!("{title} (`{program}`) cannot be run"))
                    .with_source(source)
            }
        }
    }

    pub(super) fn read(&self, output: &[u8]) -> Result<AccessToken, Error> {
        let Tool { title, program, source, .. } = *self.tool;
        let Some(Printed { token, expires_on }) = output::plain(output).and_then(|text| (self.tool.read)(&text)) else {
            let message = format!("{title} (`{program}`) printed something that is not a token");
            return Err(Error::new(ErrorKind::TokenEndpoint, message).with_transient(false));
        };
        let hints = Hints { expires_on, ..Hints::default() };
        AccessToken::from_answer(token, hints).map(|token| token.sourced_from(source))
    }

    /// What it complained about, without whatever may be a secret.
    pub(super) fn failed(&self, code: Option<i32>, complaint: &[u8], output: &[u8]) -> Error {
        let Tool { title, program, .. } = *self.tool;
        let ended =
            code.map_or_else(|| "was ended by a signal".to_owned(), |code| format!("failed with status {code}"));
        let text = String::from_utf8_lossy(complaint);
        let said = telling_line(&text, &tokens_in(output));
        let message = format!("{title} (`{program}`) {ended}{}{said}", if said.is_empty() { "" } else { ": " });
        let aadsts = aadsts_in(&text);
        let error = Error::new(ErrorKind::CredentialRejected, message).with_aadsts(aadsts);
        match aadsts.and_then(aadsts::hint) {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

impl TokenSource for DeveloperSource {
    fn fetch(&self) -> TokenFuture<'_> {
        Box::pin(self.token())
    }
}

fn mentions(text: &[u8], login: &str) -> bool {
    String::from_utf8_lossy(text).contains(login)
}

/// The line that says what went wrong, without `tokens` and whatever else may be a secret: warnings may stand before
/// it.
fn telling_line(complaint: &str, tokens: &[Secret]) -> String {
    let error = complaint.lines().find(|line| line.trim_start().starts_with("ERROR"));
    let line = error.unwrap_or(complaint);
    let known = secret::jwts_in(complaint);
    let line = Secret::scrub_all(tokens.iter().chain(&known), line);
    // Blanked before it is cut: a part of a secret may not be recognized.
    first_line(&secret::scrub_unknown(first_full_line(&line)))
}

fn first_full_line(text: &str) -> &str {
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default()
}

/// What a tool that has failed has given out all the same.
fn tokens_in(output: &[u8]) -> Vec<Secret> {
    secret::jwts_in(&String::from_utf8_lossy(output))
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
