//! The redis-server that everybody talks to: TLS, a certificate made on the spot, a user who needs no password.

use crate::target::{Outcome, Target, text};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::{
    fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const START_TIMEOUT: Duration = Duration::from_secs(10);

/// A redis-server of this bench's own, killed when dropped.
pub struct Server {
    child: Child,
    pub target: Target,
    pub ca_file: PathBuf,
    _dir: TempDir,
}

/// The files that servers of one run share: those of a cluster trust each other by them.
pub struct Certificates {
    ca: String,
    cert: String,
    key: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

impl Server {
    /// Starts it, on a port that is free.
    pub fn start() -> Outcome<Self> {
        Self::start_with(&Certificates::generate()?, || Ok("port 0\n".to_owned()))
    }

    /// The same with more lines in its configuration, which are made again for each attempt.
    pub fn start_with(certificates: &Certificates, lines: impl Fn() -> Outcome<String>) -> Outcome<Self> {
        // Another program may take the port before redis-server does.
        let server = (0..5).find_map(|_| lines().and_then(|lines| Self::start_once(certificates, &lines)).transpose());
        server.unwrap_or_else(|| Err("redis-server ends at once: run it by hand to see why".to_owned()))
    }

    /// None if it ended at once.
    fn start_once(certificates: &Certificates, lines: &str) -> Outcome<Option<Self>> {
        let dir = tempfile::tempdir().map_err(text)?;
        let file = |name: &str, content: &str| -> Outcome<PathBuf> {
            let path = dir.path().join(name);
            fs::write(&path, content).map_err(text)?;
            Ok(path)
        };
        let Certificates { ca, cert, key } = certificates;
        let ca_file = file("ca.pem", ca)?;
        let port = free_port().map_err(text)?;
        let conf = format!(
            "tls-port {port}\nbind 127.0.0.1 -::1\ntls-auth-clients no\nsave \"\"\nappendonly no\n\
             tls-cert-file {}\ntls-key-file {}\ntls-ca-cert-file {}\ndir {}\nlogfile redis.log\n\
             user tester on nopass ~* &* +@all\n{lines}",
            file("cert.pem", cert)?.display(),
            file("key.pem", key)?.display(),
            ca_file.display(),
            dir.path().display(),
        );
        let child = Command::new("redis-server").arg(file("redis.conf", &conf)?).stdout(Stdio::null()).spawn();
        let child =
            child.map_err(|error| format!("redis-server does not run ({error}); `make redis-server` gets it"))?;
        let target = Target { host: "localhost".to_owned(), port, nodes: 0, ca_pem: ca.clone() };
        // From here on it is killed, whatever happens.
        let mut server = Self { child, target, ca_file, _dir: dir };
        let deadline = Instant::now() + START_TIMEOUT;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if server.child.try_wait().map_err(text)?.is_some() {
                return Ok(None);
            }
            if Instant::now() > deadline {
                return Err("redis-server does not listen".to_owned());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(Some(server))
    }
}

/// Its version, for the results.
pub fn version() -> Outcome<String> {
    let output = Command::new("redis-server").arg("--version").output().map_err(text)?;
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = output.split_whitespace().find_map(|word| word.strip_prefix("v="));
    Ok(version.unwrap_or("unknown").to_owned())
}

impl Certificates {
    /// A CA, a certificate signed by it, and the certificate's key, in PEM.
    pub fn generate() -> Outcome<Self> {
        let generate = || -> Result<Self, rcgen::Error> {
            let ca_key = KeyPair::generate()?;
            let mut ca = CertificateParams::new([])?;
            ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            ca.distinguished_name.push(DnType::CommonName, "bench CA");
            let ca_cert = ca.self_signed(&ca_key)?.pem();
            let key = KeyPair::generate()?;
            // The address is what the nodes of a cluster are called; not every client can verify them by a name.
            let leaf = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
            let cert = leaf.signed_by(&key, &Issuer::new(ca, ca_key))?;
            Ok(Self { ca: ca_cert, cert: cert.pem(), key: key.serialize_pem() })
        };
        generate().map_err(text)
    }
}

pub fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
