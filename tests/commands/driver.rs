//! What our own driver makes of Redis's replies is what the `redis` crate's connection makes of them.

use common::{SECOND, cmd, server::Server, within};
use entra_redis::{AccessToken, Config, Credential, EntraRedis, Tls};
use redis::{
    AsyncCommands, Client, Cmd, IntoConnectionInfo, Pipeline, ProtocolVersion, RedisError, RedisResult, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};
use std::time::Duration;

async fn ours(server: &Server, protocol: ProtocolVersion) -> EntraRedis {
    let token = || async { AccessToken::opaque("any token", Duration::from_secs(3600), "tester") };
    let config = Config::new(Credential::custom(token)).tls(Tls::new().ca_pem(&server.ca_pem)).protocol(protocol);
    EntraRedis::connect("localhost", server.port, config).await.unwrap()
}

async fn theirs(server: &Server, protocol: ProtocolVersion) -> MultiplexedConnection {
    let url = format!("redis://tester:any@localhost:{}/", server.plain_port);
    let info = url.into_connection_info().unwrap();
    let redis = info.redis_settings().clone().set_protocol(protocol);
    Client::open(info.set_redis_settings(redis)).unwrap().get_multiplexed_async_connection().await.unwrap()
}

/// Everything that a caller can tell one outcome from another by.
fn shown<T: std::fmt::Debug>(result: RedisResult<T>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("{:?} {:?} {error} {:?}", error.kind(), error.code(), server_errors(error.clone())),
    }
}

fn server_errors(error: RedisError) -> Option<Vec<(usize, String)>> {
    let errors = error.into_server_errors()?;
    Some(errors.iter().map(|(place, error)| (*place, format!("{error:?}"))).collect())
}

#[tokio::test]
async fn commands_of_every_reply_type_give_the_same_values_and_errors() {
    let server = Server::start();
    for protocol in [ProtocolVersion::RESP2, ProtocolVersion::RESP3] {
        let (mut ours, mut theirs) = (ours(&server, protocol).await, theirs(&server, protocol).await);
        for line in [
            "FLUSHALL",
            "SET key value",
            "GET key",
            "GET missing",
            "INCR counter",
            "INCR key",
            "NOSUCHCOMMAND a b",
            "GET",
            "RPUSH list a b c",
            "LRANGE list 0 -1",
            "LPOP list 0",
            "HSET hash f 1 g 2",
            "HGETALL hash",
            "HGETALL missing",
            "SADD set a",
            "SMEMBERS set",
            "ZADD zset 1.5 a 2 b",
            "ZRANGE zset 0 -1 WITHSCORES",
            "ZSCORE zset a",
            "GEOADD geo 13.361389 38.115556 Palermo",
            "GEOPOS geo Palermo nowhere",
            "XADD stream 1-1 field value",
            "XRANGE stream - +",
            "XINFO STREAM stream FULL",
            "OBJECT ENCODING key",
            "COMMAND INFO get nosuch",
            "COMMAND DOCS get",
            "CONFIG GET maxmemory*",
            "ACL GETUSER tester",
            "EVAL return{1,'a',redis.status_reply('fine'),redis.error_reply('MY\\32error'),{3,{4}}} 0",
            "DEBUG PROTOCOL string",
            "DEBUG PROTOCOL integer",
            "DEBUG PROTOCOL double",
            "DEBUG PROTOCOL bignum",
            "DEBUG PROTOCOL null",
            "DEBUG PROTOCOL array",
            "DEBUG PROTOCOL set",
            "DEBUG PROTOCOL map",
            "DEBUG PROTOCOL attrib",
            "DEBUG PROTOCOL verbatim",
            "DEBUG PROTOCOL true",
            "DEBUG PROTOCOL false",
        ] {
            let cmd = cmd(line);
            let (a, b) = (ours.req_packed_command(&cmd).await, theirs.req_packed_command(&cmd).await);
            // What changes things is run twice: the second time it has nothing left to do.
            let again =
                matches!(line.split(' ').next(), Some("INCR" | "RPUSH" | "HSET" | "SADD" | "ZADD" | "GEOADD" | "XADD"));
            if !again {
                assert_eq!(shown(a), shown(b), "{protocol:?} {line}");
            }
        }
        let empty = Cmd::new();
        assert_eq!(shown(ours.req_packed_command(&empty).await), shown(theirs.req_packed_command(&empty).await));
    }
}

