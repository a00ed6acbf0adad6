//! One token: whether it can be had, whose it is and what for, and what the clock says.

use super::{
    Doctor,
    advice::{Advice, SET_CLOCK},
    cause::Cause,
    report::Finding,
};
use crate::{
    credential::Credential,
    error::{Error, ErrorKind, Stage},
    ids::UserName,
    token::{AccessToken, RequestLimit},
};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// How long there may be no token: the default of `token_request_execution_timeout`.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between tries.
const PAUSE: Duration = Duration::from_secs(1);

/// A clock that is wrong by more is told of: tokens and certificates have some minutes of tolerance.
const CLOCK_TOLERANCE: f64 = 60.0;

/// Tokens that live shorter are no good for a service.
const SHORT: Duration = Duration::from_secs(300);

/// What tokens for Redis are for, as Microsoft Entra ID says it.
const AUDIENCES: [&str; 2] = ["https://redis.azure.com", "acca5fbb-b7e4-4009-81f1-37e38fd66d78"];

/// The principal, by its token.
pub(super) struct Identity {
    pub(super) token: AccessToken,
    /// The application's id, as the token has it.
    pub(super) app_id: Option<String>,
    /// The groups that it is a member of, as far as the token names them.
    pub(super) groups: Vec<String>,
    /// Seconds by which this machine's clock is ahead.
    pub(super) clock_ahead: Option<f64>,
}

/// Claims that nothing but the doctor reads.
#[derive(Default, Deserialize)]
struct ShownClaims {
    #[serde(default)]
    appid: Value,
    #[serde(default)]
    azp: Value,
    #[serde(default)]
    groups: Value,
}

impl Identity {
    fn new(token: AccessToken) -> Self {
        let claims: ShownClaims =
            jsonwebtoken::dangerous::insecure_decode_claims(token.secret().expose()).unwrap_or_default();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let app_id = text(&claims.appid).or_else(|| text(&claims.azp));
        let groups = claims.groups.as_array().into_iter().flatten().filter_map(text).collect();
        let clock_ahead = token.clock_ahead();
        Self { token, app_id, groups, clock_ahead }
    }
}

pub(super) async fn look(doctor: &Doctor, advice: &Advice) -> (Finding, Option<Identity>) {
    let Ok(credential) = &doctor.credential else {
        return (Finding::not_reached("the settings describe no credential"), None);
    };
    match fetch(credential).await {
        Ok(token) => {
            let identity = Identity::new(token);
            (judge(&identity, doctor, advice), Some(identity))
        }
        Err(error) => {
            let cause = Cause::of_token(credential, &error);
            (Finding::failed(cause, credential.told(&error), advice.for_token(cause)), None)
        }
    }
}

/// Asks until there is a token, as long as what goes wrong may pass.
async fn fetch(credential: &Credential) -> Result<AccessToken, Error> {
    let source = credential.token_source()?;
    let end = Instant::now() + PATIENCE;
    let mut last = Error::new(ErrorKind::Timeout(Stage::Token), format!("no token within {PATIENCE:?}"));
    loop {
        let request = RequestLimit::new(PATIENCE, PATIENCE).known_to(source.fetch());
        match timeout_at(end, request).await {
            Ok(Ok(token)) => return Ok(token),
            Ok(Err(error)) => last = error,
            Err(_) => return Err(last),
        }
        let pause = last.retry_after().unwrap_or(PAUSE);
        if !last.is_transient() || Instant::now() + pause >= end {
            return Err(last);
        }
        sleep(pause).await;
    }
}

fn judge(identity: &Identity, doctor: &Doctor, advice: &Advice) -> Finding {
    let token = &identity.token;
    let unknown = || "(unknown)";
    let source = token.source().unwrap_or("a source of your own");
    let tenant = token.tenant_id().unwrap_or_else(unknown);
    let audience = token.audience().unwrap_or_else(unknown);
    let detail = format!(
        "for the object id {} of tenant {tenant}, audience {audience}, from {source}, good for {}{}",
        token.user_name().map_or_else(unknown, UserName::shown),
        rounded(token.lifetime()),
        clock_in_words(identity.clock_ahead),
    );
    if token.username().is_none() && doctor.username().is_none() {
        return Finding::failed(
            Cause::ObjectIdMissing,
            format!("{detail}; the token does not say whose it is, and no user name is set"),
            advice.again(&[("--username", "<OBJECT_ID>")]),
        );
    }
    if token.audience().is_some_and(|audience| !AUDIENCES.contains(&audience.trim_end_matches('/'))) {
        return Finding::failed(
            Cause::AudienceWrong,
            format!("{detail}; that is not Redis: the scope must be https://redis.azure.com/.default"),
            "az account get-access-token --scope https://redis.azure.com/.default --query expiresOn",
        );
    }
    if let (Some(wanted), Some(tenant)) = (&advice.tenant_id, token.tenant_id())
        && wanted.len() == tenant.len()
        && !wanted.eq_ignore_ascii_case(tenant)
    {
        return Finding::failed(
            Cause::GuestInOtherTenant,
            format!("{detail}; tenant {wanted} was asked for: an object id counts in its own tenant alone"),
            advice.for_token(Cause::GuestInOtherTenant),
        );
    }
    if identity.clock_ahead.is_some_and(|ahead| ahead.abs() > CLOCK_TOLERANCE) {
        let what = "tokens are counted by their issuer's clock, but certificates and logs are not";
        return Finding::warning(Cause::ClockOff, format!("{detail}; {what}"), SET_CLOCK);
    }
    if token.lifetime() < SHORT {
        return Finding::warning(
            Cause::TokenShortLived,
            format!("{detail}; a token is renewed three minutes before its end, or after 0.7 of its life"),
            "az account get-access-token --scope https://redis.azure.com/.default --query expiresOn",
        );
    }
    Finding::ok(detail)
}

fn clock_in_words(ahead: Option<f64>) -> String {
    match ahead {
        None => String::new(),
        Some(ahead) if ahead.abs() < 2.0 => ", and this machine's clock is right".to_owned(),
        Some(ahead) => {
            let way = if ahead > 0.0 { "ahead of" } else { "behind" };
            let apart = rounded(Duration::try_from_secs_f64(ahead.abs()).unwrap_or_default());
            format!(", and this machine's clock is {apart} {way} the issuer's")
        }
    }
}

/// `45 s`, `59 min`, `2 h 10 min`.
pub(super) fn rounded(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ if seconds % 3600 < 60 => format!("{} h", seconds / 3600),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}
