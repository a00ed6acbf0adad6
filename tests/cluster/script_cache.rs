//! Scripts on nodes that do not have them: a successor, and one that has just come.

use super::*;
use common::SECOND;
use redis::{AsyncCommands, RedisResult, Script, Value};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_is_loaded_by_successors_and_by_new_nodes() {
    let emulator = clusters::with_replicas(HOUR).await;
    let (_emulator, cluster, mut redis) = handle_to(emulator, |config| config.command_timeout(20 * SECOND)).await;
    nodes_up(&redis, 3).await;
    let script = Script::new("return redis.call('INCR', KEYS[1])");
    let mut count = 0;
    let mut invoke = async |redis: &mut EntraRedis| -> RedisResult<()> {
        count += 1;
        assert_eq!(script.key("{foo}count").invoke_async::<u64>(redis).await?, count);
        count += 2;
        // Loaded by all nodes first, in the same pipeline.
        let invocation = script.key("{foo}count");
        let (one, two): (u64, u64) = redis::pipe()
            .load_script(&script)
            .ignore()
            .invoke_script(&invocation)
            .invoke_script(&invocation)
            .query_async(redis)
            .await?;
        assert_eq!((one, two), (count - 1, count));
        // A dead node's script is not in the others.
        let _: () = redis::cmd("SCRIPT").arg("FLUSH").query_async(redis).await?;
        Ok(())
    };
    invoke(&mut redis).await.unwrap();
    let node = owner(&cluster, FOO).await;
    cluster.fail_over(node).await.unwrap();
    invoke(&mut redis).await.unwrap();
    let new = cluster.add_node().await.unwrap();
    cluster.move_slots(FOO..=FOO, new).await.unwrap();
    invoke(&mut redis).await.unwrap();
    let read: Value = redis.get("{foo}count").await.unwrap();
    assert_eq!(read, Value::BulkString(b"9".to_vec()));
}
