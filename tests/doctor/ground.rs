//! What a set-up is made of: the emulator, the environment, the command line, and servers that misbehave.

use common::{
    Azure, SECOND,
    child::{self, Run},
    server::Certificates,
    tls, within,
};
use entra_redis::emulator::{Emulator, EmulatorBuilder, IdentityFault};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use serde_json::Value;
use socket2::SockRef;
use std::{any::Any, fs, net::SocketAddr, time::Duration};
use tempfile::TempDir;
use tokio::{io::AsyncReadExt, net::TcpListener};

/// One run of the doctor: everything is right, until it is changed.
pub(crate) struct Trial {
    pub(crate) azure: Azure,
    variables: Vec<(&'static str, String)>,
    arguments: Vec<String>,
    dir: TempDir,
    /// What has to live as long as the run.
    kept: Vec<Box<dyn Any>>,
}

impl Trial {
    pub(crate) async fn start(builder: EmulatorBuilder) -> Self {
        let azure = common::start(builder).await;
        let dir = tempfile::tempdir().unwrap();
        let mut trial = Self {
            variables: azure.env(),
            azure,
            arguments: vec!["doctor".into(), "--json".into()],
            dir,
            kept: vec![],
        };
        let ca_pem = trial.azure.ca_pem().to_owned();
        trial.trust(&ca_pem);
        trial
    }

    pub(crate) async fn usual() -> Self {
        Self::start(Emulator::builder()).await
    }

    /// Sets a variable in the place of what it was.
    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.unset(name);
        self.variables.push((name, value.into()));
    }

    pub(crate) fn unset(&mut self, name: &str) {
        self.variables.retain(|(known, _)| *known != name);
    }

    pub(crate) fn option(&mut self, name: &str, value: &str) {
        self.arguments.push(name.to_owned());
        if !value.is_empty() {
            self.arguments.push(value.to_owned());
        }
    }

    /// Goes to this cache instead.
    pub(crate) fn cache(&mut self, host: impl Into<String>, port: u16) {
        self.set("REDIS_HOST", host);
        self.set("REDIS_PORT", port.to_string());
    }

    pub(crate) fn keep(&mut self, what: impl Any) {
        self.kept.push(Box::new(what));
    }

    pub(crate) fn refuse(&self, code: u32) {
        self.azure.identity().fault_all(Some(IdentityFault::Aadsts(code)));
    }

    /// Writes a file, and gives its path.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.dir.path().join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    /// Trusts this CA, and no other one.
    pub(crate) fn trust(&mut self, ca_pem: &str) {
        let file = self.file("ca.pem", ca_pem);
        self.set("REDIS_CA_CERT", file);
    }

    /// A managed identity of this client id, or the system-assigned one, and nothing else.
    pub(crate) fn managed_identity(&mut self, client_id: Option<&str>) {
        self.unset("AZURE_CLIENT_SECRET");
        self.unset("AZURE_TENANT_ID");
        self.unset("AZURE_CLIENT_ID");
        if let Some(client_id) = client_id {
            self.set("AZURE_CLIENT_ID", client_id);
        }
    }

    /// A command, whose words are parted by single spaces, to the Redis behind the front.
    pub(crate) async fn tell(&self, line: &str) {
        let redis = self.azure.connect(self.azure.config().pool_size(1)).await;
        common::cmd(line).exec_async(&mut redis.clone()).await.unwrap();
        redis.shutdown().await;
    }

    pub(crate) async fn run(&self) -> Run {
        let arguments: Vec<_> = self.arguments.iter().map(String::as_str).collect();
        child::tool(&arguments, &self.variables).await
    }

    /// The same for people.
    pub(crate) async fn run_for_people(&mut self) -> Run {
        self.arguments.retain(|argument| argument != "--json");
        self.run().await
    }

    pub(crate) fn arguments(&self) -> Vec<String> {
        self.arguments.clone()
    }

    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        self.variables.clone()
    }
}

/// A step of the report.
pub(crate) fn step<'a>(report: &'a Value, name: &str) -> &'a Value {
    let steps = report["steps"].as_array().unwrap();
    steps.iter().find(|step| step["step"] == name).unwrap_or_else(|| panic!("no step {name}: {report}"))
}

/// Certificates that are wrong in some way, with the CA that signed them.
pub(crate) struct Shown {
    pub(crate) name: &'static str,
    pub(crate) issuer: &'static str,
    pub(crate) expired: bool,
}

impl Default for Shown {
    fn default() -> Self {
        Self { name: "localhost", issuer: "test CA", expired: false }
    }
}

impl Shown {
    fn certificates(&self) -> Certificates {
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new([]).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.distinguished_name.push(DnType::CommonName, self.issuer);
        let ca_cert = ca.self_signed(&ca_key).unwrap().pem();
        let key = KeyPair::generate().unwrap();
        let mut leaf = CertificateParams::new([self.name.to_owned()]).unwrap();
        if self.expired {
            leaf.not_before = date_time_ymd(2020, 1, 1);
            leaf.not_after = date_time_ymd(2021, 1, 1);
        }
        let cert = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
        Certificates { ca: ca_cert, cert: cert.pem(), key: key.serialize_pem() }
    }
}

/// A server with such a certificate, which says nothing more; and its CA.
pub(crate) fn tls_server(shown: &Shown) -> (SocketAddr, String) {
    let certificates = shown.certificates();
    let acceptor = tls::acceptor(&certificates);
    let (listener, address) = listener("127.0.0.1:0");
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(mut stream) = acceptor.accept(client).await {
                    _ = stream.read(&mut [0; 1]).await;
                }
            });
        }
    });
    (address, certificates.ca)
}

/// Accepts connections and resets them when something comes, as firewalls do that look at the server name.
pub(crate) fn resetting_server() -> SocketAddr {
    let (listener, address) = listener("127.0.0.1:0");
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            _ = client.read(&mut [0; 1]).await;
            SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        }
    });
    address
}

/// Accepts connections at this address of this machine, and says nothing.
pub(crate) fn silent_server(address: &str) -> SocketAddr {
    let (listener, address) = listener(address);
    tokio::spawn(async move {
        let mut clients = Vec::new();
        while let Ok((client, _)) = listener.accept().await {
            clients.push(client);
        }
    });
    address
}

fn listener(address: &str) -> (TcpListener, SocketAddr) {
    let listener = std::net::TcpListener::bind(address).unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    (TcpListener::from_std(listener).unwrap(), address)
}

/// Waits for all of them, however many of them fail.
pub(crate) async fn in_time<T>(work: impl Future<Output = T>) -> T {
    within("the doctor's report", 40 * SECOND, Box::pin(work)).await
}
