//! A redis-server that is a node of a cluster.

use super::{
    directory::{Directory, apart},
    wait::Patience,
};
use crate::{
    emulator::{
        backend::{Backend, missing},
        cluster::ports::Ports,
    },
    lock::lock,
};
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, Pipeline, RedisError, aio::MultiplexedConnection};
use std::{
    fs, io,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

/// An answer from a server on the same machine takes no longer, unless its process is stopped.
const PATIENCE: Duration = Duration::from_secs(5);

const LONGEST_TEXT: usize = 200;

/// What all servers of a cluster are started with.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) node_timeout: Duration,
    pub(super) full_coverage: bool,
}

/// Killed when dropped.
pub(in crate::emulator::cluster) struct Server {
    pub(in crate::emulator::cluster) ports: Ports,
    path: PathBuf,
    directory: Arc<Directory>,
    child: Mutex<Option<Child>>,
}

impl Server {
    /// Starts one whose clients are shown the port of a front.
    pub(super) async fn start(
        directory: &Arc<Directory>,
        name: &str,
        front_port: u16,
        settings: &Settings,
    ) -> io::Result<Self> {
        let ports = Ports::free()?;
        let path = directory.path().join(name);
        // What was tried on other ports is no longer of use.
        _ = fs::remove_dir_all(&path);
        fs::create_dir(&path)?;
        let server = Self { ports, path, directory: Arc::clone(directory), child: Mutex::new(None) };
        fs::write(server.path.join("redis.conf"), server.configuration(settings))?;
        server.run(front_port).await?;
        Ok(server)
    }

    fn configuration(&self, settings: &Settings) -> String {
        let Ports { plain, tls, bus, .. } = &self.ports;
        let file = |name: &str| quoted(&self.directory.path().join(name).display().to_string());
        let yes_or_no = |is: bool| if is { "yes" } else { "no" };
        format!(
            "bind 127.0.0.1\nport {plain}\ntls-port {tls}\ntls-auth-clients no\ntls-cluster yes\ntls-replication yes\n\
             tls-cert-file {}\ntls-key-file {}\ntls-ca-cert-file {}\n\
             cluster-enabled yes\ncluster-config-file nodes.conf\ncluster-node-timeout {}\n\
             cluster-replica-validity-factor 0\ncluster-allow-replica-migration no\n\
             cluster-require-full-coverage {}\n\
             cluster-announce-ip 127.0.0.1\ncluster-announce-tls-port {tls}\n\
             cluster-announce-bus-port {bus}\n\
             repl-diskless-sync yes\nrepl-diskless-sync-delay 0\nsave \"\"\nappendonly no\ndir {}\nlogfile redis.log\n",
            file("node.pem"),
            file("node.key"),
            file("ca.pem"),
            settings.node_timeout.as_millis(),
            yes_or_no(settings.full_coverage),
            quoted(&self.path.display().to_string()),
        )
    }

    /// Starts the process and waits until it answers. Its clients are shown the port of a front.
    pub(super) async fn run(&self, front_port: u16) -> io::Result<()> {
        let mut command = Command::new("redis-server");
        let errors = fs::File::create(self.path.join("stderr"))?;
        command.args(["redis.conf", "--cluster-announce-port", &front_port.to_string()]).current_dir(&self.path);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        let child = apart(&mut command).spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => missing(&error),
            _ => error,
        })?;
        self.directory.began(child.id());
        *lock(&self.child) = Some(child);
        let patience = Patience::new("a redis-server answers");
        while let Err(failure) = self.ask::<String>(&redis::cmd("PING")).await {
            if self.has_ended()? {
                return Err(self.explained());
            }
            patience.after(failure).await?;
        }
        Ok(())
    }

    fn has_ended(&self) -> io::Result<bool> {
        match lock(&self.child).as_mut() {
            Some(child) => Ok(child.try_wait()?.is_some()),
            None => Ok(true),
        }
    }

    /// Why it has not started, as far as it says so.
    fn explained(&self) -> io::Error {
        let read = |name: &str| fs::read_to_string(self.path.join(name)).unwrap_or_default();
        let (log, errors) = (read("redis.log"), read("stderr"));
        let said: Vec<_> = errors.lines().chain(log.lines().last()).filter(|line| !line.is_empty()).collect();
        let said = said.join("; ");
        io::Error::other(format!("redis-server ended at once; a cluster needs 6.2 or newer, built with TLS: {said}"))
    }

    /// What a front passes commands on to.
    pub(super) fn backend(&self) -> Backend {
        Backend::Address(format!("127.0.0.1:{}", self.ports.plain))
    }

    /// A connection that tells and asks it things.
    pub(super) async fn admin(&self) -> io::Result<Admin> {
        let client = Client::open(format!("redis://127.0.0.1:{}/", self.ports.plain)).map_err(io::Error::other)?;
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(PATIENCE)).set_response_timeout(Some(PATIENCE));
        let connection = client.get_multiplexed_async_connection_with_config(&config).await;
        Ok(Admin(connection.map_err(io::Error::other)?))
    }

    pub(super) async fn ask<T: FromRedisValue>(&self, cmd: &Cmd) -> io::Result<T> {
        self.admin().await?.ask(cmd).await
    }

    /// None while it does not run.
    pub(in crate::emulator::cluster) fn pid(&self) -> Option<u32> {
        lock(&self.child).as_ref().map(Child::id)
    }

    /// Ends it as a crash would.
    pub(super) fn kill(&self) {
        if let Some(mut child) = lock(&self.child).take() {
            _ = child.kill();
            _ = child.wait();
            self.directory.ended(child.id());
        }
    }

    /// Sends its process a signal, by its name.
    pub(super) async fn signal(&self, name: &str) -> io::Result<()> {
        let pid = self.pid().ok_or_else(|| io::Error::other("the node does not run"))?;
        // Every shell has it built in; the program of that name may be missing.
        let command = format!("kill -{name} {pid}");
        let status = tokio::process::Command::new("sh").arg("-c").arg(&command).status().await?;
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("{command}: {status}"))) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(super) struct Admin(MultiplexedConnection);

impl Admin {
    pub(super) async fn ask<T: FromRedisValue>(&mut self, cmd: &Cmd) -> io::Result<T> {
        cmd.query_async(&mut self.0).await.map_err(io::Error::other)
    }

    /// All of them in one go; an error if one is.
    pub(super) async fn ask_all<T: FromRedisValue>(
        &mut self,
        cmds: impl IntoIterator<Item = Cmd>,
    ) -> io::Result<Vec<T>> {
        let mut pipeline = Pipeline::new();
        for cmd in cmds {
            pipeline.add_command(cmd);
        }
        // Each of them may have failed in the same way.
        let brief = |error: RedisError| error.to_string().chars().take(LONGEST_TEXT).collect::<String>();
        pipeline.query_async(&mut self.0).await.map_err(|error| io::Error::other(brief(error)))
    }
}

/// A word of a configuration file.
fn quoted(word: &str) -> String {
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}
