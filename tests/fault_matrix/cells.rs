//! The cells of the matrix: all there can be, and why the others cannot.

use common::{
    fault::{Behaviour, Stage},
    proxy::SCRIPTED,
};
use redis::RedisError;
use std::fmt;

/// What a service is doing when something goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    FirstConnect,
    SteadyLoad,
    Rotation,
    Reconnect,
    Shutdown,
}

impl Moment {
    const ALL: [Self; 5] = [Self::FirstConnect, Self::SteadyLoad, Self::Rotation, Self::Reconnect, Self::Shutdown];

    fn name(self) -> &'static str {
        match self {
            Self::FirstConnect => "first-connect",
            Self::SteadyLoad => "steady-load",
            Self::Rotation => "rotation",
            Self::Reconnect => "reconnect",
            Self::Shutdown => "shutdown",
        }
    }
}

/// What the service is connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topology {
    SingleEndpoint,
    /// Three nodes, at one of which the fault is: nobody notices anything at the others.
    Cluster,
}

impl Topology {
    const ALL: [Self; 2] = [Self::SingleEndpoint, Self::Cluster];

    pub fn nodes(self) -> usize {
        match self {
            Self::SingleEndpoint => 1,
            Self::Cluster => 3,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    pub topology: Topology,
    pub stage: Stage,
    pub behaviour: Behaviour,
    pub moment: Moment,
}

/// All cells that can exist, and the others, each with the reason.
pub fn product() -> (Vec<Cell>, Vec<(Cell, &'static str)>) {
    let (mut cells, mut left_out) = (Vec::new(), Vec::new());
    let moments = |stage| {
        Behaviour::ALL.into_iter().flat_map(move |behaviour| Moment::ALL.map(|moment| (stage, behaviour, moment)))
    };
    let of_one = || Stage::ALL.into_iter().flat_map(moments);
    for topology in Topology::ALL {
        for (stage, behaviour, moment) in of_one() {
            let cell = Cell { topology, stage, behaviour, moment };
            match cell.impossible() {
                None => cells.push(cell),
                Some(why) => left_out.push((cell, why)),
            }
        }
    }
    (cells, left_out)
}

impl Cell {
    /// Why there is no such cell, if there is none.
    fn impossible(self) -> Option<&'static str> {
        if self.topology == Topology::Cluster {
            match (self.stage, self.moment) {
                (Stage::Token, _) => return Some("there is one token for all nodes: it is as on a single endpoint"),
                (Stage::Dns, _) => return Some("the topology names nodes by address"),
                (stage, Moment::Shutdown) if stage != Stage::Command => {
                    return Some("the end comes to each node as to a single endpoint, and waits for commands alone");
                }
                _ => {}
            }
        }
        match (self.stage, self.behaviour) {
            (Stage::Dns, Behaviour::Reset | Behaviour::HalfOpen) => {
                return Some("a lookup has no connection that could break");
            }
            (Stage::Dns, Behaviour::Truncated) => return Some("a lookup yields a list, of which there is no half"),
            (Stage::Tcp, Behaviour::Garbage | Behaviour::Truncated) => {
                return Some("the kernels' handshake carries no bytes of anybody's");
            }
            (Stage::Token, Behaviour::HalfOpen) => {
                return Some("to a client of HTTP it is the same as an answer that never comes");
            }
            _ => {}
        }
        match (self.stage, self.moment) {
            (Stage::Reauth | Stage::Command, Moment::FirstConnect) => {
                Some("it is not reached before the first link is up")
            }
            (Stage::Dns | Stage::Tcp | Stage::Tls | Stage::Auth, Moment::SteadyLoad) => {
                Some("nothing is dialed while all links are well")
            }
            (Stage::Reauth | Stage::Token, Moment::SteadyLoad) => Some("without a rotation nothing is asked for"),
            (Stage::Reauth, Moment::Reconnect) => Some("a new connection authenticates with HELLO"),
            _ => None,
        }
    }

    /// Its place in the whole product, from which its seed is made.
    pub fn number(self) -> u64 {
        (self.topology as u64) * 512 + (self.stage as u64) * 64 + (self.behaviour as u64) * 8 + self.moment as u64
    }

    /// How many links the client keeps to each node. A lone one dials a standby for its re-AUTH: only so is anything
    /// dialed in a rotation.
    pub fn pool(self) -> usize {
        if self.is_lone() { 1 } else { 2 }
    }

    /// Whether its one link has to be given new tokens without a standby.
    pub fn is_lone(self) -> bool {
        self.moment == Moment::Rotation && self.stage.is_dial()
    }

    /// Whether tokens have to live for seconds only.
    pub fn rotates(self) -> bool {
        match self.moment {
            Moment::FirstConnect | Moment::SteadyLoad => false,
            Moment::Rotation => true,
            Moment::Reconnect | Moment::Shutdown => matches!(self.stage, Stage::Reauth | Stage::Token),
        }
    }

    /// Whether all links are cut when the fault begins, so that it is met at all.
    pub fn cuts(self) -> bool {
        self.moment == Moment::Reconnect || self.moment == Moment::Shutdown && self.stage.is_dial()
    }

    /// Whether no command may notice anything.
    pub fn is_invisible(self) -> bool {
        // A lone link that finds no standby in time is authenticated without one.
        self.is_lone() || self.behaviour.is_harmless() && !self.cuts()
    }

    /// Whether a command may fail like this here.
    pub fn explains(self, error: &RedisError) -> bool {
        let text = error.to_string();
        if self.moment == Moment::Shutdown && text.contains("shut down") {
            return true;
        }
        if self.is_invisible() {
            return false;
        }
        let said = match self.stage {
            Stage::Token => error.kind() == redis::ErrorKind::AuthenticationFailed,
            Stage::Command => self.behaviour == Behaviour::Error && text.contains(SCRIPTED),
            _ => false,
        };
        said || error.is_timeout() || error.is_connection_dropped()
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.behaviour.name(), self.stage.name(), self.moment.name())?;
        if self.topology == Topology::Cluster { f.write_str("/cluster") } else { Ok(()) }
    }
}
