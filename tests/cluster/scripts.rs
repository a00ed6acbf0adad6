//! Scripts and functions, with keys and without, and what is set, loaded or flushed on all nodes.

use super::{traffic::keys_of, *};
use redis::{AsyncCommands, Script, Value, cmd};

const LIBRARY: &str = "#!lua name=lib\n\
    redis.register_function('put', function(keys, args) return redis.call('SET', keys[1], args[1]) end)\n\
    redis.register_function{function_name='get', flags={'no-writes'}, \
        callback=function(keys) return redis.call('GET', keys[1]) end}\n\
    redis.register_function{function_name='sum', flags={'no-writes'}, \
        callback=function(_, args) return args[1] + args[2] end}";

/// A key of each node.
async fn key_of_each(cluster: &Cluster) -> Vec<String> {
    let mut keys = Vec::new();
    for node in 0..3 {
        keys.push(keys_of(cluster, node, 1).await.remove(0));
    }
    keys
}

#[tokio::test]
async fn scripts_run_where_their_keys_are() {
    let (_emulator, cluster, mut redis) = three().await;
    let keys = key_of_each(&cluster).await;
    for (number, key) in keys.iter().enumerate() {
        let put = cmd("EVAL").arg("return redis.call('SET', KEYS[1], ARGV[1])").arg(1).arg(key).arg(number).clone();
        put.exec_async(&mut redis).await.unwrap();
        let get = cmd("EVAL_RO").arg("return redis.call('GET', KEYS[1])").arg(1).arg(key).clone();
        assert_eq!(get.query_async::<usize>(&mut redis).await.unwrap(), number);
        let by_hash = Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])");
        assert_eq!(by_hash.key(key).arg(10).invoke_async::<usize>(&mut redis).await.unwrap(), number + 10);
    }
    for _ in 0..10 {
        let sum = cmd("EVAL").arg("return ARGV[1] + ARGV[2]").arg(0).arg(2).arg(3).clone();
        assert_eq!(sum.query_async::<i64>(&mut redis).await.unwrap(), 5);
    }
    let both = cmd("EVAL").arg("return 1").arg(2).arg(&keys[0]).arg(&keys[1]).clone();
    assert_eq!(both.query_async::<Value>(&mut redis).await.unwrap_err().code(), Some("CROSSSLOT"));
}

#[tokio::test]
async fn scripts_are_loaded_known_and_flushed_on_all_nodes() {
    let (_emulator, cluster, mut redis) = three().await;
    let exists = |hash: &str| cmd("SCRIPT").arg("EXISTS").arg(hash).arg("no hash").clone();
    let hash: String = cmd("SCRIPT").arg("LOAD").arg("return 7").query_async(&mut redis).await.unwrap();
    for node in 0..3 {
        assert_eq!(behind::<i64>(&cluster, node, &format!("EVALSHA {hash} 0")).await, 7, "node {node}");
    }
    assert_eq!(exists(&hash).query_async::<Vec<u8>>(&mut redis).await.unwrap(), [1, 0]);
    // What one node lacks is not there: the next EVALSHA may go to that one.
    behind::<()>(&cluster, 1, "SCRIPT FLUSH").await;
    for _ in 0..5 {
        assert_eq!(exists(&hash).query_async::<Vec<u8>>(&mut redis).await.unwrap(), [0, 0]);
    }
    cmd("SCRIPT").arg("FLUSH").exec_async(&mut redis).await.unwrap();
    for node in 0..3 {
        let known: Vec<u8> = behind(&cluster, node, &format!("SCRIPT EXISTS {hash}")).await;
        assert_eq!(known, [0], "node {node}");
    }
}

#[tokio::test]
async fn functions_are_on_all_nodes_and_run_where_their_keys_are() {
    let (_emulator, cluster, mut redis) = three().await;
    let keys = key_of_each(&cluster).await;
    let loaded: String = cmd("FUNCTION").arg("LOAD").arg(LIBRARY).query_async(&mut redis).await.unwrap();
    assert_eq!(loaded, "lib");
    for (number, key) in keys.iter().enumerate() {
        cmd("FCALL").arg("put").arg(1).arg(key).arg(number).exec_async(&mut redis).await.unwrap();
        let get = cmd("FCALL_RO").arg("get").arg(1).arg(key).clone();
        assert_eq!(get.query_async::<usize>(&mut redis).await.unwrap(), number);
    }
    for name in ["FCALL", "FCALL_RO"].repeat(5) {
        let sum = cmd(name).arg("sum").arg(0).arg(2).arg(3).clone();
        assert_eq!(sum.query_async::<i64>(&mut redis).await.unwrap(), 5);
    }
    let both = cmd("FCALL").arg("put").arg(2).arg(&keys[0]).arg(&keys[1]).arg(1).clone();
    assert_eq!(both.query_async::<Value>(&mut redis).await.unwrap_err().code(), Some("CROSSSLOT"));

    // One node's error is that of all.
    behind::<()>(&cluster, 0, "FUNCTION DELETE lib").await;
    behind::<()>(&cluster, 2, "FUNCTION DELETE lib").await;
    let twice = cmd("FUNCTION").arg("LOAD").arg(LIBRARY).query_async::<Value>(&mut redis).await.unwrap_err();
    assert!(twice.to_string().contains("already exists"), "{twice}");
    cmd("FUNCTION").arg("DELETE").arg("lib").exec_async(&mut redis).await.unwrap();
    for node in 0..3 {
        assert!(behind::<Vec<Value>>(&cluster, node, "FUNCTION LIST").await.is_empty(), "node {node}");
    }
    let gone = cmd("FCALL").arg("sum").arg(0).arg(2).arg(3).query_async::<Value>(&mut redis).await.unwrap_err();
    assert!(gone.to_string().contains("Function not found"), "{gone}");
}

#[tokio::test]
async fn settings_are_those_of_all_nodes() {
    let (_emulator, cluster, mut redis) = three().await;
    let (name, value) = ("hash-max-listpack-entries", "77");
    cmd("CONFIG").arg("SET").arg(name).arg(value).exec_async(&mut redis).await.unwrap();
    for node in 0..3 {
        let here: (String, String) = behind(&cluster, node, &format!("CONFIG GET {name}")).await;
        assert_eq!(here.1, value, "node {node}");
    }
    let told: (String, String) = cmd("CONFIG").arg("GET").arg(name).query_async(&mut redis).await.unwrap();
    assert_eq!(told, (name.to_owned(), value.to_owned()));
    let bad = cmd("CONFIG").arg("SET").arg("no-such-setting").arg(1).query_async::<Value>(&mut redis).await;
    assert!(bad.unwrap_err().to_string().contains("no-such-setting"));
}

#[tokio::test]
async fn all_nodes_are_flushed() {
    let (_emulator, cluster, mut redis) = three().await;
    for line in ["FLUSHALL", "FLUSHDB", "FLUSHALL ASYNC", "FLUSHDB SYNC"] {
        for key in key_of_each(&cluster).await {
            let _: () = redis.set(key, 1).await.unwrap();
        }
        assert_eq!(cmd("DBSIZE").query_async::<i64>(&mut redis).await.unwrap(), 3);
        assert_eq!(common::cmd(line).query_async::<String>(&mut redis).await.unwrap(), "OK");
        for node in 0..3 {
            assert_eq!(behind::<i64>(&cluster, node, "DBSIZE").await, 0, "{line}, node {node}");
        }
    }
}
