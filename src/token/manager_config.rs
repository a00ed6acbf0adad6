//! The settings of the token actor.

use crate::{config_check, error::Error, retry::RetryPolicy};
use std::time::Duration;

/// When and how tokens are renewed. The names are those of the Redis clients in other languages.
///
/// ```
/// use entra_redis::{RetryPolicy, TokenManagerConfig};
/// use std::time::Duration;
///
/// let tokens = TokenManagerConfig::new()
///     .expiration_refresh_ratio(0.9)
///     .lower_refresh_bound(Duration::from_secs(60))
///     .token_request_execution_timeout(Duration::from_secs(5))
///     .retry_policy(RetryPolicy::new().max_attempts(5).delay(Duration::from_millis(50)));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct TokenManagerConfig {
    pub(crate) expiration_refresh_ratio: f64,
    pub(crate) lower_refresh_bound: Duration,
    pub(crate) min_refresh_interval: Duration,
    pub(crate) token_request_execution_timeout: Duration,
    pub(crate) retry_policy: RetryPolicy,
}

impl Default for TokenManagerConfig {
    fn default() -> Self {
        Self {
            expiration_refresh_ratio: 0.7,
            lower_refresh_bound: Duration::from_secs(180),
            min_refresh_interval: Duration::from_secs(1),
            token_request_execution_timeout: Duration::from_secs(10),
            retry_policy: RetryPolicy::default(),
        }
    }
}

/// Below this, a setting would allow the hot loop that the interval is there to prevent.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

impl TokenManagerConfig {
    /// The defaults named at each setter.
    pub fn new() -> Self {
        Self::default()
    }

    /// The part of a token's life after which it is renewed, in (0, 1]; default 0.7.
    ///
    /// Whatever it is, a tenth of the token's life is left for the request, unless
    /// [`token_request_execution_timeout`](Self::token_request_execution_timeout) gives it less.
    pub fn expiration_refresh_ratio(mut self, ratio: f64) -> Self {
        self.expiration_refresh_ratio = ratio;
        self
    }

    /// A token is renewed at the latest this long before it expires; default 3 minutes, [Azure's guidance].
    ///
    /// A token that lives no longer than this is renewed at once, in steps of the minimum refresh interval.
    ///
    /// [Azure's guidance]: https://learn.microsoft.com/azure/redis/entra-for-authentication
    pub fn lower_refresh_bound(mut self, bound: Duration) -> Self {
        self.lower_refresh_bound = bound;
        self
    }

    /// The shortest time between a token and the request for the next one, whatever the tokens' lifetime; at least 10
    /// ms, default 1 s. After a failed request the [`retry_policy`](Self::retry_policy) decides instead.
    ///
    /// It doubles, up to 30 s, each time the token source returns the same token again, or Redis refuses the new one
    /// too.
    pub fn min_refresh_interval(mut self, interval: Duration) -> Self {
        self.min_refresh_interval = interval;
        self
    }

    /// How long one token request may take; default 10 s.
    ///
    /// Whoever is asked may use all of it, `az` and `azd` as well: no shorter limit applies to a part of the request,
    /// but for the second in which the [default chain](crate::Credential::default_chain) looks for IMDS, and the 2 s
    /// (or a fifth of this setting, if that is more) in which an endpoint on this machine or next to it has to accept a
    /// connection. Where the tools are slow, 30 s will do.
    ///
    /// A request that renews a token takes a quarter of the last one's life at most, so that one that hangs does not
    /// outlive tokens of seconds, and 1 s at least.
    pub fn token_request_execution_timeout(mut self, timeout: Duration) -> Self {
        self.token_request_execution_timeout = timeout;
        self
    }

    /// How failed token requests are repeated; default [`RetryPolicy::new`].
    pub fn retry_policy(mut self, policy: RetryPolicy) -> Self {
        self.retry_policy = policy;
        self
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        let ratio = self.expiration_refresh_ratio;
        // Written so that NaN fails too.
        if !(ratio > 0.0 && ratio <= 1.0) {
            return Err(Error::config(
                "expiration_refresh_ratio",
                format_args!("must be above 0 and at most 1, not {ratio}"),
            ));
        }
        config_check::bounded("lower_refresh_bound", self.lower_refresh_bound)?;
        config_check::bounded("min_refresh_interval", self.min_refresh_interval)?;
        if self.min_refresh_interval < SHORTEST_INTERVAL {
            return Err(Error::config("min_refresh_interval", "must be at least 10 ms"));
        }
        config_check::positive("token_request_execution_timeout", self.token_request_execution_timeout)?;
        self.retry_policy.validate()
    }
}

#[cfg(test)]
mod tests;
