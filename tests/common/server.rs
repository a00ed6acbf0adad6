//! A real redis-server that speaks TLS, with a certificate made on the spot.

use super::{
    eventually, links_up,
    logs::{self, Watch},
};
use entra_redis::{AccessToken, Config, Credential, EntraRedis, Tls};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisResult, Value, aio::MultiplexedConnection};
use std::{
    fs::{self, OpenOptions},
    io::Write,
    net::{Ipv4Addr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A CA, a certificate signed by it, and the certificate's key, in PEM.
pub struct Certificates {
    pub ca: String,
    pub cert: String,
    pub key: String,
}

impl Certificates {
    pub fn for_name(name: &str) -> Self {
        Self::changed(name, |_| {})
    }

    /// The same, after `change` has changed the certificate.
    pub fn changed(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new([]).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.distinguished_name.push(DnType::CommonName, "test CA");
        let ca_cert = ca.self_signed(&ca_key).unwrap().pem();
        let key = KeyPair::generate().unwrap();
        let mut leaf = CertificateParams::new([name.to_owned()]).unwrap();
        leaf.distinguished_name.push(DnType::CommonName, name);
        change(&mut leaf);
        let cert = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
        Self { ca: ca_cert, cert: cert.pem(), key: key.serialize_pem() }
    }
}

/// A redis-server of this test's own, killed when dropped. While it lives the logs are searched for secrets.
pub struct Server {
    child: Child,
    _dir: TempDir,
    pub port: u16,
    /// The same server without TLS.
    pub plain_port: u16,
    pub ca_pem: String,
    conf: String,
    /// It comes back to its ports.
    _kept: [UdpSocket; 2],
    _logs: Option<Watch>,
}

impl Server {
    /// Starts a server that accepts any password for the user `tester`, over TLS.
    pub fn start() -> Self {
        Self::start_as(&Certificates::for_name("localhost"))
    }

    /// The same without the watch on the logs, which takes time and memory for each command.
    pub fn start_unwatched() -> Self {
        Self::launch(&Certificates::for_name("localhost"), false)
    }

    /// Makes it a replica of `primary`; waits until it has everything.
    pub async fn follow(&self, primary: &Self) {
        self.admin().await.run(&format!("REPLICAOF 127.0.0.1 {}", primary.plain_port)).await;
        let mut admin = primary.admin().await;
        eventually("the replica is in step", Duration::from_secs(20), async || {
            admin.ask::<String>("INFO replication").await.contains("state=online").then_some(())
        })
        .await;
    }

    /// Two such servers that go by the same name, with certificates of one CA.
    pub fn twins() -> (Self, Self) {
        let certificates = Certificates::for_name("localhost");
        (Self::start_as(&certificates), Self::start_as(&certificates))
    }

    /// Starts one with these certificates.
    pub fn start_as(certificates: &Certificates) -> Self {
        Self::launch(certificates, true)
    }

    fn launch(certificates: &Certificates, watched: bool) -> Self {
        // Another program may take the port before redis-server does.
        let started = (0..5).find_map(|_| Self::start_on(kept_port(), kept_port(), certificates, watched));
        started.expect("redis-server does not start: run it by hand to see why")
    }

    fn start_on(
        (port, kept): (u16, UdpSocket),
        (plain_port, plain_kept): (u16, UdpSocket),
        certificates: &Certificates,
        watched: bool,
    ) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path: PathBuf = dir.path().join(name);
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let conf = format!(
            "port {plain_port}\ntls-port {port}\nbind 127.0.0.1\ntls-auth-clients no\nsave \"\"\nappendonly no\n\
             tls-cert-file {}\ntls-key-file {}\ntls-ca-cert-file {}\ndir {}\nlogfile redis.log\n\
             enable-debug-command local\nrepl-diskless-sync-delay 0\n\
             loading-process-events-interval-bytes 1024\n\
             user tester on nopass ~* &* +@all\n",
            file("cert.pem", &certificates.cert),
            file("key.pem", &certificates.key),
            file("ca.pem", &certificates.ca),
            dir.path().display(),
        );
        let conf = file("redis.conf", &conf);
        let child = spawn(&conf)?;
        let ca_pem = certificates.ca.clone();
        let (kept, logs) = ([kept, plain_kept], watched.then(logs::watch));
        Some(Self { child, _dir: dir, port, plain_port, ca_pem, conf, _kept: kept, _logs: logs })
    }

    /// Kills the server as a crash would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same port, with what was saved before, if anything was.
    pub fn restart(&mut self) {
        self.child = spawn(&self.conf).expect("redis-server starts again");
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Adds a line to the configuration, for the next [`restart`](Self::restart).
    pub fn configure(&self, line: &str) {
        let mut file = OpenOptions::new().append(true).open(&self.conf).unwrap();
        writeln!(file, "{line}").unwrap();
    }

    /// Stops the process where it stands, with its connections open (SIGSTOP).
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets it go on (SIGCONT).
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        // Every shell has it built in; the program of that name may be missing.
        let status = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.pid())).status().unwrap();
        assert!(status.success(), "kill -{name}: {status}");
    }

    /// Settings with which [`connect`](Self::connect) works.
    pub fn config(&self) -> Config {
        let token = || async { AccessToken::opaque("any token", Duration::from_secs(3600), "tester") };
        Config::new(Credential::custom(token)).tls(Tls::new().ca_pem(&self.ca_pem))
    }

    pub async fn connect(&self, config: Config) -> EntraRedis {
        EntraRedis::connect("localhost", self.port, config).await.unwrap()
    }

    /// A handle, all of whose links are up.
    pub async fn up(&self, config: Config, links: usize) -> EntraRedis {
        let redis = self.connect(config.pool_size(links)).await;
        links_up(&redis, links).await;
        redis
    }

    /// A connection beside all links: of another user, without TLS, without a timeout.
    pub async fn admin(&self) -> Admin {
        let client = Client::open(format!("redis://127.0.0.1:{}/", self.plain_port)).unwrap();
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        Admin(client.get_multiplexed_async_connection_with_config(&config).await.unwrap())
    }
}

