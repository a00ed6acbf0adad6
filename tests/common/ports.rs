//! Ports at which nobody answers.

use socket2::{Domain, Socket, Type};
use std::{
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

/// A port that is taken, but at which nobody listens: connections are refused.
pub struct Refusing {
    pub address: SocketAddr,
    _bound: Socket,
}

#[allow(clippy::new_without_default, reason = "it binds a port")]
impl Refusing {
    pub fn new() -> Self {
        let bound = bound();
        Self { address: address_of(&bound), _bound: bound }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// A port whose queue of connections is full: the kernel leaves unanswered who comes next. Where it does not, nobody
/// answers all the same.
pub struct Deaf {
    pub address: SocketAddr,
    _listening: Socket,
    _queued: Vec<TcpStream>,
}

#[allow(clippy::new_without_default, reason = "it binds a port")]
impl Deaf {
    pub fn new() -> Self {
        Self::at(Ipv4Addr::LOCALHOST)
    }

    /// At this address of the machine.
    pub fn at(address: Ipv4Addr) -> Self {
        let listening = bound_at(address);
        listening.listen(0).unwrap();
        let address = address_of(&listening);
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(50)).ok();
        let queued = (0..16).map_while(|_| connect()).collect();
        Self { address, _listening: listening, _queued: queued }
    }
}

fn bound() -> Socket {
    bound_at(Ipv4Addr::LOCALHOST)
}

fn bound_at(address: Ipv4Addr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((address, 0)).into()).unwrap();
    socket
}

fn address_of(socket: &Socket) -> SocketAddr {
    socket.local_addr().unwrap().as_socket().unwrap()
}
