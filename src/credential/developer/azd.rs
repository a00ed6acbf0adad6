//! The Azure Developer CLI, `azd`.

use super::{Printed, Tool, output};
use crate::{credential::expiry, secret::Secret};
use serde::Deserialize;
use serde_json::Value;

pub(in crate::credential) static TOOL: Tool = Tool {
    source: "azure-developer-cli",
    title: "the Azure Developer CLI",
    program: "azd",
    program_on_windows: "azd.exe",
    arguments: &["auth", "token", "-o", "json", "--no-prompt"],
    tenant_option: "--tenant-id",
    login: "azd auth login",
    hint_install: "install the Azure Developer CLI (https://aka.ms/azd), or use another credential",
    hint_login: "run `azd auth login`",
    environment: &[("NO_COLOR", "1"), ("AZD_SKIP_UPDATE_CHECK", "true")],
    read,
};

#[derive(Deserialize)]
struct AzdToken {
    token: String,
    #[serde(default, rename = "expiresOn")]
    expires_on: Value,
}

fn read(text: &str) -> Option<Printed> {
    let answer: AzdToken = output::first_json(text)?;
    Some(Printed { expires_on: expiry::moment(&answer.expires_on), token: Secret::new(answer.token) })
}
