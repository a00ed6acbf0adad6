use super::*;
use crate::{cluster::slot::Slot, emulator::Emulator, transport::tls::Tls};
use redis::Value;
use tokio::net::TcpListener;

/// Each node has as many slots as the others.
fn cluster(ports: &[u16]) -> Topology {
    let share = SLOTS / u16::try_from(ports.len()).unwrap();
    let range = |at: u16, port: u16| {
        let end = if usize::from(at) + 1 == ports.len() { SLOTS - 1 } else { (at + 1) * share - 1 };
        let node = Value::Array(vec![Value::BulkString(b"127.0.0.1".into()), Value::Int(port.into())]);
        Value::Array(vec![Value::Int((at * share).into()), Value::Int(end.into()), node])
    };
    let ranges = ports.iter().zip(0..).map(|(port, at)| range(at, *port)).collect();
    Topology::parse(&Value::Array(ranges), &NodeAddress::new("127.0.0.1", ports[0])).unwrap()
}

#[tokio::test]
async fn a_silent_address_leaves_time_for_the_next_one() {
    let azure = Emulator::builder().start().await.unwrap();
    let transport = Tls::new().ca_pem(azure.ca_pem()).build(azure.host()).unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let good = SocketAddr::from(([127, 0, 0, 1], azure.port()));
    let deadline = Instant::now() + Duration::from_secs(4);
    try_addresses(&transport, &[silent.local_addr().unwrap(), good], deadline).await.unwrap();
    let problem = try_addresses(&transport, &[silent.local_addr().unwrap()], Instant::now()).await;
    assert_eq!(problem.unwrap_err(), "does not answer");
}

#[test]
fn every_node_has_a_key_of_its_own_unless_the_prefix_has_a_hash_tag() {
    let slots = cluster(&[1, 2, 3]);
    assert!(!is_of_one_slot("app:doctor") && !is_of_one_slot("a}{") && is_of_one_slot("{app}:doctor"));
    let keys = keys_of_all("app:doctor", &slots);
    let mut owners: Vec<_> = keys.iter().map(|key| slots.owner(Slot::of(key.as_bytes())).unwrap().port()).collect();
    owners.sort_unstable();
    assert_eq!(owners, [1, 2, 3]);
    assert!(keys.iter().all(|key| key.starts_with("app:doctor:")));
}
