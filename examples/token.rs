//! Gets one token, shows what it says, and how long it is good for: `cargo run --example token -- --json`.
//!
//! The credential is the one that the `AZURE_*` variables describe, or the kind that `--credential` names. The token
//! itself is shown with `--show-token` only; with it, `redis-cli` can be used by hand:
//! `redis-cli --tls -h HOST -p 10000 --user USER_NAME --askpass`.

use clap::{Parser, ValueEnum};
use entra_redis::{
    AccessToken, ClientCertificate, Credential, Error, ErrorKind, ManagedIdentity, Stage, TokenManagerConfig,
};
use serde_json::{Value, json};
use std::{
    env,
    process::ExitCode,
    time::{Duration, SystemTime},
};
use tokio::time::{Instant, sleep, timeout_at};

/// Whoever asks to be left alone for a while gets more time: an Instance Metadata Service is updated for 70 s at worst.
const LONG_PATIENCE: Duration = Duration::from_secs(90);

/// Between tries, unless the other side asks for more.
const PAUSE: Duration = Duration::from_secs(1);

const SLOW: &str = "check the network, and the proxy if there is one";

/// Gets a token for Azure Managed Redis and shows what it says.
#[derive(Parser)]
struct Options {
    /// The kind of credential; by default the one that the environment describes.
    #[arg(long, value_enum)]
    credential: Option<Kind>,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
    /// Shows the token itself.
    #[arg(long)]
    show_token: bool,
    /// How long to wait for whoever is asked, in seconds; `az` may take more than the default on a slow machine.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    timeout: u32,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// `AZURE_CLIENT_ID`, `AZURE_TENANT_ID`, `AZURE_CLIENT_SECRET`
    Secret,
    /// `AZURE_CLIENT_ID`, `AZURE_TENANT_ID`, `AZURE_CLIENT_CERTIFICATE_PATH`
    Certificate,
    /// System-assigned, or user-assigned by `AZURE_CLIENT_ID`
    ManagedIdentity,
    /// `AZURE_CLIENT_ID`, `AZURE_TENANT_ID`, `AZURE_FEDERATED_TOKEN_FILE`
    Workload,
    /// The Azure CLI, for the tenant `AZURE_TENANT_ID` if that is set
    Az,
    /// The Azure Developer CLI, for the tenant `AZURE_TENANT_ID` if that is set
    Azd,
    /// The default chain, narrowed by `AZURE_TOKEN_CREDENTIALS`
    Default,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = match options.credential.map_or_else(Credential::from_env, credential) {
        Ok(credential) => fetch(&credential, Duration::from_secs(options.timeout.into())).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(token) => {
            let shown = describe(&token, options.show_token);
            if options.json {
                println!("{shown}");
            } else {
                print(&shown);
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            if options.json {
                println!("{}", describe_error(&error));
            }
            ExitCode::FAILURE
        }
    }
}

/// Asks until there is a token, as long as what goes wrong may pass.
async fn fetch(credential: &Credential, mut patience: Duration) -> Result<AccessToken, Error> {
    let source = credential.token_source()?;
    let began = Instant::now();
    let slow = format!("no token within {patience:?}, see `--timeout` (hint: {SLOW})");
    let mut last = Error::new(ErrorKind::Timeout(Stage::Token), slow);
    loop {
        match timeout_at(began + patience, source.fetch()).await {
            Ok(Ok(token)) => return Ok(token),
            Ok(Err(error)) => last = error,
            Err(_) => return Err(last),
        }
        let pause = last.retry_after().unwrap_or(PAUSE);
        if last.retry_after().is_some() {
            patience = patience.max(LONG_PATIENCE);
        }
        if !last.is_transient() || began.elapsed() + pause >= patience {
            return Err(last);
        }
        sleep(pause).await;
    }
}

/// The credential of this kind, from the variables that it needs.
fn credential(kind: Kind) -> Result<Credential, Error> {
    let credential = match kind {
        Kind::Secret => Credential::service_principal(
            needed("AZURE_CLIENT_ID")?,
            needed("AZURE_CLIENT_SECRET")?,
            needed("AZURE_TENANT_ID")?,
        ),
        Kind::Certificate => {
            let path = needed("AZURE_CLIENT_CERTIFICATE_PATH")?;
            let password = variable("AZURE_CLIENT_CERTIFICATE_PASSWORD").unwrap_or_default();
            let certificate = ClientCertificate::file(path, password);
            let send_chain = variable("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN");
            let send_chain = send_chain.is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true"));
            Credential::client_certificate(
                needed("AZURE_CLIENT_ID")?,
                certificate.send_chain(send_chain),
                needed("AZURE_TENANT_ID")?,
            )
        }
        Kind::ManagedIdentity => Credential::managed_identity(
            variable("AZURE_CLIENT_ID").map_or(ManagedIdentity::SystemAssigned, ManagedIdentity::UserAssignedClientId),
        ),
        Kind::Workload => Credential::workload_identity(),
        Kind::Az => of_tenant(Credential::azure_cli()),
        Kind::Azd => of_tenant(Credential::azure_developer_cli()),
        Kind::Default => Credential::default_chain(),
    };
    Ok(match variable("AZURE_AUTHORITY_HOST") {
        Some(host) => credential.authority_host(host),
        None => credential,
    })
}

fn of_tenant(credential: Credential) -> Credential {
    match variable("AZURE_TENANT_ID") {
        Some(tenant_id) => credential.tenant_id(tenant_id),
        None => credential,
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn needed(name: &str) -> Result<String, Error> {
    variable(name).ok_or_else(|| Error::new(ErrorKind::Configuration, format!("`{name}` is not set")))
}

fn describe(token: &AccessToken, show_token: bool) -> Value {
    let refresh_after = TokenManagerConfig::new().refresh_after(token);
    let received_at = token.expires_at() - token.lifetime();
    let mut shown = json!({
        "user_name": token.username(),
        "audience": token.audience(),
        "tenant_id": token.tenant_id(),
        "expires_at": rfc3339(token.expires_at()),
        "next_refresh_at": rfc3339(received_at + refresh_after),
        "source": token.source(),
    });
    if show_token {
        shown["token"] = json!(token.secret().expose());
    }
    shown
}

fn describe_error(error: &Error) -> Value {
    let kind = match error.kind() {
        ErrorKind::Timeout(_) => "Timeout".to_owned(),
        kind => format!("{kind:?}"),
    };
    let text = error.to_string();
    let hint = error.hint().or(text.contains(SLOW).then_some(SLOW));
    json!({"error": text, "kind": kind, "aadsts": error.aadsts(), "hint": hint})
}

fn print(shown: &Value) {
    for (title, name) in [
        ("user name", "user_name"),
        ("audience", "audience"),
        ("tenant", "tenant_id"),
        ("expires", "expires_at"),
        ("next refresh", "next_refresh_at"),
        ("source", "source"),
        ("token", "token"),
    ] {
        if let Some(value) = shown.get(name) {
            println!("{title:<14}{}", value.as_str().unwrap_or("(unknown)"));
        }
    }
}

/// In UTC, to the second.
fn rfc3339(time: SystemTime) -> Option<String> {
    let time = jiff::Timestamp::try_from(time).ok()?;
    Some(time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}
