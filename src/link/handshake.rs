//! The first words on a connection, and the later `AUTH`s.

use super::dial::Dialer;
use crate::{Error, ErrorKind, token::Current};
use futures_util::future::join;
use redis::{
    AsyncConnectionConfig, Cmd, ProtocolVersion, RedisConnectionInfo, RedisError, Value, aio::MultiplexedConnection,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::AbortHandle,
};

/// Commands that may wait for the link's task; beyond it callers wait for room.
const REQUEST_QUEUE: usize = 4096;

/// Bytes that gather before a write is forced.
const WRITE_BOUNDARY: usize = 64 * 1024;

/// Makes a connection over `stream` without a word, and spawns its driver, which calls `ended` when the connection is gone.
///
/// What the `redis` crate would say first, [`authenticate`] says, so that errors keep their codes.
pub(super) async fn start<S>(
    stream: S,
    ended: impl FnOnce() + Send + 'static,
) -> Result<(MultiplexedConnection, AbortHandle), Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    // RESP2 without a password is the one setup that sends nothing; replies are parsed in either protocol.
    let info = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP2).set_skip_set_lib_name();
    let config = AsyncConnectionConfig::new()
        .set_response_timeout(None)
        .set_connection_timeout(None)
        .set_pipeline_buffer_size(REQUEST_QUEUE)
        .set_write_backpressure_boundary(WRITE_BOUNDARY);
    let (connection, driver) = MultiplexedConnection::new_with_config(&info, stream, config)
        .await
        .map_err(|error| server_error(&error, ""))?;
    let task = tokio::spawn(async move {
        let mut driver = Box::pin(driver);
        // Dropped before the driver, however this ends: whoever learns of its end from the driver finds it told.
        let _ended = OnDrop(Some(ended));
        driver.as_mut().await;
    });
    Ok((connection, task.abort_handle()))
}

/// Calls what it holds when it is dropped, by a panic or an abort too.
struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            call();
        }
    }
}

/// `HELLO 3 AUTH …` (or `AUTH …` for RESP2) and the library's name, in one round trip.
pub(super) async fn authenticate(
    connection: &mut MultiplexedConnection,
    dialer: &Dialer,
    current: &Current,
) -> Result<(), Error> {
    let hello = if dialer.protocol() == ProtocolVersion::RESP2 {
        auth_command(current)
    } else {
        let mut hello = redis::cmd("HELLO");
        hello.arg(3).arg("AUTH").arg(&*current.username);
        hello.arg(current.token.secret().expose());
        hello
    };
    let mut names = redis::pipe();
    for (field, value) in [("LIB-NAME", "entra-redis"), ("LIB-VER", env!("CARGO_PKG_VERSION"))] {
        names.cmd("CLIENT").arg("SETINFO").arg(field).arg(value);
    }
    let mut second = connection.clone();
    // Servers before 7.2 do not know SETINFO, and one that refuses the token may close at once: only the answer to HELLO
    // counts.
    let answers = join(connection.send_packed_command(&hello), second.send_packed_commands(&names, 0, 2));
    let (answer, _) = answers.await;
    answer.and_then(Value::extract_error).map(drop).map_err(|error| refusal(&error, current))
}

/// `AUTH` with the token. Never log a [`Cmd`]: its `Debug` shows the arguments.
pub(super) fn auth_command(current: &Current) -> Cmd {
    let mut auth = redis::cmd("AUTH");
    auth.arg(&*current.username);
    auth.arg(current.token.secret().expose());
    auth
}

/// What Redis's refusal of `HELLO` or `AUTH` means.
pub(super) fn refusal(error: &RedisError, current: &Current) -> Error {
    let code = error.code().unwrap_or_default();
    // A server that quotes the command must not put the token into an error text.
    let detail = current.token.secret().scrub(error.detail().unwrap_or_default());
    // Azure has been seen to answer `ERR WRONGPASS …` too.
    let rejected = code == "WRONGPASS" || detail.starts_with("WRONGPASS");
    if !rejected {
        return server_error(error, &detail);
    }
    let username = &current.username;
    Error::new(
        ErrorKind::AuthenticationRejected,
        format!("Redis refused the token for the user `{username}`: {code} {detail}"),
    )
    .with_hint(
        "the user name must be the principal's object id (not its client id), and the cache needs an access policy \
         for it",
    )
}

fn server_error(error: &RedisError, detail: &str) -> Error {
    match error.code() {
        Some(code) => {
            Error::new(ErrorKind::Server, format!("Redis answered the authentication with an error: {code} {detail}"))
        }
        None if error.is_io_error() => {
            Error::new(ErrorKind::Connect, "the connection broke during authentication").with_source(error.clone())
        }
        // Not an answer of Redis at all; its text is left out, it may be anything.
        None => Error::new(ErrorKind::Connect, "the server does not speak the Redis protocol"),
    }
}
