//! The developers' tools at the end of the default chain, which share what is left of a token request's time.

use super::chain::Member;
use crate::{
    error::{Error, ErrorKind, Stage},
    token::{AccessToken, RequestLimit},
};
use futures_util::{StreamExt, stream::FuturesUnordered};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How long before the end of the time the token of another one is taken, if the slow one has given none by then.
const LAST_CALL: Duration = Duration::from_millis(500);

/// Asks the members in order until one gives a token; returns what they said, up to that one.
///
/// Each may use all of the time: there is none that is known to be enough. So the next one is started beside one that
/// is slow, after its share of the time, and its token is used if the slow one fails, or has none when the time is
/// nearly over.
pub(super) async fn ask(members: &[Member]) -> Vec<Result<AccessToken, Error>> {
    // The first one answers or fails soon in nearly every case: no more is needed then.
    if let [member] = members {
        return vec![member.token().await];
    }
    let start = Instant::now();
    let limit = RequestLimit::current();
    let left = limit.end().saturating_duration_since(start).min(limit.configured());
    let share = left / u32::try_from(members.len()).unwrap_or(u32::MAX).max(1);
    let last_call = start + left - LAST_CALL.min(left / 10);

    let mut said: Vec<Option<Result<AccessToken, Error>>> = members.iter().map(|_| None).collect();
    let mut running = FuturesUnordered::new();
    let (mut started, mut next_start) = (0, start);
    // Those before this one have failed: it decides.
    while let Some(deciding) = said.iter().position(|said| !matches!(said, Some(Err(_)))) {
        if matches!(said[deciding], Some(Ok(_))) {
            break;
        }
        if started < members.len() && (deciding == started || next_start <= Instant::now()) {
            let (position, member) = (started, &members[started]);
            running.push(async move { (position, member.token().await) });
            started += 1;
            next_start = Instant::now() + share;
        }
        let succeeded = said.iter().any(|said| matches!(said, Some(Ok(_))));
        tokio::select! {
            Some((position, outcome)) = running.next() => said[position] = Some(outcome),
            () = sleep_until(next_start), if started < members.len() => {}
            () = sleep_until(last_call), if succeeded => break,
        }
    }
    let slow = || Error::new(ErrorKind::Timeout(Stage::Token), "has not answered yet");
    let end = said.iter().position(|said| matches!(said, Some(Ok(_)))).map_or(said.len(), |winner| winner + 1);
    said.into_iter().take(end).map(|said| said.unwrap_or_else(|| Err(slow()))).collect()
}