fn pipeline(lines: &[&str], atomic: bool) -> Pipeline {
    let mut pipeline = redis::pipe();
    if atomic {
        pipeline.atomic();
    }
    for line in lines {
        pipeline.add_command(cmd(line));
    }
    pipeline
}

#[tokio::test]
async fn pipelines_and_transactions_give_the_same_values_and_errors() {
    let server = Server::start();
    let (mut ours, mut theirs) =
        (ours(&server, ProtocolVersion::RESP3).await, theirs(&server, ProtocolVersion::RESP3).await);
    let _: () = ours.set("text", "x").await.unwrap();
    for lines in [
        &["GET text"][..],
        &["GET text", "GET missing", "STRLEN text"],
        &["GET text", "LPUSH text a", "STRLEN text"],
        &["LPUSH text a", "INCR text"],
        &["GET text", "NOSUCHCOMMAND", "GET text"],
        &["NOSUCHCOMMAND", "GET", "GET text"],
        &["GET text", "GET a b c"],
        &["EVAL return{1,2,{3}} 0", "HGETALL missing"],
        &[],
    ] {
        for atomic in [false, true] {
            for ignore_errors in [false, true] {
                let mut pipeline = pipeline(lines, atomic);
                if ignore_errors {
                    pipeline.ignore_errors();
                }
                let a: RedisResult<Value> = pipeline.query_async(&mut ours).await;
                let b: RedisResult<Value> = pipeline.query_async(&mut theirs).await;
                assert_eq!(shown(a), shown(b), "atomic {atomic}, ignoring errors {ignore_errors}: {lines:?}");
                let whole = if atomic { (lines.len() + 1, 1) } else { (0, lines.len()) };
                let a = ours.req_packed_commands(&pipeline, whole.0, whole.1).await;
                let b = theirs.req_packed_commands(&pipeline, whole.0, whole.1).await;
                assert_eq!(shown(a), shown(b), "packed, atomic {atomic}: {lines:?}");
            }
        }
        // The connections are none the worse for it.
        assert_eq!(ours.get::<_, String>("text").await.unwrap(), "x");
    }
}

