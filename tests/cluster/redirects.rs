//! Nodes that send commands elsewhere as no healthy cluster does, by scripts: nothing goes in circles.

use super::*;
use common::{SECOND, scripted::Scripted, server::Certificates};
use redis::{AsyncCommands, Value, cmd};
use std::{
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Instant,
};
use tokio::task::JoinSet;

/// What a node has been sent: its number, the connection's, and the command.
type Said = (usize, usize, Vec<String>);

/// Two nodes, of which the first one has all slots by what both say.
struct Nodes {
    said: Arc<Mutex<Vec<Said>>>,
    slots_asked: Arc<AtomicUsize>,
    servers: [Scripted; 2],
}

impl Nodes {
    /// `answer` is given the ports of both, the number of the node, of its connection, and the command; it has the
    /// answer without the end of its line.
    async fn start(answer: impl Fn([u16; 2], usize, usize, &[String]) -> String + Send + Sync + 'static) -> Self {
        let certificates = Certificates::for_name("localhost");
        let (ports, said) = (Arc::new(OnceLock::<[u16; 2]>::new()), Arc::<Mutex<Vec<Said>>>::default());
        let (slots_asked, answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(answer));
        let node = |number: usize| {
            let (ports, said, asked) = (Arc::clone(&ports), Arc::clone(&said), Arc::clone(&slots_asked));
            let answer = Arc::clone(&answer);
            Scripted::start_as(&certificates, move |connection, words| {
                let ports = *ports.get().expect("nobody connects before");
                let line = match words[0].as_str() {
                    "PING" => "+PONG".to_owned(),
                    "CLUSTER" => {
                        asked.fetch_add(1, SeqCst);
                        format!("*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:{}", ports[0])
                    }
                    _ => {
                        said.lock().unwrap().push((number, connection, words.clone()));
                        answer(ports, number, connection, &words)
                    }
                };
                async move { Some(format!("{line}\r\n").into_bytes()) }
            })
        };
        let servers = [node(0).await, node(1).await];
        ports.set([servers[0].port(), servers[1].port()]).unwrap();
        Self { said, slots_asked, servers }
    }

    async fn connect(&self) -> EntraRedis {
        self.connect_for(10 * SECOND).await
    }

    /// With so much time for a command.
    async fn connect_for(&self, timeout: Duration) -> EntraRedis {
        let config = self.servers[0].config().command_timeout(timeout).pool_size(1);
        self.servers[0].connect(config).await
    }

