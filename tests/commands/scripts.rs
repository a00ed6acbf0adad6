//! Scripts and iterators, which take several commands: they stay right when connections and servers change in between.

use common::{SECOND, eventually, links_up, server::Server};
use redis::{AsyncCommands, Script};
use std::collections::HashSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_is_loaded_again_by_a_server_that_has_forgotten_it() {
    let mut server = Server::start();
    let redis = server.up(server.config().command_timeout(20 * SECOND), 4).await;
    let mut con = redis.clone();
    let script = Script::new("return redis.call('INCR', KEYS[1])");
    assert_eq!(script.key("count").invoke_async::<u64>(&mut con).await.unwrap(), 1);
    let _: () = redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut con).await.unwrap();
    assert_eq!(script.key("count").invoke_async::<u64>(&mut con).await.unwrap(), 2);
    server.kill();
    server.restart();
    links_up(&redis, 4).await;
    // It has kept nothing.
    assert_eq!(script.key("count").invoke_async::<u64>(&mut con).await.unwrap(), 1);
    let _: () = redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut con).await.unwrap();
    let invocation = script.key("count");
    let (first, second): (u64, u64) = redis::pipe()
        .load_script(&script)
        .ignore()
        .invoke_script(&invocation)
        .invoke_script(&invocation)
        .query_async(&mut con)
        .await
        .unwrap();
    assert_eq!((first, second), (2, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn iterators_go_on_when_their_connections_are_cut_between_their_steps() {
    let server = Server::start();
    let mut admin = server.admin().await;
    let redis = server.up(server.config().command_timeout(20 * SECOND), 2).await;
    let mut con = redis.clone();
    let mut fill = redis::pipe();
    for number in 0..2_000 {
        fill.set(format!("key:{number}"), number).ignore().hset("hash", number, number).ignore();
    }
    let _: () = fill.query_async(&mut con).await.unwrap();
    for (line, expected) in [("SCAN 0 MATCH key:* COUNT 100", 2_000), ("HSCAN hash 0 COUNT 100", 4_000)] {
        let mut cmd = redis::Cmd::new();
        for word in line.split(' ') {
            // The iterator puts its cursor there.
            if word == "0" {
                cmd.cursor_arg(0)
            } else {
                cmd.arg(word)
            };
        }
        let mut found = Vec::new();
        let mut other = redis.clone();
        let mut iterator = cmd.iter_async::<String>(&mut other).await.unwrap();
        while let Some(item) = iterator.next_item().await {
            found.push(item.unwrap());
            if found.len() % 500 == 0 {
                admin.kill_links().await;
                eventually("they are back", 10 * SECOND, async || redis.clone().exists::<_, bool>("hash").await.ok())
                    .await;
            }
        }
        drop(iterator);
        let is_hash = expected == 4_000;
        assert_eq!(found.len(), expected, "{line}");
        let distinct: HashSet<_> = found.iter().collect();
        assert_eq!(distinct.len(), 2_000, "{line}: each field of the hash is its own value: {is_hash}");
    }
}
