//! The error of a transaction that Redis refused.

use crate::link::{Refused, is_for_good};
use redis::{
    AsyncConnectionConfig, ProtocolVersion, RedisConnectionInfo, RedisError, RedisResult, ServerError, Value,
    aio::MultiplexedConnection,
};
use std::{fmt::Write as _, ops::RangeInclusive};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

/// Bytes that a replayed conversation may have under way in each direction.
const BUFFER: usize = 4 << 10;

/// How the reason of an error begins that says what became of commands that were to be a transaction, and were none.
const WITHOUT_MULTI: &str = "MULTI was refused";

/// What the caller gets for a transaction of this many commands, of which Redis refused what `refused` says.
pub(super) async fn aborted(commands: usize, refused: Refused) -> RedisResult<Vec<Value>> {
    let Refused { mut errors, sent } = refused;
    if let Some((0, _)) = errors.first() {
        let (_, multi) = errors.remove(0);
        errors.retain(|(place, _)| *place <= commands);
        return Err(without_multi(commands, multi, &errors, sent).into());
    }
    let last = errors.last().map(|(_, error)| error.clone());
    errors.retain(|(place, _)| *place <= commands);
    match last {
        // Everything was queued, and EXEC refused.
        Some(error) if errors.is_empty() => Err(error.into()),
        _ => replay(commands, &errors).await,
    }
}

/// Whether the error is one of a transaction that was none, because `MULTI` was refused: commands of it may have run.
pub(super) fn is_without_multi(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.contains(WITHOUT_MULTI))
}

/// The error with which `MULTI` was refused, and what became of the commands after it, of which those at the places of
/// `errors` were answered with one.
fn without_multi(commands: usize, multi: ServerError, errors: &[(usize, ServerError)], sent: bool) -> ServerError {
    let as_multi = errors.iter().all(|(_, error)| error.code() == multi.code());
    if !is_for_good(&multi) && as_multi && (!sent || errors.len() == commands) {
        // Everything is refused here now, as without authentication: it may be sent again.
        return multi;
    }
    let mut fate = format!("{WITHOUT_MULTI}, so that there was no transaction: ");
    let failed = |place: &usize| errors.binary_search_by_key(place, |(place, _)| *place).is_ok();
    let (failed, ran): (Vec<usize>, Vec<usize>) = (1..=commands).partition(failed);
    // A text takes whatever is written to it.
    _ = match errors.first() {
        _ if !sent => write!(fate, "none of its {commands} commands was sent"),
        None => write!(fate, "its commands ran one by one, all {commands} of them"),
        Some((_, first)) if ran.is_empty() => {
            write!(
                fate,
                "none of its {commands} commands ran, each was answered with an error, too (the first: {first})"
            )
        }
        Some((_, first)) => write!(
            fate,
            "its commands ran one by one, {} of {commands} of them (index {}); {} answered with an error (index {}; \
             the first: {first})",
            ran.len(),
            Indexes(&ran),
            if failed.len() == 1 { "one was".to_owned() } else { format!("{} were", failed.len()) },
            Indexes(&failed),
        ),
    };
    let detail = multi.details().map(|detail| format!("{detail}; ")).unwrap_or_default();
    // Only the redis crate makes such an error, out of a line.
    let line = format!("-{} {detail}{}\r\n", multi.code(), fate.replace(['\r', '\n'], " "));
    match redis::parse_redis_value(line.as_bytes()) {
        Ok(Value::ServerError(error)) => error,
        _ => multi,
    }
}

/// Places in a transaction as indexes of its commands: `0, 2-4`.
struct Indexes<'a>(&'a [usize]);

impl std::fmt::Display for Indexes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut ranges: Vec<RangeInclusive<usize>> = Vec::new();
        for index in self.0.iter().map(|place| place - 1) {
            match ranges.last_mut() {
                Some(range) if range.end() + 1 == index => *range = *range.start()..=index,
                _ => ranges.push(index..=index),
            }
        }
        for (n, range) in ranges.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            if range.start() == range.end() {
                write!(f, "{comma}{}", range.start())?;
            } else {
                write!(f, "{comma}{}-{}", range.start(), range.end())?;
            }
        }
        Ok(())
    }
}

/// What the `redis` crate makes of a transaction of which Redis refused commands while it was being queued.
///
/// Only that crate can make the error that its users match on. So the conversation is played once more to its own
/// connection, in memory. This is rare: somebody's transaction has a mistake in it, or Redis is out of memory.
///
/// It waits for nothing outside: the far end says all it has to say and closes, after which no reply is waited for.
async fn replay(commands: usize, refused: &[(usize, ServerError)]) -> RedisResult<Vec<Value>> {
    let mut script = b"+OK\r\n".to_vec();
    let mut refused = refused.iter().peekable();
    for place in 1..=commands {
        match refused.next_if(|(refused, _)| *refused == place) {
            Some((_, error)) => script.extend(line(error).into_bytes()),
            None => script.extend(b"+QUEUED\r\n"),
        }
    }
    script.extend(b"-EXECABORT Transaction discarded because of previous errors.\r\n");

    let (near, mut far) = duplex(BUFFER);
    // RESP2 without a password is the one setup that says nothing first.
    let info = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP2).set_skip_set_lib_name();
    let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
    let (mut connection, driver) = MultiplexedConnection::new_with_config(&info, near, config).await?;
    let server = async move {
        // No reply before the request: it would be taken for an answer to nothing.
        far.read_u8().await?;
        far.write_all(&script).await
    };
    // Only the replies count: any request will do, and a short one needs no reader.
    let mut request = redis::pipe();
    request.atomic().cmd("PING");
    // As `Pipeline::query_async` asks for them: what EXEC answers, and the errors of everything before it.
    let outcome = connection.send_packed_commands(&request, commands + 1, 1);
    let (outcome, (), _) = tokio::join!(outcome, driver, server);
    outcome
}

/// The error as Redis sends it.
fn line(error: &ServerError) -> String {
    match error.details() {
        Some(details) => format!("-{} {details}\r\n", error.code()),
        None => format!("-{}\r\n", error.code()),
    }
}

#[cfg(test)]
mod tests;
