//! The Azure CLI, `az`.

use super::{Printed, Tool, output};
use crate::{credential::expiry, secret::Secret};
use serde::Deserialize;
use serde_json::Value;

pub(in crate::credential) static TOOL: Tool = Tool {
    source: "azure-cli",
    title: "the Azure CLI",
    program: "az",
    program_on_windows: "az.cmd",
    arguments: &["account", "get-access-token", "-o", "json"],
    tenant_option: "--tenant",
    login: "az login",
    hint_install: "install the Azure CLI (https://aka.ms/azure-cli), or use another credential",
    hint_login: "run `az login`",
    // The last two are for Python: it prints UTF-8 on every machine, and no warnings of its own.
    environment: &[
        ("NO_COLOR", "1"),
        ("AZURE_CORE_NO_COLOR", "true"),
        ("AZURE_CORE_ONLY_SHOW_ERRORS", "true"),
        ("AZURE_CORE_SURVEY_MESSAGE", "false"),
        ("AZURE_CORE_DISABLE_PROGRESS_BAR", "true"),
        ("PYTHONIOENCODING", "utf-8"),
        ("PYTHONWARNINGS", "ignore"),
    ],
    read,
};

#[derive(Deserialize)]
struct CliToken {
    #[serde(rename = "accessToken")]
    access_token: String,
    #[serde(default)]
    expires_on: Value,
    /// Local time without a zone: ambiguous twice a year, and all that the CLI says before its version 2.54.
    #[serde(default, rename = "expiresOn")]
    local_expires_on: Value,
}

fn read(text: &str) -> Option<Printed> {
    let answer: CliToken = output::first_json(text)?;
    let local = || answer.local_expires_on.as_str().and_then(expiry::local_moment);
    let expires_on = expiry::moment(&answer.expires_on).or_else(local);
    Some(Printed { token: Secret::new(answer.access_token), expires_on })
}
