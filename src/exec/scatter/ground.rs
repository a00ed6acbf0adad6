//! A cluster in memory for the unit tests: three nodes with a link each, whose servers answer by a script.

use crate::{
    admission::Overload,
    cluster::{
        address::NodeAddress,
        endpoint::NodeMap,
        node::Node,
        nodes::Nodes,
        router::Cluster,
        routing::{Found, Routing},
        split::Layout,
    },
    exec::{core::Core, iteration::SignedCursors},
    link::Link,
    lock::lock,
    observe::metrics::Operations,
    pool::{
        Pool,
        fixture::{HOUR, setup},
    },
    resp::parse::parse,
    timer::Timers,
};
use redis::{Cmd, Value};
use std::{
    ops::RangeInclusive,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    runtime::Handle,
};
use tokio_util::task::TaskTracker;

/// The slots of the nodes: `b`, `bar` and `hello` are the first one's, `c` the second one's, `a` and `foo` the third
/// one's.
pub(super) const OWNED: [RangeInclusive<u16>; 3] = [0..=5460, 5461..=10_922, 10_923..=16_383];

/// `MGET` and `DEL`, and `MSET`.
pub(super) const KEYS: Layout = Layout { first: 1, step: 1, trailing: 0 };
pub(super) const PAIRS: Layout = Layout { first: 1, step: 2, trailing: 0 };

/// Commands that a node has been sent: its number, and the words.
type SentCommands = Arc<Mutex<Vec<(usize, String)>>>;

pub(in crate::exec) struct Ground {
    pub(in crate::exec) core: Core,
    pub(super) cluster: Arc<Cluster>,
    pub(super) nodes: Vec<Arc<Node>>,
    said: SentCommands,
}

/// What the node of this number is called.
pub(super) fn address(node: usize) -> NodeAddress {
    NodeAddress::new("node", u16::try_from(node).unwrap() + 1)
}

/// A command, whose words are parted by single spaces.
pub(super) fn cmd(line: &str) -> Cmd {
    let mut words = line.split(' ');
    let mut cmd = redis::cmd(words.next().unwrap());
    words.for_each(|word| _ = cmd.arg(word));
    cmd
}

/// What a server says with this line.
pub(super) fn reply(line: &str) -> Value {
    redis::parse_redis_value(format!("{line}\r\n").as_bytes()).unwrap()
}

impl Ground {
    /// Whose servers are never asked.
    pub(in crate::exec) fn quiet() -> Self {
        Self::new(64, HOUR, |_, words| panic!("nobody asks for {words}"))
    }

    /// `most` commands may be in flight; a command has `patience`. A node answers its number and the words of a command
    /// with the line that `answer` gives.
    pub(super) fn new(
        most: usize,
        patience: Duration,
        answer: impl Fn(usize, &str) -> String + Send + Sync + 'static,
    ) -> Self {
        let (setup, shared) = setup(most);
        let (said, answer): (SentCommands, Arc<_>) = (Arc::default(), Arc::new(answer));
        let node = |number: usize| {
            let (near, far) = duplex(1 << 16);
            let (said, answer) = (Arc::clone(&said), Arc::clone(&answer));
            tokio::spawn(serve(far, move |words| {
                lock(&said).push((number, words.to_owned()));
                answer(number, words)
            }));
            let (pool, roster) = Pool::new(1, Arc::clone(&shared.availability), Arc::clone(&shared.leases));
            let id = number as u64 + 1;
            roster.publish(vec![Arc::new(Link::over(id, near, Arc::clone(&shared.admission), patience))], 1);
            Node::without_keeper(address(number), pool)
        };
        let nodes: Vec<_> = (0..OWNED.len()).map(node).collect();
        let owned: Vec<_> = OWNED.into_iter().zip(nodes.iter().cloned()).collect();
        let known = Nodes::new(setup, shared.clone(), TaskTracker::new(), 1, NodeMap::default());
        let cluster = Arc::new(Cluster::still(known, &owned));
        let (timers, end) = Timers::of(Handle::current());
        tokio::spawn(end.hold());
        let core = Core {
            leases: shared.leases,
            routing: Found::known(Routing::Cluster(Arc::clone(&cluster))),
            tokens: shared.tokens,
            admission: shared.admission,
            overload: Overload::Refuse,
            gathering: tokio::sync::Mutex::default(),
            availability: shared.availability,
            timers,
            command_timeout: patience,
            ping_interval: Duration::from_secs(60),
            retry_reads: false,
            operations: Operations::unlabelled(),
            signed_cursors: SignedCursors::default(),
        };
        Self { core, cluster, nodes, said }
    }

    /// The commands that a node has been sent, in order.
    pub(super) fn said(&self, node: usize) -> Vec<String> {
        lock(&self.said).iter().filter(|(number, _)| *number == node).map(|(_, words)| words.clone()).collect()
    }
}

async fn serve(mut client: DuplexStream, answer: impl Fn(&str) -> String) {
    let mut requests = Vec::new();
    while matches!(client.read_buf(&mut requests).await, Ok(1..)) {
        while let Ok((Value::Array(words), len)) = parse(&requests) {
            requests.drain(..len);
            let words: Vec<String> = words.iter().map(|word| redis::from_redis_value_ref(word).unwrap()).collect();
            if client.write_all(format!("{}\r\n", answer(&words.join(" "))).as_bytes()).await.is_err() {
                return;
            }
        }
    }
}
