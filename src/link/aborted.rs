//! The error of a transaction that Redis refused to queue.

use redis::{
    AsyncConnectionConfig, Pipeline, ProtocolVersion, RedisConnectionInfo, RedisError, RedisResult, ServerError, Value,
    aio::MultiplexedConnection,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, duplex, sink, split};

/// Bytes that a replayed conversation may have under way in each direction.
const BUFFER: usize = 4 << 10;

/// What the `redis` crate makes of a transaction of which Redis refused commands while it was being queued.
///
/// Only that crate can make the error that its users match on. So the conversation is played once more to its own
/// connection, in memory. This is rare: somebody's transaction has a mistake in it, or Redis is out of memory.
pub(super) async fn aborted(
    pipeline: &Pipeline,
    (offset, count): (usize, usize),
    refused: Vec<(usize, ServerError)>,
) -> RedisResult<Vec<Value>> {
    if let Some((0, error)) = refused.first() {
        // MULTI itself was refused, as everything is for want of authentication: that says it.
        return Err(RedisError::from(error.clone()));
    }
    let mut script = b"+OK\r\n".to_vec();
    for place in 1..=pipeline.len() {
        match refused.iter().find(|(refused, _)| *refused == place) {
            Some((_, error)) => script.extend(line(error).into_bytes()),
            None => script.extend(b"+QUEUED\r\n"),
        }
    }
    script.extend(b"-EXECABORT Transaction discarded because of previous errors.\r\n");

    let (near, far) = duplex(BUFFER);
    // RESP2 without a password is the one setup that says nothing first.
    let info = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP2).set_skip_set_lib_name();
    let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
    let (mut connection, driver) = MultiplexedConnection::new_with_config(&info, near, config).await?;
    let server = async {
        let (mut requests, mut replies) = split(far);
        // No reply before the request: it would be taken for an answer to nothing.
        requests.read_u8().await?;
        let mut nowhere = sink();
        tokio::try_join!(replies.write_all(&script), copy(&mut requests, &mut nowhere))?;
        std::io::Result::Ok(())
    };
    tokio::select! {
        outcome = connection.send_packed_commands(pipeline, offset, count) => outcome,
        () = driver => Err(std::io::Error::from(std::io::ErrorKind::BrokenPipe).into()),
        Err(error) = server => Err(error.into()),
    }
}

/// The error as Redis sends it.
fn line(error: &ServerError) -> String {
    match error.details() {
        Some(details) => format!("-{} {details}\r\n", error.code()),
        None => format!("-{}\r\n", error.code()),
    }
}
