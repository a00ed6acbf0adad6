//! How a cluster comes to be.

use super::{
    Servers, Shared,
    directory::Directory,
    node::Node,
    server::{Server, Settings},
    wait::{Patience, not_yet},
};
use crate::{
    emulator::{
        backend::Backend,
        certs::Certificates,
        cluster::site::{Fronts, Site},
        slots,
    },
    lock::lock,
};
use std::{
    fs, io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// Ports are chosen before they are used, so that another program may come first.
const ATTEMPTS: usize = 5;

/// How long a greeting is waited for before there is another one.
const GREETING: Duration = Duration::from_millis(1500);

/// What a cluster is to be.
#[derive(Clone, Debug)]
pub(in crate::emulator) struct Plan {
    pub(in crate::emulator) primaries: usize,
    /// Of each primary.
    pub(in crate::emulator) replicas: usize,
    pub(in crate::emulator) node_timeout: Duration,
    pub(in crate::emulator) full_coverage: bool,
}

impl Servers {
    /// Starts the servers and waits until they are a cluster.
    pub(in crate::emulator) async fn start(
        plan: &Plan,
        certificates: &Certificates,
        fronts: Fronts,
    ) -> io::Result<Self> {
        slots::check_parts(plan.primaries)?;
        let directory = Directory::new()?;
        let files = [("node.pem", &certificates.node.cert_pem), ("node.key", &certificates.node.key_pem)];
        for (name, text) in files.into_iter().chain([("ca.pem", &certificates.ca_pem)]) {
            fs::write(directory.path().join(name), text)?;
        }
        let shared = Shared {
            nodes: Mutex::default(),
            next_index: AtomicUsize::new(0),
            seed: Arc::default(),
            directory: Arc::new(directory),
            settings: Settings { node_timeout: plan.node_timeout, full_coverage: plan.full_coverage },
            fronts,
            changing: tokio::sync::Mutex::default(),
        };
        let servers = Self { shared: Arc::new(shared) };
        servers.form(plan).await?;
        Ok(servers)
    }

    async fn form(&self, plan: &Plan) -> io::Result<()> {
        let count = plan.primaries * (1 + plan.replicas);
        // Each takes its time until it answers.
        for node in futures_util::future::try_join_all((0..count).map(|_| self.start_node())).await? {
            lock(&self.shared.nodes).push(node);
        }
        lock(&self.shared.nodes).sort_by_key(|node| node.index);
        let all = self.all();
        let (primaries, replicas) = all.split_at(plan.primaries);
        for (position, node) in all.iter().enumerate() {
            // Two with the same epoch take a while to find out which of them is to have a higher one.
            let epoch = position + 1;
            node.server.ask::<()>(redis::cmd("CLUSTER").arg("SET-CONFIG-EPOCH").arg(epoch)).await?;
        }
        for (node, slots) in primaries.iter().zip(slots::shares(plan.primaries)) {
            let slots: Vec<_> = slots.collect();
            node.server.ask::<()>(redis::cmd("CLUSTER").arg("ADDSLOTS").arg(slots)).await?;
        }
        futures_util::future::try_join_all(all[1..].iter().map(|node| self.meet(&all[0], node))).await?;
        for (position, replica) in replicas.iter().enumerate() {
            self.follow(replica, &primaries[position / plan.replicas]).await?;
        }
        self.seed_follows();
        let followers = |node: &Arc<Node>, roll: &super::Roll| roll.replicas_of(&node.id).count() == plan.replicas;
        self.agreed("the nodes are a cluster", |roll| primaries.iter().all(|node| followers(node, roll))).await?;
        for replica in replicas {
            self.in_sync(replica).await?;
        }
        Ok(())
    }

    /// A server that is no member yet, behind its front.
    pub(super) async fn start_node(&self) -> io::Result<Arc<Node>> {
        let shared = &self.shared;
        let index = shared.next_index.fetch_add(1, Relaxed);
        let backend = Arc::new(Mutex::new(Vec::new()));
        let front = shared.fronts.front(Backend::FirstOf(Arc::clone(&backend)));
        let site = Site::open(front).await?;
        let mut attempts = ATTEMPTS;
        let server = loop {
            attempts -= 1;
            let port = site.address().port();
            match Server::start(&shared.directory, &index.to_string(), port, &shared.settings).await {
                Ok(server) => break server,
                Err(error) if attempts == 0 || error.kind() == io::ErrorKind::NotFound => return Err(error),
                Err(_) => {}
            }
        };
        *lock(&backend) = vec![server.backend()];
        let id: String = server.ask(redis::cmd("CLUSTER").arg("MYID")).await?;
        Ok(Arc::new(Node::new(index, id, site, server)))
    }

    /// Makes two nodes known to each other.
    ///
    /// A node forgets one that does not answer its greeting within a second, as on a machine that is busy, and does not
    /// greet it again by itself.
    pub(super) async fn meet(&self, member: &Node, node: &Node) -> io::Result<()> {
        let ports = &node.server.ports;
        let mut meet = redis::cmd("CLUSTER");
        meet.arg("MEET").arg("127.0.0.1").arg(ports.tls).arg(ports.bus);
        let patience = Patience::new("a node knows another one");
        loop {
            member.server.ask::<()>(&meet).await?;
            let greeted = Instant::now();
            while greeted.elapsed() < GREETING {
                // Until the answer a node goes by a name that its greeter has made up.
                let known: String = member.server.ask(redis::cmd("CLUSTER").arg("NODES")).await?;
                if known.contains(&node.id) {
                    return Ok(());
                }
                patience.after(not_yet("it is being greeted")).await?;
            }
        }
    }

    /// Makes a node a replica, as soon as it knows the primary.
    pub(super) async fn follow(&self, replica: &Node, primary: &Node) -> io::Result<()> {
        let mut replicate = redis::cmd("CLUSTER");
        replicate.arg("REPLICATE").arg(&primary.id);
        let patience = Patience::new("a node follows its primary");
        while let Err(failure) = replica.server.ask::<()>(&replicate).await {
            patience.after(failure).await?;
        }
        Ok(())
    }
}
