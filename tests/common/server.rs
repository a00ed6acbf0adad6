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

/// A CA and a certificate for `localhost` signed by it.
pub struct Certificates {
    pub ca_pem: String,
    pub cert_pem: String,
    pub key_pem: String,
}

impl Certificates {
    pub fn for_name(name: &str) -> Self {
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new([]).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.distinguished_name.push(DnType::CommonName, "test CA");
        let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new([name.to_owned()]).unwrap();
        let cert = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
        Self { ca_pem, cert_pem: cert.pem(), key_pem: key.serialize_pem() }
    }
}

/// A redis-server of this test's own, killed when dropped.
pub struct Server {
    child: Child,
    dir: TempDir,
    pub port: u16,
    pub ca_pem: String,
    conf: String,
}

impl Server {
    /// Starts a server that accepts any password for the user `tester`, over TLS.
    pub fn start() -> Self {
        let certificates = Certificates::for_name("localhost");
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path: PathBuf = dir.path().join(name);
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let port = free_port();
        let conf = format!(
            "port 0\ntls-port {port}\nbind 127.0.0.1\ntls-auth-clients no\nsave \"\"\nappendonly no\n\
             tls-cert-file {}\ntls-key-file {}\ntls-ca-cert-file {}\ndir {}\nlogfile redis.log\n\
             user tester on nopass ~* &* +@all\n",
            file("cert.pem", &certificates.cert_pem),
            file("key.pem", &certificates.key_pem),
            file("ca.pem", &certificates.ca_pem),
            dir.path().display(),
        );
        let conf = file("redis.conf", &conf);
        let child = spawn(&conf, port);
        Self { child, dir, port, ca_pem: certificates.ca_pem, conf }
    }

    pub fn ca_file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Kills the server as a crash would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same port, empty.
    pub fn restart(&mut self) {
        self.child = spawn(&self.conf, self.port);
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

fn spawn(conf: &str, port: u16) -> Child {
    let child = Command::new("redis-server").arg(conf).stdout(Stdio::null()).spawn();
    let mut child =
        child.expect("redis-server is needed for this test: `make test` installs it, or apt-get install redis-server");
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_err() {
        assert!(child.try_wait().unwrap().is_none(), "redis-server ended at once, see {conf}");
        assert!(Instant::now() < deadline, "redis-server did not start");
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}
