//! `instructions ROUNDS TASKS get|pipeline`: so many rounds of so many tasks, each of a `GET` or a pipeline of ten. The
//! server is here too, on the same thread, so that each run takes the same turns: with one of its own it depends on the
//! machine's load how many replies come at once.

use entra_redis::{AccessToken, Config, Credential, EntraRedis, Tls};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use std::{env::args, error::Error, hint::black_box, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::{self, Runtime},
    task::JoinSet,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, pki_types::PrivateKeyDer},
};

const KEY: &str = "bench:small";
const PIPELINE: usize = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = args().skip(1).collect();
    let [rounds, tasks, what] = &args[..] else {
        return Err("usage: instructions ROUNDS TASKS get|pipeline".into());
    };
    let (rounds, tasks, is_pipeline) = (rounds.parse()?, tasks.parse()?, what == "pipeline");
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let redis = runtime.block_on(connect())?;
    counted(&runtime, &redis, rounds, tasks, is_pipeline)
}

async fn connect() -> Result<EntraRedis, Box<dyn Error>> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()])?;
    let key = PrivateKeyDer::try_from(signing_key.serialize_der())?;
    let tls = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(tls))));

    let hour = Duration::from_secs(3600);
    let credential = Credential::custom(move || async move { AccessToken::opaque("any", hour, "tester") });
    let config = Config::new(credential).tls(Tls::new().ca_pem(cert.pem())).pool_size(1);
    Ok(EntraRedis::connect("localhost", port, config).await?)
}

/// What is counted. To connect takes millions of instructions, and never the same number: aws-lc measures the jitter of
/// its own timing.
#[inline(never)]
fn counted(
    runtime: &Runtime,
    redis: &EntraRedis,
    rounds: usize,
    tasks: usize,
    is_pipeline: bool,
) -> Result<(), Box<dyn Error>> {
    runtime.block_on(async {
        let mut all = JoinSet::new();
        for _ in 0..tasks {
            all.spawn(send(redis.clone(), rounds, is_pipeline));
        }
        while let Some(sent) = all.join_next().await {
            sent??;
        }
        Ok(())
    })
}

async fn send(mut redis: EntraRedis, rounds: usize, is_pipeline: bool) -> redis::RedisResult<()> {
    for _ in 0..rounds {
        if is_pipeline {
            let mut pipeline = redis::Pipeline::with_capacity(PIPELINE);
            for _ in 0..PIPELINE {
                pipeline.get(KEY);
            }
            black_box(pipeline.query_async::<Vec<Vec<u8>>>(&mut redis).await?);
        } else {
            black_box(redis::Cmd::get(KEY).query_async::<Vec<u8>>(&mut redis).await?);
        }
    }
    Ok(())
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor) {
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move { serve(stream, acceptor).await });
    }
}

/// Answers all that has come at once with one write, as Redis does.
async fn serve(stream: TcpStream, acceptor: TlsAcceptor) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = acceptor.accept(stream).await?;
    let (mut bytes, mut answers) = (Vec::with_capacity(16 << 10), Vec::new());
    while stream.read_buf(&mut bytes).await? > 0 {
        let mut rest = &bytes[..];
        while let Some((name, behind)) = request(rest) {
            answers.extend_from_slice(answer(name));
            rest = behind;
        }
        let taken = bytes.len() - rest.len();
        bytes.drain(..taken);
        stream.write_all(&answers).await?;
        stream.flush().await?;
        answers.clear();
    }
    Ok(())
}

/// The name of the first command, and what comes behind it; none if it is not there as a whole.
fn request(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (arguments, mut rest) = number(bytes, b'*')?;
    let mut name = None;
    for _ in 0..arguments {
        let (len, behind) = number(rest, b'$')?;
        let argument;
        (argument, rest) = behind.split_at_checked(len)?;
        rest = rest.strip_prefix(b"\r\n")?;
        name.get_or_insert(argument);
    }
    Some((name?, rest))
}

/// The number on a line that begins with `kind`, and what comes behind the line.
fn number(bytes: &[u8], kind: u8) -> Option<(usize, &[u8])> {
    let line = bytes.strip_prefix(&[kind])?;
    let end = line.windows(2).position(|two| two == b"\r\n")?;
    Some((str::from_utf8(&line[..end]).ok()?.parse().ok()?, &line[end + 2..]))
}

fn answer(name: &[u8]) -> &'static [u8] {
    match name {
        b"GET" => b"$64\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n",
        b"HELLO" => b"%1\r\n$5\r\nproto\r\n:3\r\n",
        b"CLUSTER" => b"-ERR This instance has cluster support disabled\r\n",
        _ => b"+OK\r\n",
    }
}
