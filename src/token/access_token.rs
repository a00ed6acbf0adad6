//! One access token, and how long it may be used.

use crate::{
    error::{Error, ErrorKind},
    ids::UserName,
    secret::Secret,
};
use serde::Deserialize;
use serde_json::Value;
use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::time::Instant;

/// An access token with its life: the moment it was received (on the monotonic clock) and how long it lives from there.
///
/// Counting from the moment of receipt makes the schedule immune to a wrong wall clock whenever the issuer says how
/// long the token lives.
#[derive(Clone)]
pub struct AccessToken {
    secret: Secret,
    username: Option<UserName>,
    audience: Option<String>,
    tenant_id: Option<String>,
    source: Option<&'static str>,
    lifetime: Duration,
    received_at: Instant,
    received_wall: SystemTime,
    /// The issuer's clock when it was received, if its answer said.
    #[cfg(feature = "cli")]
    issuer_wall: Option<SystemTime>,
}

/// What an issuer says about a token beside the token itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hints {
    /// How long the token lives from now on, as the issuer says.
    pub(crate) expires_in: Option<Duration>,
    /// When the token expires, by the issuer's clock.
    pub(crate) expires_on: Option<SystemTime>,
    /// The issuer's clock now.
    pub(crate) issuer_now: Option<SystemTime>,
}

/// The claims this crate reads. It is not the token's audience, so there is nothing for it to verify.
#[derive(Deserialize)]
struct TokenClaims {
    // None of them is what makes a token a JWT: whatever is odd about one is told of that one, if it is needed.
    #[serde(default)]
    exp: Value,
    #[serde(default)]
    oid: Value,
    #[serde(default)]
    iat: Value,
    #[serde(default)]
    aud: Value,
    #[serde(default)]
    tid: Value,
}

/// The longest life a token is believed to have; keeps additions to clocks from overflowing.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// How long before its expiry a token counts as expired, if that is less than a twentieth of its life: commands in
/// flight get their replies before the server closes the connection.
const LAST_MOMENT: Duration = Duration::from_millis(250);

/// Differences of clocks below this are the rounding of `Date` and the travel of the answer, not a wrong clock.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);

/// By how much `expires_in` may differ from a date because it is in whole seconds.
const ROUNDING: Duration = Duration::from_secs(1);

impl AccessToken {
    /// A JWT, received now: its `exp` claim says when it expires, its `oid` claim is the Redis user name.
    ///
    /// The life it has left is counted by this machine's clock, or from its `iat` claim if that lies in the future, as
    /// with a clock that is slow. Where the issuer says how long the token lives, [`opaque`](Self::opaque) is right
    /// whatever the clock says.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MalformedToken`] if `jwt` is empty, not a JWT, has no `exp`, or has expired.
    pub fn from_jwt(jwt: impl Into<Secret>) -> Result<Self, Error> {
        Self::from_answer(jwt.into(), Hints::default())
    }

    /// A token of any form, received now, with its life and the Redis user name that goes with it; an empty one leaves
    /// that to [`Config::username`](crate::Config::username).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MalformedToken`] if `token` is empty or `expires_in` is zero.
    pub fn opaque(token: impl Into<Secret>, expires_in: Duration, username: impl Into<String>) -> Result<Self, Error> {
        let token = token.into();
        if token.expose().is_empty() {
            return Err(malformed("the token is empty"));
        }
        Self::received_now(token, Some(UserName::new(username.into())).filter(|name| !name.is_blank()), expires_in)
    }

    pub(crate) fn from_answer(secret: Secret, hints: Hints) -> Result<Self, Error> {
        if secret.expose().is_empty() {
            return Err(malformed("the token is empty"));
        }
        // The source is left out: it may quote what it could not read.
        let claims: TokenClaims = jsonwebtoken::dangerous::insecure_decode_claims(secret.expose())
            .map_err(|_| malformed("the token is not a JWT"))?;
        let issued = claims.iat.as_f64().and_then(wall_time);
        let lifetime = lifetime(claims.exp.as_f64().and_then(wall_time), issued, hints, SystemTime::now())
            .ok_or_else(|| malformed(no_end(&claims.exp)))?;
        let oid = text(claims.oid).filter(|oid| !oid.is_empty());
        let mut token = Self::received_now(secret, oid.map(UserName::new), lifetime)?;
        token.audience = match claims.aud {
            // RFC 7519 allows a list; the first one says what the token is for.
            Value::Array(audiences) => audiences.into_iter().next().and_then(text),
            audience => text(audience),
        };
        token.tenant_id = text(claims.tid);
        #[cfg(feature = "cli")]
        {
            token.issuer_wall = hints.issuer_now;
        }
        Ok(token)
    }

    /// The same token, with the kind of credential that got it.
    pub(crate) fn sourced_from(mut self, source: &'static str) -> Self {
        self.source = Some(source);
        self
    }

    fn received_now(secret: Secret, username: Option<UserName>, lifetime: Duration) -> Result<Self, Error> {
        if lifetime.is_zero() {
            return Err(malformed(
                "the token had already expired when it came; check this machine's clock and the token source",
            )
            .with_transient(true));
        }
        Ok(Self {
            secret,
            username,
            audience: None,
            tenant_id: None,
            source: None,
            lifetime: lifetime.min(LONGEST),
            received_at: Instant::now(),
            received_wall: SystemTime::now(),
            #[cfg(feature = "cli")]
            issuer_wall: None,
        })
    }

