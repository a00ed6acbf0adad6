use super::*;

/// A node that is down comes back to its port, at which nobody listens meanwhile.
#[test]
fn a_port_is_kept_while_nobody_listens_there() {
    let (port, kept) = Kept::any().unwrap();
    assert!(Kept::new(port).is_none(), "somebody keeps it");
    drop(TcpListener::bind(("127.0.0.1", port)).expect("whoever keeps it listens there when it likes"));
    drop(kept);
    let listening = TcpListener::bind(("127.0.0.1", port)).unwrap();
    assert!(Kept::new(port).is_none(), "somebody uses it");
    drop(listening);
}
