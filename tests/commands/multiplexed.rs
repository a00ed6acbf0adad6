//! Code written for the redis crate's multiplexed connection runs unchanged on the handle.

use common::{
    SECOND,
    server::{Admin, Server},
    within,
};
use entra_redis::EntraRedis;
use redis::{AsyncCommands, AsyncIter, RedisResult, Script, Value, aio::ConnectionLike};
use std::time::Duration;

#[tokio::test]
async fn async_commands_pipelines_scripts_and_scans() {
    let server = Server::start();
    let redis = server.connect(server.config()).await;
    let mut con = redis.clone();

    let _: () = con.set("key", 41).await.unwrap();
    assert_eq!(con.incr::<_, _, i64>("key", 1).await.unwrap(), 42);

    let (a, b): (i64, String) =
        redis::pipe().incr("key", 1).set("s", "x").ignore().get("s").query_async(&mut con).await.unwrap();
    assert_eq!((a, b.as_str()), (43, "x"));
    let (n,): (i64,) =
        redis::pipe().atomic().set("key", 1).ignore().incr("key", 9).query_async(&mut con).await.unwrap();
    assert_eq!(n, 10);

    let doubled: i64 = Script::new("return tonumber(redis.call('GET', KEYS[1])) * ARGV[1]")
        .key("key")
        .arg(2)
        .invoke_async(&mut con)
        .await
        .unwrap();
    assert_eq!(doubled, 20);

    for i in 0..100 {
        let _: () = con.set(format!("scan:{i}"), i).await.unwrap();
    }
    let mut seen = 0;
    let mut keys: AsyncIter<'_, String> = con.scan_match("scan:*").await.unwrap();
    while let Some(key) = keys.next_item().await {
        key.unwrap();
        seen += 1;
    }
    drop(keys);
    assert_eq!(seen, 100);

    let mut fire_and_forget = redis::cmd("SET");
    fire_and_forget.arg("quiet").arg(1).set_no_response(true);
    let _: Value = fire_and_forget.query_async(&mut con).await.unwrap();
}

#[tokio::test]
async fn errors_are_those_of_the_server() {
    let server = Server::start();
    let mut con = server.connect(server.config()).await;
    let _: () = con.set("s", "text").await.unwrap();
    let error = con.incr::<_, _, i64>("s", 1).await.unwrap_err();
    assert!(error.to_string().contains("not an integer"), "{error}");
    let result: RedisResult<(i64, String)> = redis::pipe().atomic().incr("s", 1).get("s").query_async(&mut con).await;
    assert!(result.is_err());
    // An error in one command leaves the connection in order.
    assert_eq!(con.get::<_, String>("s").await.unwrap(), "text");
}