    /// The token itself.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// The Redis user name that goes with the token: its `oid` claim, the principal's object id.
    #[must_use]
    pub fn username(&self) -> Option<&str> {
        self.username.as_ref().map(UserName::expose)
    }

    /// The same, as it is shown.
    pub(crate) fn user_name(&self) -> Option<&UserName> {
        self.username.as_ref()
    }

    /// What the token is for: its `aud` claim.
    #[must_use]
    pub fn audience(&self) -> Option<&str> {
        self.audience.as_deref()
    }

    /// The tenant that issued the token: its `tid` claim.
    #[must_use]
    pub fn tenant_id(&self) -> Option<&str> {
        self.tenant_id.as_deref()
    }

    /// The kind of credential that got the token; none for a token source of your own.
    ///
    /// One of `service-principal-secret`, `service-principal-certificate`, `client-assertion`, `workload-identity`,
    /// `federated-managed-identity`, `imds`, `app-service`, `service-fabric`, `arc`, `azure-ml`, `cloud-shell`,
    /// `azure-cli`, `azure-developer-cli`.
    #[must_use]
    pub fn source(&self) -> Option<&'static str> {
        self.source
    }

    /// How long the token lives, from the moment it was received.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// When the token expires, by this machine's wall clock.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.received_wall + self.lifetime
    }

    /// Seconds by which this machine's clock was ahead of the issuer's, if that is known.
    #[cfg(feature = "cli")]
    pub(crate) fn clock_ahead(&self) -> Option<f64> {
        let theirs = self.issuer_wall?;
        Some(match self.received_wall.duration_since(theirs) {
            Ok(ahead) => ahead.as_secs_f64(),
            Err(behind) => -behind.duration().as_secs_f64(),
        })
    }

    /// How much of its life is left.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.lifetime.saturating_sub(self.received_at.elapsed())
    }

    /// The last moment at which the token is used: a command sent later would be cut off together with its connection.
    pub(crate) fn usable_until(&self) -> Instant {
        let margin = LAST_MOMENT.min(self.lifetime / 20);
        self.received_at + self.lifetime.saturating_sub(margin)
    }

    pub(crate) fn received_at(&self) -> Instant {
        self.received_at
    }

    pub(crate) fn is_usable(&self) -> bool {
        Instant::now() < self.usable_until()
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("username", &self.username)
            .field("source", &self.source)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

/// Why it is not known when a token with this `exp` claim expires.
fn no_end(exp: &Value) -> &'static str {
    match exp {
        Value::Null => "the token has no `exp` claim and came without `expires_in` or `expires_on`",
        _ => "the token's `exp` claim is no time in seconds, and it came without `expires_in` or `expires_on`",
    }
}

fn text(claim: Value) -> Option<String> {
    match claim {
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn malformed(problem: &str) -> Error {
    Error::new(ErrorKind::MalformedToken, problem)
}

/// `seconds` since the epoch as a time; none if it is not a time.
pub(crate) fn wall_time(seconds: f64) -> Option<SystemTime> {
    Duration::try_from_secs_f64(seconds).ok().and_then(|since| UNIX_EPOCH.checked_add(since))
}

/// How long a token lives from `now` on; none if nobody says.
///
/// The issuer's clock is taken from its answer's `Date` when it differs from ours, so that a wrong clock on either side
/// neither kills a good token nor keeps a dead one. Without that, `expires_in` says that a token is good which seems to
/// have expired, and the shorter life counts otherwise; a token that is `issued` in our future shows that our clock is
/// slow, and lives from its issue.
fn lifetime(exp: Option<SystemTime>, issued: Option<SystemTime>, hints: Hints, now: SystemTime) -> Option<Duration> {
    let issuer_now = hints.issuer_now.map(|theirs| {
        let apart = theirs.duration_since(now).unwrap_or_else(|error| error.duration());
        if apart > CLOCK_TOLERANCE { theirs } else { now }
    });
    // A token that is issued after its own end says nothing about our clock.
    let from_the_future = |issued: &SystemTime| *issued > now + CLOCK_TOLERANCE && exp.is_none_or(|exp| *issued < exp);
    let clock = issuer_now.unwrap_or_else(|| issued.filter(from_the_future).unwrap_or(now));
    let until = |end: SystemTime| end.duration_since(clock).unwrap_or(Duration::ZERO);
    let by_date = [exp, hints.expires_on].into_iter().flatten().map(until).min();
    match (by_date, hints.expires_in) {
        (Some(by_date), Some(expires_in)) if issuer_now.is_none() && by_date.is_zero() => Some(expires_in),
        // Both name the same moment, `expires_in` in whole seconds. By the issuer's clock a date is no more exact: its
        // clock is known in whole seconds only.
        (Some(by_date), Some(expires_in)) if clock == now && by_date.abs_diff(expires_in) <= ROUNDING => Some(by_date),
        (by_date, expires_in) => [by_date, expires_in].into_iter().flatten().min(),
    }
}

#[cfg(test)]
mod tests;
