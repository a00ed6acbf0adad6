//! The cluster that everybody talks to: redis-servers of this bench's own, over TLS.

use crate::{
    contenders::redis_rs,
    server::{Certificates, Server, free_port},
    target::{Outcome, Target, text},
};
use redis::{Cmd, Connection, FromRedisValue};
use std::{
    net::Ipv4Addr,
    thread,
    time::{Duration, Instant},
};

const SLOTS: usize = 16_384;

const FORM_TIMEOUT: Duration = Duration::from_secs(30);

/// Its servers end when it is dropped.
pub struct Cluster {
    _servers: Vec<Server>,
    pub target: Target,
}

impl Cluster {
    /// Starts so many nodes, and waits until each knows who owns what.
    pub fn start(nodes: usize) -> Outcome<Self> {
        let certificates = Certificates::generate()?;
        let mut servers = Vec::new();
        let mut members: Vec<Member> = Vec::new();
        for _ in 0..nodes {
            let server = Server::start_with(&certificates, node_lines)?;
            members.push(Member::of(&server)?);
            servers.push(server);
        }
        for (index, member) in members.iter_mut().enumerate() {
            member.ask::<()>(redis::cmd("CLUSTER").arg("SET-CONFIG-EPOCH").arg(index + 1))?;
            let (first, last) = (index * SLOTS / nodes, (index + 1) * SLOTS / nodes - 1);
            member.ask::<()>(redis::cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(first).arg(last))?;
        }
        let (first, others) = members.split_first_mut().ok_or("a cluster has at least one node")?;
        for other in &mut *others {
            let mut meet = redis::cmd("CLUSTER");
            meet.arg("MEET").arg(Ipv4Addr::LOCALHOST.to_string()).arg(other.port).arg(other.bus);
            first.ask::<()>(&meet)?;
        }
        let deadline = Instant::now() + FORM_TIMEOUT;
        for member in &mut members {
            while !member.knows(nodes)? {
                if Instant::now() > deadline {
                    return Err("the nodes do not become a cluster".to_owned());
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
        let target = servers.first().map(|server| Target { nodes, ..server.target.clone() });
        Ok(Self { _servers: servers, target: target.ok_or("a cluster has at least one node")? })
    }
}

/// What makes a server a node.
fn node_lines() -> Outcome<String> {
    let bus = free_port().map_err(text)?;
    // No port without TLS: rustis does not choose between two.
    Ok(format!(
        "port 0\ncluster-enabled yes\ncluster-port {bus}\ntls-cluster yes\ncluster-node-timeout 60000\n\
         cluster-announce-ip 127.0.0.1\n"
    ))
}

/// A node, and the connection that tells and asks it things.
struct Member {
    connection: Connection,
    port: u16,
    bus: u16,
}

impl Member {
    fn of(server: &Server) -> Outcome<Self> {
        let port = server.target.port;
        let mut connection = redis_rs::client(&server.target)?.get_connection().map_err(text)?;
        let setting: Vec<String> =
            redis::cmd("CONFIG").arg("GET").arg("cluster-port").query(&mut connection).map_err(text)?;
        let bus = setting.get(1).and_then(|bus| bus.parse().ok()).ok_or("the node has no port for the others")?;
        Ok(Self { connection, port, bus })
    }

    fn ask<T: FromRedisValue>(&mut self, cmd: &Cmd) -> Outcome<T> {
        cmd.query(&mut self.connection).map_err(text)
    }

    /// Whether all slots have an owner, and so many nodes are up.
    fn knows(&mut self, nodes: usize) -> Outcome<bool> {
        let info: String = self.ask(redis::cmd("CLUSTER").arg("INFO"))?;
        let is_so = |line: String| info.lines().any(|other| other.trim() == line);
        Ok(is_so("cluster_state:ok".to_owned()) && is_so(format!("cluster_size:{nodes}")))
    }
}