/// Offsets and counts that leave replies out, or ask for more than there are, harm nobody else's.
#[tokio::test]
async fn odd_offsets_and_counts_leave_the_connection_in_order() {
    let server = Server::start();
    let mut redis = ours(&server, ProtocolVersion::RESP3).await;
    let _: () = redis.set("a", 1).await.unwrap();
    let three = pipeline(&["GET a", "STRLEN a", "EXISTS a"], false);
    for (offset, count, expected) in [(0, 1, 1), (1, 1, 1), (1, 2, 2), (3, 1, 0), (0, 9, 3), (0, 0, 0), (9, 9, 0)] {
        let call = redis.req_packed_commands(&three, offset, count);
        let values = within("an answer", 5 * SECOND, call).await.unwrap();
        assert_eq!(values.len(), expected, "{offset} {count}");
        assert_eq!(redis.get::<_, i64>("a").await.unwrap(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_values_in_both_directions_from_many_tasks() {
    let server = Server::start();
    let redis = ours(&server, ProtocolVersion::RESP3).await;
    let tasks = (0..16_u8).map(|task| {
        let mut redis = redis.clone();
        tokio::spawn(async move {
            let value = vec![task; 1 << 20];
            for _ in 0..5 {
                let _: () = redis.set(task, &value).await.unwrap();
                let read: Vec<u8> = redis.get(task).await.unwrap();
                assert!(read == value, "task {task} reads what is not its own");
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        within("large values pass", 60 * SECOND, task).await.unwrap();
    }
}

/// Every reply belongs to its request, though most requests are dropped somewhere on their way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_requests_shift_nobodys_replies() {
    let server = Server::start();
    let redis = ours(&server, ProtocolVersion::RESP3).await;
    let tasks = (0..32_u32).map(|task| {
        let mut redis = redis.clone();
        tokio::spawn(async move {
            let mut finished = 0;
            for turn in 0..2_000_u32 {
                let mark = format!("{task}:{turn}");
                let patience = Duration::from_micros(u64::from((task * 37 + turn * 101) % 400));
                let echo = redis::cmd("ECHO").arg(&mark).clone();
                let call = echo.query_async::<String>(&mut redis);
                if let Ok(reply) = tokio::time::timeout(patience, call).await {
                    assert_eq!(reply.unwrap(), mark);
                    finished += 1;
                }
            }
            finished
        })
    });
    let mut finished = 0;
    for task in tasks.collect::<Vec<_>>() {
        finished += within("all turns", 60 * SECOND, task).await.unwrap();
    }
    assert!((1..64_000).contains(&finished), "{finished} finished: the test proves nothing");
}

/// Redis quotes what it does not understand, whatever it holds.
#[tokio::test]
async fn an_error_that_quotes_binary_arguments_costs_nobody_a_connection() {
    let server = Server::start();
    let mut redis = ours(&server, ProtocolVersion::RESP3).await;
    let nonsense = redis::cmd("NOSUCHCOMMAND").arg(&[0xff, 0xd0][..]).arg("мир".repeat(100)).clone();
    for _ in 0..10 {
        let error = nonsense.query_async::<()>(&mut redis).await.unwrap_err();
        assert_eq!(error.code(), Some("ERR"), "{error}");
    }
    assert_eq!(redis.manager().counters().links_lost, 0);
}

/// Replies that a script can make of anything: the redis crate gives up the connection for them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_with_an_odd_reply_costs_nobody_a_connection() {
    let server = Server::start();
    for protocol in [ProtocolVersion::RESP2, ProtocolVersion::RESP3] {
        let redis = ours(&server, protocol).await;
        let others = (0..16).map(|task| {
            let mut con = redis.clone();
            tokio::spawn(async move {
                for turn in 0..300 {
                    let _: () = con.set(task, turn).await.unwrap();
                    assert_eq!(con.get::<_, i32>(task).await.unwrap(), turn);
                }
            })
        });
        let others: Vec<_> = others.collect();
        let eval =
            async |script: &[u8]| redis::cmd("EVAL").arg(script).arg(0).query_async::<Value>(&mut redis.clone()).await;
        let cafe = Value::SimpleString("caf\u{fffd}".to_owned());
        for _ in 0..10 {
            assert_eq!(eval(b"return redis.status_reply('caf\\233')").await.unwrap(), cafe);
            let nested = eval(b"return {1, {redis.status_reply('caf\\233')}}").await.unwrap();
            assert_eq!(nested, Value::Array(vec![Value::Int(1), Value::Array(vec![cafe.clone()])]));
            let error = eval(b"return redis.error_reply('MY caf\\233')").await;
            assert!(matches!(error, Ok(Value::ServerError(_)) | Err(_)), "{error:?}");
            let deep = eval(b"local t = {} for i = 1, 300 do t = {t} end return t").await.unwrap_err();
            assert!(deep.kind() == redis::ErrorKind::Parse && deep.to_string().contains("nested"), "{deep}");
            let mut pipeline = redis::pipe();
            pipeline.cmd("EVAL").arg("local t = {} for i = 1, 300 do t = {t} end return t").arg(0).get("missing");
            let deep = pipeline.query_async::<Value>(&mut redis.clone()).await.unwrap_err();
            assert_eq!(deep.kind(), redis::ErrorKind::Parse, "{deep}");
        }
        for other in others {
            within("the others", 60 * SECOND, other).await.unwrap();
        }
        assert_eq!(redis.manager().counters().links_lost, 0);
    }
}

/// Redis passes over it without a reply: everybody's later replies on the connection would be somebody else's.
#[tokio::test]
async fn an_empty_command_in_a_pipeline_shifts_nobodys_replies() {
    let server = Server::start();
    let mut redis = ours(&server, ProtocolVersion::RESP3).await;
    for atomic in [false, true] {
        let mut pipeline = pipeline(&["ECHO a"], atomic);
        pipeline.add_command(Cmd::new());
        let error = pipeline.query_async::<Value>(&mut redis).await.unwrap_err();
        assert!(error.to_string().contains("empty command"), "{error}");
        let echo: String = redis::cmd("ECHO").arg("mine").query_async(&mut redis).await.unwrap();
        assert_eq!(echo, "mine");
    }
}
