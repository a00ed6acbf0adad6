//! `entra-redis token`: one token, what it says, and how long it is good for.

use crate::{
    credential::{self, Kind},
    failure::Failure,
    terminal::{self, Colour},
};
use clap::Args;
use entra_redis::{AccessToken, Credential, Error, ErrorKind, Stage, TokenManagerConfig};
use serde_json::{Value, json};
use std::{
    io::{self, Write, stdout},
    process::ExitCode,
    time::{Duration, SystemTime},
};
use tokio::time::{Instant, sleep, timeout_at};

/// Whoever asks to be left alone for a while gets more time: an Instance Metadata Service is updated for 70 s at worst.
const LONG_PATIENCE: Duration = Duration::from_secs(90);

/// Between tries, unless the other side asks for more.
const PAUSE: Duration = Duration::from_secs(1);

const SLOW: &str = "check the network, and the proxy if there is one";

/// Gets a token for Azure Managed Redis, and shows whose it is and how long it is good for.
///
/// The credential is the one that the `AZURE_*` variables describe, or the kind that `--credential` names. The token
/// itself is shown with `--show-token` only.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
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

const EXAMPLES: &str = "\
Examples:
  entra-redis token                                 whom this environment signs in as
  entra-redis token --credential az --json          your own account, for a script
  entra-redis token --timeout 30                    where `az` is slow

  With the token itself, redis-cli can be used by hand. Its user name is the object id that is shown:
  export REDISCLI_AUTH=$(entra-redis token --json --show-token | jq -r .token)
  redis-cli --tls -h HOST -p 10000 --user OBJECT_ID

Exit status: 0 with a token, 1 without one.";

pub(crate) async fn run(options: &Options) -> Result<ExitCode, Failure> {
    let work = async {
        match options.credential.map_or_else(Credential::from_env, credential::of_kind) {
            Ok(credential) => fetch(&credential, Duration::from_secs(options.timeout.into())).await,
            Err(error) => Err(error),
        }
    };
    let outcome = tokio::select! {
        outcome = work => outcome,
        _ = terminal::interrupted() => return Err("interrupted before there was a token".to_owned().into()),
    };
    match outcome {
        Ok(token) => {
            let shown = describe(&token, options.show_token);
            if options.json {
                writeln!(stdout(), "{shown}")?;
            } else {
                print(&shown)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            let failed = Failure::from(error.clone()).tell();
            if options.json {
                writeln!(stdout(), "{}", describe_error(&error))?;
            }
            Ok(failed)
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

fn print(shown: &Value) -> io::Result<()> {
    let screen = terminal::of_output();
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
            let title = screen.paint(Colour::Cyan, &format!("{title:<14}"));
            writeln!(stdout(), "{title}{}", value.as_str().unwrap_or("(unknown)"))?;
        }
    }
    Ok(())
}

/// In UTC, to the second.
fn rfc3339(time: SystemTime) -> Option<String> {
    let time = jiff::Timestamp::try_from(time).ok()?;
    Some(time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}
