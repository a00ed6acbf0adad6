//! A real redis-server that speaks TLS, with a certificate made on the spot.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A CA, a certificate signed by it, and that one's key, in PEM.
pub struct Certificates {
    pub ca: String,
    pub cert: String,
    pub key: String,
}

impl Certificates {
    pub fn for_name(name: &str) -> Self {
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new([]).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.distinguished_name.push(DnType::CommonName, "test CA");
        let ca_cert = ca.self_signed(&ca_key).unwrap().pem();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new([name.to_owned()]).unwrap();
        let cert = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
        Self { ca: ca_cert, cert: cert.pem(), key: key.serialize_pem() }
    }
}

/// A redis-server of this test's own, killed when dropped.
pub struct Server {
    child: Child,
    dir: TempDir,
    pub port: u16,
    /// The same server without TLS.
    pub plain_port: u16,
    pub ca_pem: String,
    conf: String,
}

impl Server {
    /// Starts a server that accepts any password for the user `tester`, over TLS.
    pub fn start() -> Self {
        let certificates = Certificates::for_name("localhost");
        // Another program may take the port before redis-server does.
        let started = (0..5).find_map(|_| Self::start_on(free_port(), free_port(), &certificates));
        started.expect("redis-server does not start: run it by hand to see why")
    }

    fn start_on(port: u16, plain_port: u16, certificates: &Certificates) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path: PathBuf = dir.path().join(name);
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let conf = format!(
            "port {plain_port}\ntls-port {port}\nbind 127.0.0.1\ntls-auth-clients no\nsave \"\"\nappendonly no\n\
             tls-cert-file {}\ntls-key-file {}\ntls-ca-cert-file {}\ndir {}\nlogfile redis.log\n\
             enable-debug-command local\n\
             user tester on nopass ~* &* +@all\n",
            file("cert.pem", &certificates.cert),
            file("key.pem", &certificates.key),
            file("ca.pem", &certificates.ca),
            dir.path().display(),
        );
        let conf = file("redis.conf", &conf);
        let child = spawn(&conf, port)?;
        Some(Self { child, dir, port, plain_port, ca_pem: certificates.ca.clone(), conf })
    }

    /// Kills the server as a crash would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same port, empty.
    pub fn restart(&mut self) {
        self.child = spawn(&self.conf, self.port).expect("redis-server starts again");
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// None if the server ended at once, because its port was taken for example.
fn spawn(conf: &str, port: u16) -> Option<Child> {
    let child = Command::new("redis-server").arg(conf).stdout(Stdio::null()).spawn();
    let mut child =
        child.expect("redis-server is needed for this test: `make test` installs it, or apt-get install redis-server");
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_err() {
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        assert!(Instant::now() < deadline, "redis-server does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
    Some(child)
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}