    fn said(&self) -> Vec<Said> {
        self.said.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn moved_without_a_host_leads_to_the_host_that_says_it() {
    for host in ["", "?", "127.0.0.1"] {
        let nodes = Nodes::start(move |ports, node, _, _| match node {
            0 => format!("-MOVED {FOO} {host}:{}", ports[1]),
            _ => "+here".to_owned(),
        })
        .await;
        let mut redis = nodes.connect().await;
        assert_eq!(redis.get::<_, String>("foo").await.unwrap(), "here");
        assert_eq!(nodes.said().len(), 2);
        // The next one goes there at once.
        assert_eq!(redis.get::<_, String>("foo").await.unwrap(), "here");
        assert_eq!(nodes.said().last().unwrap().0, 1);
    }
}

/// Its key is not its first argument, for which it is taken: the node says where it is.
#[tokio::test]
async fn a_command_that_is_not_known_follows_the_word_of_the_node() {
    let nodes = Nodes::start(move |ports, node, _, words| match (node, &*words[0]) {
        (0, "NEWS.AT") => format!("-MOVED {FOO} 127.0.0.1:{}", ports[1]),
        (0, "NEWS.ASK") => format!("-ASK {FOO} 127.0.0.1:{}", ports[1]),
        (_, "MULTI") | (1, "ASKING") => "+OK".to_owned(),
        (1, "EXEC") => "*1\r\n+here".to_owned(),
        (0, "EXEC") => "-EXECABORT Transaction discarded because of previous errors.".to_owned(),
        _ => "+here".to_owned(),
    })
    .await;
    let redis = nodes.connect().await;
    let at = cmd("NEWS.AT").arg("first").arg("foo").clone();
    let asked = cmd("NEWS.ASK").arg("first").arg("foo").clone();
    assert_eq!(asked.query_async::<String>(&mut redis.clone()).await.unwrap(), "here");
    assert_eq!(at.query_async::<String>(&mut redis.clone()).await.unwrap(), "here");
    let mut pipeline = redis::pipe();
    pipeline.add_command(at.clone()).add_command(asked).cmd("GET").arg("other");
    let values: [String; 3] = pipeline.query_async(&mut redis.clone()).await.unwrap();
    assert_eq!(values, ["here", "here", "here"]);
}

#[tokio::test]
async fn a_transaction_of_what_is_not_known_follows_the_word_of_the_node() {
    let nodes = Nodes::start(move |ports, node, _, words| match (node, &*words[0]) {
        (0, "NEWS.AT") => format!("-MOVED {FOO} 127.0.0.1:{}", ports[1]),
        (0, "EXEC") => "-EXECABORT Transaction discarded because of previous errors.".to_owned(),
        (1, "EXEC") => "*2\r\n+here\r\n+here".to_owned(),
        _ => "+QUEUED".to_owned(),
    })
    .await;
    let mut transaction = redis::pipe();
    transaction.atomic();
    for key in ["foo", "{foo}2"] {
        transaction.cmd("NEWS.AT").arg("first").arg(key);
    }
    let values: [String; 2] = transaction.query_async(&mut nodes.connect().await).await.unwrap();
    assert_eq!(values, ["here", "here"]);
}

/// The connection leads to a process that is not the one that has its address now: another connection leads to that.
#[tokio::test]
async fn moved_to_the_node_that_says_it_takes_another_connection() {
    let first = Arc::new(OnceLock::new());
    let nodes = Nodes::start(move |ports, _, connection, _| {
        if *first.get_or_init(|| connection) == connection {
            format!("-MOVED {FOO} 127.0.0.1:{}", ports[0])
        } else {
            "+here".to_owned()
        }
    })
    .await;
    let mut redis = nodes.connect().await;
    assert_eq!(redis.get::<_, String>("foo").await.unwrap(), "here");
    let said = nodes.said();
    assert!(said.len() == 2 && said[0].1 != said[1].1, "{said:?}");
}

#[tokio::test]
async fn two_nodes_that_name_each_other_are_asked_until_the_deadline_ever_more_slowly() {
    let nodes = Nodes::start(|ports, node, _, _| format!("-MOVED {FOO} 127.0.0.1:{}", ports[1 - node])).await;
    let mut redis = nodes.connect_for(3 * SECOND).await;
    let began = Instant::now();
    let error = redis.get::<_, String>("foo").await.unwrap_err();
    let took = began.elapsed();
    // The last attempt may have been too late for its answer.
    assert!(error.code() == Some("MOVED") || error.is_timeout(), "{error}");
    assert!(took > SECOND / 4 && took < 9 * SECOND, "{took:?}");
    let times = nodes.said().len();
    assert!((7..60).contains(&times), "{times}");
    // Of a pipeline each command is followed, and has the error.
    let mut pipeline = redis::pipe();
    pipeline.get("foo").get("{foo}2");
    let error = pipeline.query_async::<Value>(&mut redis).await.unwrap_err();
    match error.clone().into_server_errors() {
        Some(errors) => {
            assert!(errors.len() == 2 && errors.iter().all(|(_, error)| error.code() == "MOVED"), "{errors:?}");
        }
        None => assert!(error.is_timeout(), "{error}"),
    }
    assert!(nodes.said().len() < times + 120);
    idle(&redis).await;
}

/// A pipeline's script was loaded at all nodes that were known; the key turns out to be on one that was not.
#[tokio::test]
async fn a_node_that_a_redirect_names_gets_the_pipelines_script_first() {
    let loaded = AtomicUsize::new(0);
    let nodes = Nodes::start(move |ports, node, _, words| match (node, &*words[0]) {
        (_, "SCRIPT" | "FUNCTION") => {
            loaded.fetch_add(node, SeqCst);
            "+loaded".to_owned()
        }
        (1, "EVALSHA" | "FCALL") if loaded.load(SeqCst) < 2 => "-NOSCRIPT No matching script.".to_owned(),
        (0, "EVALSHA" | "FCALL") => format!("-MOVED {FOO} 127.0.0.1:{}", ports[1]),
        _ => format!("+{node}"),
    })
    .await;
    let mut redis = nodes.connect().await;
    let mut pipeline = redis::pipe();
    pipeline.cmd("SCRIPT").arg("LOAD").arg("return 1").cmd("FUNCTION").arg("LOAD").arg("REPLACE").arg("#!lua name=l");
    pipeline.cmd("EVALSHA").arg("hash").arg(1).arg("foo").cmd("FLUSHALL").cmd("FCALL").arg("f").arg(1).arg("foo");
    let values: [String; 5] = pipeline.query_async(&mut redis).await.unwrap();
    assert_eq!(values, ["loaded", "loaded", "1", "0", "1"]);
    let said = nodes.said().into_iter().filter(|(node, ..)| *node == 1);
    let names: Vec<String> = said.map(|(_, _, words)| words[0].clone()).collect();
    assert_eq!(names, ["SCRIPT", "FUNCTION", "EVALSHA", "FCALL"], "once each, and nothing is flushed late");
}

#[tokio::test]
async fn what_is_no_redirect_of_the_command_is_an_answer() {
    for line in
        ["MOVED", "MOVED 12182", "MOVED 12182 host", "MOVED 99999 127.0.0.1:1", "MOVED 1 127.0.0.1:1", "ASK x y"]
    {
        let nodes = Nodes::start(move |_, _, _, _| format!("-{line}")).await;
        let mut redis = nodes.connect().await;
        let error = redis.get::<_, String>("foo").await.unwrap_err();
        assert_eq!(error.code(), line.split(' ').next(), "{error}");
        let script = cmd("EVAL").arg("…").arg(1).arg("foo").clone();
        script.query_async::<Value>(&mut redis).await.unwrap_err();
        assert_eq!(nodes.said().len(), 2, "{line}");
    }
}

#[tokio::test]
async fn a_slot_that_nobody_serves_is_tried_until_somebody_does() {
    let tries = AtomicUsize::new(0);
    let nodes = Nodes::start(move |_, _, _, _| match tries.fetch_add(1, SeqCst) {
        0..4 => "-CLUSTERDOWN Hash slot not served".to_owned(),
        4..8 => "-CLUSTERDOWN The cluster is down".to_owned(),
        _ => "+here".to_owned(),
    })
    .await;
    let mut redis = nodes.connect().await;
    assert_eq!(redis.get::<_, String>("foo").await.unwrap(), "here");
    assert_eq!(nodes.said().len(), 9);
}

#[tokio::test]
async fn asking_and_its_command_follow_each_other() {
    let nodes = Nodes::start(|ports, node, _, words| match (node, &*words[0]) {
        (0, _) => format!("-ASK {FOO} 127.0.0.1:{}", ports[1]),
        (_, "ASKING") => "+OK".to_owned(),
        _ => "+here".to_owned(),
    })
    .await;
    let mut redis = nodes.connect().await;
    let mut pipeline = redis::pipe();
    pipeline.get("foo").get("{foo}2").get("{foo}3");
    let values: [String; 3] = pipeline.query_async(&mut redis).await.unwrap();
    assert_eq!(values, ["here", "here", "here"]);
    let at_target: Vec<_> = nodes.said().into_iter().filter(|said| said.0 == 1).map(|said| said.2.concat()).collect();
    assert_eq!(at_target, ["ASKING", "GETfoo", "ASKING", "GET{foo}2", "ASKING", "GET{foo}3"]);
    // The map has not changed: the next one goes to the owner.
    let _: String = redis.get("foo").await.unwrap();
    let said = nodes.said();
    assert_eq!(said[said.len() - 3].0, 0, "{said:?}");
}

/// Half of all answers of both nodes are `MOVED`, and both say what was right once when they are asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_redirects_ask_for_the_topology_a_few_times() {
    let (turn, moved) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&moved);
    let nodes = Nodes::start(move |ports, node, _, _| {
        if turn.fetch_add(1, SeqCst) % 2 == 0 {
            counter.fetch_add(1, SeqCst);
            format!("-MOVED {FOO} 127.0.0.1:{}", ports[1 - node])
        } else {
            "+here".to_owned()
        }
    })
    .await;
    let redis = nodes.connect().await;
    let asked = nodes.slots_asked.load(SeqCst);
    let began = Instant::now();
    let mut running = JoinSet::new();
    for task in 0..64 {
        let (mut redis, moved) = (redis.clone(), Arc::clone(&moved));
        running.spawn(async move {
            while moved.load(SeqCst) < 10_000 {
                _ = redis.get::<_, String>(format!("{{foo}}{task}")).await;
            }
        });
    }
    while running.join_next().await.is_some() {}
    let (asked, seconds) = (nodes.slots_asked.load(SeqCst) - asked, began.elapsed().as_secs_f64());
    let most = (seconds * 10.0).ceil() + 1.0;
    assert!((asked as f64) <= most.max(11.0), "{asked} times in {seconds} s");
}