/// A connection that looks after a server.
pub struct Admin(MultiplexedConnection);

impl Admin {
    /// Runs a command, whose words are parted by single spaces.
    pub async fn ask<T: FromRedisValue>(&mut self, line: &str) -> T {
        let answer = super::cmd(line).query_async::<T>(&mut self.0).await;
        answer.unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// What a command is answered with.
    pub async fn answer(&mut self, cmd: &Cmd) -> RedisResult<Value> {
        cmd.query_async(&mut self.0).await
    }

    /// As [`ask`](Self::ask), whatever it answers but an error.
    pub async fn run(&mut self, line: &str) {
        self.ask::<Value>(line).await;
    }

    /// Closes the connections of all links; returns how many.
    pub async fn kill_links(&mut self) -> u64 {
        self.ask("CLIENT KILL USER tester").await
    }

    /// Closes the connection of one link, picked at random; returns how many were closed.
    pub async fn kill_a_link(&mut self, random: &mut fastrand::Rng) -> u64 {
        self.kill_one(random, |_| true).await
    }

    /// The same of those links that have counted something within this second.
    pub async fn kill_a_busy_link(&mut self, random: &mut fastrand::Rng) -> u64 {
        let counts = |link: &str| [" cmd=incr", " cmd=exec"].iter().any(|cmd| link.contains(cmd));
        self.kill_one(random, |link| link.contains(" idle=0 ") && counts(link)).await
    }

    async fn kill_one(&mut self, random: &mut fastrand::Rng, is_meant: impl Fn(&str) -> bool) -> u64 {
        let list: String = self.ask("CLIENT LIST").await;
        let is_link = |line: &&str| line.contains(" user=tester ") && is_meant(line);
        let links: Vec<_> = list.lines().filter(is_link).collect();
        let Some(link) = random.choice(&links) else {
            return 0;
        };
        let id = link.split(' ').next().and_then(|field| field.strip_prefix("id=")).unwrap();
        self.kill_connection(id.parse().unwrap()).await
    }

    /// Closes the connection of this number; returns how many were closed.
    pub async fn kill_connection(&mut self, id: u64) -> u64 {
        self.ask(&format!("CLIENT KILL ID {id}")).await
    }

    /// Waits until no connection of a link is left.
    pub async fn links_gone(&mut self) {
        eventually("the links' connections are closed", Duration::from_secs(10), async || {
            let list: String = self.ask("CLIENT LIST").await;
            (!list.contains(" user=tester ")).then_some(())
        })
        .await;
    }
}

/// The server's number of the connection on which this client's commands travel now: that of the one of them that asks.
pub async fn busy_connection(redis: &EntraRedis) -> RedisResult<u64> {
    let list: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut redis.clone()).await?;
    // Only a connection whose command is just being run holds arguments.
    let asks = |line: &&str| line.contains(" cmd=client|list ") && !line.contains(" argv-mem=0 ");
    let asking = list.lines().find(asks).expect("the connection that asks");
    Ok(asking.split(' ').next().and_then(|field| field.strip_prefix("id=")).unwrap().parse().unwrap())
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// None if the server ended at once, because its port was taken for example.
fn spawn(conf: &str) -> Option<Child> {
    // Its own word, which it says when it listens: whoever else has taken a port would answer there, too.
    let log = Path::new(conf).with_file_name("redis.log");
    _ = fs::remove_file(&log);
    let child = Command::new("redis-server").arg(conf).stdout(Stdio::null()).spawn();
    let mut child =
        child.expect("redis-server is needed for this test: `make test` installs it, or apt-get install redis-server");
    let deadline = Instant::now() + Duration::from_secs(20);
    while !fs::read_to_string(&log).unwrap_or_default().contains("Server initialized") {
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        assert!(Instant::now() < deadline, "redis-server does not listen");
        std::thread::sleep(Duration::from_millis(5));
    }
    Some(child)
}

/// A port for a server that comes back to it, kept as the emulator keeps its own: no outgoing connection is given one
/// below 32,000, and whoever chooses one takes the same number for UDP first.
fn kept_port() -> (u16, UdpSocket) {
    let mut tries = std::iter::repeat_with(|| fastrand::u16(10_240..32_000));
    let kept = |port| {
        let kept = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok().then_some((port, kept))
    };
    tries.find_map(kept).expect("there is always another one")
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}
