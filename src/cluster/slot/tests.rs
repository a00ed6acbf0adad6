use super::*;
use proptest::prelude::*;
use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// CRC16/XMODEM bit by bit, as its definition has it.
fn crc16_by_bits(bytes: &[u8]) -> u16 {
    let mut crc = 0_u16;
    for byte in bytes {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ POLYNOMIAL };
        }
    }
    crc
}

#[test]
fn the_check_value_of_the_standard() {
    assert_eq!(crc16(b"123456789"), 0x31C3);
    assert_eq!(Slot::of(b"123456789").number(), 12739);
}

#[test]
fn the_hash_tag_alone_counts() {
    for (key, counts) in [
        ("{user1000}.following", "user1000"),
        ("{user1000}.followers", "user1000"),
        ("foo{}{bar}", "foo{}{bar}"),
        ("foo{{bar}}zap", "{bar"),
        ("foo{bar}{zap}", "bar"),
        ("foo{bar", "foo{bar"),
        ("foo}bar{", "foo}bar{"),
        ("}{a}", "a"),
        ("{", "{"),
        ("{}", "{}"),
        ("", ""),
    ] {
        assert_eq!(hashed_part(key.as_bytes()), counts.as_bytes(), "{key}");
    }
}

#[test]
fn only_numbers_below_16384_are_slots() {
    assert_eq!(Slot::new(16_383).map(Slot::number), Some(16_383));
    assert_eq!(Slot::new(16_384), None);
    assert_eq!(Slot::all().len(), 16_384);
}

proptest! {
    #[test]
    fn many_bytes_at_once_are_as_bit_by_bit(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        prop_assert_eq!(crc16(&bytes), crc16_by_bits(&bytes));
    }
}

/// A `redis-server` in cluster mode, without slots: it answers `CLUSTER KEYSLOT`.
struct Server {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Server {
    /// The ports are free when they are looked for: another process may have taken one before the server does, which
    /// ends then.
    fn listening() -> (Self, TcpStream) {
        for _ in 0..5 {
            let mut server = Self::start();
            if let Some(stream) = server.connect() {
                return (server, stream);
            }
        }
        panic!("redis-server has ended five times");
    }

    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // The bus would listen 10,000 above the port, which may be no port at all.
        let bus = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--cluster-enabled", "yes"])
            .args(["--cluster-port", &bus.to_string(), "--dir"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("redis-server does not start ({error}): install the package redis-server"));
        Self { process, port, _folder: folder }
    }

    /// None if it has ended.
    fn connect(&mut self) -> Option<TcpStream> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if self.process.try_wait().unwrap().is_some() {
                return None;
            }
            match TcpStream::connect(("127.0.0.1", self.port)) {
                Ok(stream) => return Some(stream),
                Err(error) => assert!(Instant::now() < deadline, "redis-server does not listen: {error}"),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// Keys of all lengths and bytes, with many braces among them.
fn keys() -> Vec<Vec<u8>> {
    let edges: [&[u8]; 14] = [
        b"",
        b"{",
        b"}",
        b"{}",
        b"}{",
        b"{}a",
        b"{a}",
        b"a{b}c",
        b"a{}{b}",
        b"{{a}}",
        b"{a",
        b"a}",
        b"\0\r\n",
        b"{\xff}\x80",
    ];
    let mut random = fastrand::Rng::with_seed(13);
    let mut keys: Vec<_> = edges.map(<[u8]>::to_vec).to_vec();
    for n in 0..6000 {
        let length = random.usize(0..if n % 10 == 0 { 300 } else { 24 });
        let byte = |_| match random.u8(0..8) {
            0 => b'{',
            1 => b'}',
            2 => random.u8(..),
            _ => random.u8(b'a'..=b'z'),
        };
        keys.push((0..length).map(byte).collect());
    }
    keys
}

#[test]
fn redis_says_the_same_of_every_key() {
    let (_server, stream) = Server::listening();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let keys = keys();
    let mut sender = stream.try_clone().unwrap();
    let requests: Vec<u8> =
        keys.iter().flat_map(|key| redis::cmd("CLUSTER").arg("KEYSLOT").arg(key).get_packed_command()).collect();
    let writer = std::thread::spawn(move || sender.write_all(&requests).unwrap());
    let mut lines = BufReader::new(stream).lines();
    for key in keys {
        let line = lines.next().unwrap().unwrap();
        assert_eq!(line, format!(":{}", Slot::of(&key)), "{:?}", String::from_utf8_lossy(&key));
    }
    writer.join().unwrap();
}
