//! What this crate has for other clients and frameworks, on those themselves: through three rotations at least, alone,
//! pooled and on a cluster, with all errors counted.
//!
//! A token lives for four seconds, and the emulator cuts every connection whose token has expired, as Azure does.

mod apalis_jobs;
mod fred_clients;
mod redis_crate;
mod rustis_clients;

use common::{Azure, SECOND, by_ratio};
use entra_redis::{
    EntraCredentials,
    emulator::{Emulator, EmulatorBuilder, FrontStats},
};
use futures_util::future::join_all;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{
    fmt::Display,
    io,
    sync::Arc,
    time::{Duration, Instant},
};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

const LIFETIME: Duration = Duration::from_secs(4);

/// So many tokens are asked for in a test: four rotations; the first three of the tokens have expired by then.
const TOKENS: u64 = 5;

/// Who sends commands, at the same time.
const TASKS: usize = 8;

fn single() -> EmulatorBuilder {
    Emulator::builder().token_lifetime(LIFETIME).redis_server()
}

/// Of redis-servers that refuse what Azure Managed Redis refuses.
fn cluster() -> EmulatorBuilder {
    Emulator::builder().token_lifetime(LIFETIME).cluster(3).amr_strict()
}

/// The emulator, and our tokens for it, which are renewed every two seconds.
async fn start(builder: EmulatorBuilder) -> (Azure, EntraCredentials) {
    watch_logs();
    // The `redis` crate and fred leave that to the process. If another test has chosen already, it has chosen the same.
    _ = default_provider().install_default();
    let azure = common::start(builder).await;
    let credentials = EntraCredentials::start(azure.credential(), by_ratio(0.5)).unwrap();
    (azure, credentials)
}

/// All logs are searched for secrets. But rustis logs every command with its arguments at DEBUG, so the token as well.
fn watch_logs() {
    let levels = Targets::new().with_default(LevelFilter::TRACE).with_target("rustis", LevelFilter::INFO);
    let search = tracing_subscriber::fmt::layer().with_writer(|| Search);
    // If another test has done it already, it has done the same.
    _ = tracing_subscriber::registry().with(search.with_filter(levels)).try_init();
}

struct Search;

impl io::Write for Search {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        common::logs::check(&String::from_utf8_lossy(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The clients' TLS, which trusts the emulator.
fn tls(azure: &Azure) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(azure))
        .with_no_client_auth()
}

fn roots(azure: &Azure) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(azure.ca_pem().as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    roots
}

/// What the fronts of all nodes have seen.
fn seen(azure: &Azure) -> FrontStats {
    let mut all = FrontStats::default();
    for front in azure.redis_fronts() {
        let stats = front.stats();
        all.accepted += stats.accepted;
        all.authentications += stats.authentications;
        all.reauths += stats.reauths;
        all.rejected += stats.rejected;
        all.expired += stats.expired;
        all.commands += stats.commands;
    }
    all
}

/// How many connections are open.
fn connections(azure: &Azure) -> u64 {
    azure.redis_fronts().iter().map(|front| front.connection_count() as u64).sum()
}

/// What became of the commands that were sent through rotations.
#[derive(Debug, Default)]
struct Load {
    answered: u64,
    errors: Vec<String>,
    /// Connections when it began.
    connections: u64,
    /// What the fronts have seen meanwhile.
    before: FrontStats,
    after: FrontStats,
}

impl Load {
    /// Sends from [`TASKS`] tasks until [`TOKENS`] have been asked for. `ask` writes a value and reads it again.
    async fn through_rotations<E: Display>(azure: &Azure, ask: impl AsyncFn(&str, &str) -> Result<String, E>) -> Self {
        Self::until(azure, || azure.identity().requests() >= TOKENS, ask).await
    }

    /// The same, until every connection that there was has been cut three times.
    async fn through_cuts<E: Display>(azure: &Azure, ask: impl AsyncFn(&str, &str) -> Result<String, E>) -> Self {
        let cuts = 3 * connections(azure);
        Self::until(azure, || seen(azure).expired >= cuts, ask).await
    }

    async fn until<E: Display>(
        azure: &Azure,
        is_over: impl Fn() -> bool,
        ask: impl AsyncFn(&str, &str) -> Result<String, E>,
    ) -> Self {
        let (connections, before) = (connections(azure), seen(azure));
        let deadline = Instant::now() + 60 * SECOND;
        let (ask, is_over) = (&ask, &is_over);
        let task = async |task: usize| {
            let (mut answered, mut errors, mut turn) = (0, Vec::new(), 0);
            while !is_over() {
                assert!(Instant::now() < deadline, "{} tokens", azure.identity().requests());
                // Over all slots of a cluster.
                let (key, value) = (format!("{task}:{}", turn % 50), turn.to_string());
                match ask(&key, &value).await {
                    Ok(read) => {
                        assert_eq!(read, value, "{key}");
                        answered += 1;
                    }
                    Err(error) => errors.push(error.to_string()),
                }
                turn += 1;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            (answered, errors)
        };
        let mut load = Self { connections, before, ..Self::default() };
        for (answered, errors) in join_all((0..TASKS).map(task)).await {
            load.answered += answered;
            load.errors.extend(errors);
        }
        load.after = seen(azure);
        for error in &load.errors {
            common::logs::check(error);
        }
        load
    }

    /// Nobody has noticed: no error, no new connection, no cut.
    #[track_caller]
    fn assert_unharmed(&self) {
        self.assert_renewed();
        assert_eq!(self.expired(), 0, "{self:?}");
        assert_eq!(self.after.accepted, self.before.accepted, "{self:?}");
    }

    /// No error, and each connection that there was has been authenticated again for each token.
    #[track_caller]
    fn assert_renewed(&self) {
        assert_eq!(self.errors, [""; 0], "{self:?}");
        assert!(self.answered > 1_000, "{self:?}");
        assert_eq!(self.after.rejected, 0, "{self:?}");
        assert!(self.connections > 0 && self.reauths() >= 3 * self.connections, "{self:?}");
    }

    fn reauths(&self) -> u64 {
        self.after.reauths - self.before.reauths
    }

    fn expired(&self) -> u64 {
        self.after.expired - self.before.expired
    }
}