#[tokio::test]
async fn what_a_shared_connection_cannot_carry_is_refused_before_it_is_sent() {
    let server = Server::start();
    let mut con = server.connect(server.config()).await;
    for (name, args) in [("WATCH", vec!["k"]), ("SUBSCRIBE", vec!["c"]), ("SELECT", vec!["1"]), ("MULTI", vec![])] {
        let mut cmd = redis::cmd(name);
        cmd.arg(args);
        let error = cmd.query_async::<Value>(&mut con).await.unwrap_err();
        assert_eq!(error.kind(), redis::ErrorKind::Client, "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
    let calls: String = redis::cmd("INFO").arg("commandstats").query_async(&mut con).await.unwrap();
    assert!(!calls.contains("watch") && !calls.contains("subscribe"), "{calls}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_belong_to_their_requests() {
    let server = Server::start();
    let redis = server.connect(server.config()).await;
    let tasks = (0..64_u32).map(|task| {
        let mut con = redis.clone();
        tokio::spawn(async move {
            for i in 0..200_u32 {
                let text = format!("{task}:{i}:{}", "x".repeat((task * i % 3000) as usize));
                let echo: String = redis::cmd("ECHO").arg(&text).query_async(&mut con).await.unwrap();
                assert_eq!(echo, text);
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_values_both_ways_do_not_deadlock() {
    let server = Server::start();
    let redis = server.connect(server.config()).await;
    let value = vec![7_u8; 8 << 20];
    let tasks = (0..8).map(|task| {
        let (mut con, value) = (redis.clone(), value.clone());
        tokio::spawn(async move {
            let _: () = con.set(task, &value).await.unwrap();
            assert!(con.get::<_, Vec<u8>>(task).await.unwrap() == value);
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

/// Every order of every selection of these options.
fn arrangements<'a>(options: &[&'a str]) -> Vec<Vec<&'a str>> {
    let mut all = vec![Vec::new()];
    for (n, option) in options.iter().enumerate() {
        let others: Vec<_> = options.iter().enumerate().filter(|(m, _)| *m != n).map(|(_, other)| *other).collect();
        all.extend(arrangements(&others).into_iter().map(|mut rest| {
            rest.insert(0, option);
            rest
        }));
    }
    all
}

/// Whether the handle refuses to send a command, which must say its name then.
async fn is_refused(con: &mut EntraRedis, line: &str) -> bool {
    let mut words = line.split(' ');
    let mut cmd = redis::cmd(words.next().unwrap());
    words.for_each(|word| _ = cmd.arg(word));
    // On its own, the handle sends what blocks over a connection of its own.
    match redis::pipe().add_command(cmd).query_async::<Value>(con).await {
        Err(error) if error.kind() == redis::ErrorKind::Client => {
            let name = line.split(' ').next().unwrap().to_ascii_uppercase();
            assert!(error.to_string().contains(&name) && error.to_string().contains(" was not sent: "), "{error}");
            true
        }
        _ => false,
    }
}

/// The server is asked what blocks, and how options may be put; the handle must know.
#[tokio::test]
async fn exactly_what_blocks_is_refused_in_whatever_order_and_case_its_options_come() {
    let server = Server::start();
    let con = server.connect(server.config()).await;
    let mut admin = server.admin().await;
    for group in ["g", "BLOCK", "streams"] {
        admin.run(&format!("XGROUP CREATE s {group} $ MKSTREAM")).await;
    }
    let mut lines: Vec<String> = Vec::new();
    for (command, groups) in
        [("XREADGROUP", &["GROUP g c", "GROUP BLOCK BLOCK", "group streams count"][..]), ("XREAD", &[])]
    {
        for group in groups.iter().copied().map(Some).chain([None]) {
            let options: Vec<_> = ["BLOCK 60", "COUNT 1", "NOACK"].into_iter().chain(group).collect();
            let id = if command == "XREAD" { "$" } else { ">" };
            for options in arrangements(&options) {
                lines.push([&[command][..], &options, &["STREAMS s", id]].concat().join(" "));
            }
        }
    }
    for line in [
        "BLPOP l 0.06",
        "BRPOP l 0.06",
        "BLMOVE l m LEFT RIGHT 0.06",
        "BRPOPLPUSH l m 0.06",
        "BLMPOP 0.06 1 l LEFT",
        "BLMPOP 0.06 1 l RIGHT COUNT 2",
        "BZPOPMIN z 0.06",
        "BZPOPMAX z 0.06",
        "BZMPOP 0.06 1 z MIN COUNT 2",
        "WAIT 1 60",
        "WAITAOF 0 1 60",
        "LPOP BLPOP",
        "XLEN BLOCK",
    ] {
        lines.push(line.to_owned());
    }
    let lower: Vec<_> =
        lines.iter().map(|line| line.to_lowercase()).filter(|line| !line.contains("group block")).collect();
    lines.extend(lower);
    // Each waits for the server most of the time: many at once.
    let server = &server;
    let rounds = lines.chunks(lines.len().div_ceil(16)).map(|lines| {
        let mut con = con.clone();
        async move {
            let mut admin = server.admin().await;
            let (mut blocked, mut passed) = (0, 0);
            for line in lines {
                let refused = is_refused(&mut con, line).await;
                let mut cmd = redis::Cmd::new();
                line.split(' ').for_each(|word| _ = cmd.arg(word));
                let (blocks, answer) = blocks(&mut admin, &cmd, if refused { 1 } else { 10 }).await;
                if blocks {
                    assert!(refused, "{line} blocked");
                    blocked += 1;
                } else if answer.is_ok() {
                    assert!(!refused, "{line} blocks nobody");
                    passed += 1;
                }
            }
            (blocked, passed)
        }
    });
    let sums = futures_util::future::join_all(rounds).await;
    let (blocked, passed) = sums.into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    assert!(blocked > 100 && passed > 20, "{blocked} blocked, {passed} passed");
}

/// How long commands block, if they do.
const BLOCKED: Duration = Duration::from_millis(60);

/// Whether a command waits for its timeout, and what it is answered with. A busy machine may be slow once, or twice.
async fn blocks(admin: &mut Admin, cmd: &redis::Cmd, most: usize) -> (bool, RedisResult<Value>) {
    let mut tried = 0;
    loop {
        let began = std::time::Instant::now();
        let answer = admin.answer(cmd).await;
        tried += 1;
        // The server's clock counts milliseconds, and may cut one.
        let blocks = began.elapsed() >= BLOCKED / 2;
        if !blocks || tried == most {
            return (blocks, answer);
        }
    }
}

/// A server of a version to come may have new ones: somebody has to decide about those.
#[tokio::test]
async fn of_all_commands_of_the_server_those_that_block_or_are_of_a_connection_are_refused() {
    let server = Server::start();
    let mut con = server.connect(server.config()).await;
    let mut admin = server.admin().await;
    let mut names: Vec<String> = Vec::new();
    for category in ["connection", "pubsub", "transaction", "blocking"] {
        names.extend(admin.ask::<Vec<String>>(&format!("COMMAND LIST FILTERBY ACLCAT {category}")).await);
    }
    assert!(names.len() > 40, "{names:?}");
    // Those of all connections, or of none, and those that block only if they are asked to.
    let passes = [
        "client|list",
        "client|kill",
        "client|pause",
        "client|unpause",
        "client|unblock",
        "client|help",
        "client",
        "command",
        "echo",
        "ping",
        "publish",
        "spublish",
        "pubsub",
        "xread",
        "xreadgroup",
    ];
    for name in names {
        let (command, subcommand) = name.split_once('|').unwrap_or((&name, ""));
        if passes.contains(&name.as_str()) || passes.contains(&command) && command != "client" {
            continue;
        }
        assert!(is_refused(&mut con, format!("{command} {subcommand}").trim_end()).await, "{name}");
    }
}

#[tokio::test]
async fn what_is_of_one_connection_is_refused_by_its_full_name_with_what_to_use() {
    let server = Server::start();
    let mut con = server.connect(server.config()).await;
    for (subcommand, instead) in [
        (&["SETNAME", "orders"][..], "Config::client_name"),
        (&["id"], "stats().links"),
        (&["Info"], "CLIENT LIST"),
        (&["NO-EVICT", "on"], "EntraRedis::dedicated"),
        (&["NO-TOUCH", "on"], "EntraRedis::dedicated"),
        (&["TRACKING", "on"], "EntraRedis::dedicated"),
        (&["REPLY", "OFF"], "set_no_response"),
    ] {
        let mut cmd = redis::cmd("CLIENT");
        cmd.arg(subcommand);
        let mut pipeline = redis::pipe();
        pipeline.cmd("SET").arg("key").arg(1).add_command(cmd.clone());
        let alone = cmd.query_async::<Value>(&mut con).await.unwrap_err();
        let piped = pipeline.query_async::<Value>(&mut con).await.unwrap_err();
        let atomic = pipeline.atomic().query_async::<Value>(&mut con).await.unwrap_err();
        for error in [alone, piped, atomic] {
            assert_eq!(error.kind(), redis::ErrorKind::Client);
            let name = format!("CLIENT {} was not sent", subcommand[0].to_ascii_uppercase());
            assert!(error.to_string().contains(&name) && error.to_string().contains(instead), "{error}");
        }
    }
    let mut admin = server.admin().await;
    assert!(!admin.ask::<bool>("EXISTS key").await);
    let list: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut con).await.unwrap();
    assert!(list.contains("user=tester") && !list.contains("name=orders"), "{list}");
}

/// What is asked for beyond the replies is waited for in vain with the redis crate's connection; all else is as there.
#[tokio::test]
async fn any_choice_of_replies_ends_and_is_that_of_the_redis_crate() {
    let server = Server::start();
    let mut con = server.connect(server.config()).await;
    let url = format!("redis://127.0.0.1:{}/?protocol=resp3", server.plain_port);
    let client = redis::Client::open(url).unwrap();
    let (wrong, right) = (["GET"].as_slice(), ["ECHO", "x"].as_slice());
    for commands in [vec![right, wrong], vec![wrong, right], vec![right, right], vec![wrong, right, wrong], vec![]] {
        for atomic in [true, false] {
            let mut pipeline = redis::pipe();
            for command in &commands {
                pipeline.add_command(redis::cmd(command[0]).arg(&command[1..]).clone());
            }
            if atomic {
                pipeline.atomic();
            } else if commands.is_empty() {
                continue;
            }
            let total = commands.len() + if atomic { 2 } else { 0 };
            for offset in (0..=total + 1).chain([usize::MAX]) {
                for count in (0..=total + 1).chain([usize::MAX]) {
                    let what = format!("{commands:?} atomic {atomic} from {offset} on {count}");
                    let ours = within(&what, 4 * SECOND, con.req_packed_commands(&pipeline, offset, count)).await;
                    // Theirs gives one reply to those who want none.
                    if count == 0 || offset.saturating_add(count) > total {
                        assert!(!ours.is_err_and(|error| error.is_timeout()), "{what}");
                        continue;
                    }
                    let mut theirs = client.get_multiplexed_async_connection().await.unwrap();
                    let theirs = theirs.req_packed_commands(&pipeline, offset, count).await;
                    assert_eq!(format!("{ours:?}"), format!("{theirs:?}"), "{what}");
                }
            }
        }
    }
    assert_eq!(con.set::<_, _, String>("key", 1).await.unwrap(), "OK");
}

/// `SET a`, something that fails, `SET b`, as a transaction.
fn three() -> redis::Pipeline {
    let mut pipeline = redis::pipe();
    pipeline.atomic().set("a", 1).lpush("text", "x").set("b", 1);
    pipeline
}

#[tokio::test]
async fn a_transaction_without_multi_says_what_has_run_and_the_next_ones_are_not_sent() {
    let server = Server::start();
    let mut con = server.connect(server.config()).await;
    let mut admin = server.admin().await;
    admin.run("SET text x").await;
    let mut keys = async || {
        let keys: (bool, bool) = (admin.ask("EXISTS a").await, admin.ask("EXISTS b").await);
        admin.run("DEL a b").await;
        keys
    };
    let mut acl = server.admin().await;
    acl.run("ACL SETUSER tester -multi").await;

    let error = three().exec_async(&mut con).await.unwrap_err();
    assert_eq!(error.code(), Some("NOPERM"), "{error}");
    let shown = error.to_string();
    for part in
        ["MULTI was refused", "2 of 3 of them (index 0, 2)", "one was answered with an error (index 1", "WRONGTYPE"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert_eq!(keys().await, (true, true), "that is what the error is about");

    // Now it is known: no command follows MULTI before that is allowed, over whatever link.
    for _ in 0..20 {
        let error = three().exec_async(&mut con.clone()).await.unwrap_err();
        assert_eq!(error.code(), Some("NOPERM"), "{error}");
        assert!(error.to_string().contains("none of its 3 commands was sent"), "{error}");
    }
    assert_eq!(keys().await, (false, false));
    let commands: String = acl.ask("INFO commandstats").await;
    assert!(commands.contains("cmdstat_lpush:calls=1,"), "{commands}");

    acl.run("ACL SETUSER tester +multi").await;
    for _ in 0..2 {
        let error = three().exec_async(&mut con).await.unwrap_err();
        assert!(error.to_string().contains("WRONGTYPE") && !error.to_string().contains("MULTI"), "{error}");
        assert_eq!(keys().await, (true, true));
    }
}

#[tokio::test]
async fn a_transaction_of_which_nothing_ran_says_so() {
    let server = Server::start();
    let mut con = server.connect(server.config()).await;
    let mut admin = server.admin().await;
    admin.run("ACL SETUSER tester -@write -multi").await;
    let error = three().exec_async(&mut con).await.unwrap_err();
    assert_eq!(error.code(), Some("NOPERM"), "{error}");
    assert!(error.to_string().contains("none of its 3 commands ran"), "{error}");
    assert!(!admin.ask::<bool>("EXISTS a").await);
}

/// A command that would block is no danger in a transaction; without one it holds up everybody.
#[tokio::test]
async fn what_would_block_without_multi_does_not_go_before_that_is_allowed() {
    let server = Server::start();
    let mut con = server.connect(server.config()).await;
    let mut admin = server.admin().await;
    admin.run("ACL SETUSER tester -multi").await;
    let mut pipeline = redis::pipe();
    pipeline.atomic().set("a", 1).cmd("BLPOP").arg("nothing").arg(0);
    let error = within("an answer", 2 * SECOND, pipeline.exec_async(&mut con)).await.unwrap_err();
    assert!(error.to_string().contains("none of its 2 commands was sent"), "{error}");
    assert!(!admin.ask::<bool>("EXISTS a").await);
    admin.run("ACL SETUSER tester +multi").await;
    let (ok, popped): (String, Option<String>) = pipeline.query_async(&mut con).await.unwrap();
    assert_eq!((ok.as_str(), popped), ("OK", None));
}

#[tokio::test]
async fn an_exec_that_is_refused_leaves_the_connection_in_order() {
    let server = Server::start();
    let mut con = server.connect(server.config()).await;
    let mut admin = server.admin().await;
    admin.run("SET text x").await;
    admin.run("ACL SETUSER tester -exec").await;
    let error = three().exec_async(&mut con).await.unwrap_err();
    assert_eq!(error.code(), Some("EXECABORT"), "{error}");
    assert!(error.to_string().contains("'exec'"), "{error}");
    assert!(!admin.ask::<bool>("EXISTS a").await);
    for _ in 0..20 {
        assert_eq!(con.get::<_, String>("text").await.unwrap(), "x");
    }
}
