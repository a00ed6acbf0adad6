//! rustis: a client, a pool, a cluster. It authenticates when it connects, and at no other time.

use super::{LIFETIME, Load, cluster, connections, single, start, tls};
use common::{Azure, SECOND, eventually};
use entra_redis::{
    EntraCredentials,
    emulator::{Emulator, EmulatorBuilder, IdentityFault},
};
use futures_util::StreamExt;
use redis::StreamingCredentialsProvider;
use rustis::{
    Error,
    client::{Client, ClusterConfig, Config, PooledClientManager, ServerConfig, TlsConfig},
    commands::{ConnectionCommands, StringCommands},
};
use rustls::{
    DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use std::{collections::BTreeSet, sync::Arc};
use tokio::sync::watch;

/// rustis asks for `CLUSTER SHARDS`, and takes no node that has a port without TLS beside the one with TLS, as those of
/// [`cluster`] have.
fn embedded_cluster() -> EmulatorBuilder {
    Emulator::builder().token_lifetime(LIFETIME).embedded_cluster(3)
}

fn config(azure: &Azure, credentials: &EntraCredentials) -> Config {
    let mut config = Config::default();
    let mut tls = tls(azure);
    config.server = match azure.cluster() {
        Ok(_) => {
            tls.dangerous().set_certificate_verifier(Arc::new(OfHost::of(azure)));
            let mut cluster = ClusterConfig::default();
            cluster.nodes = vec![(azure.host().to_owned(), azure.port())];
            ServerConfig::Cluster(cluster)
        }
        Err(_) => ServerConfig::Standalone { host: azure.host().to_owned(), port: azure.port() },
    };
    config.tls_config = Some(TlsConfig::new(Arc::new(tls)));
    config.credentials_provider = Some(Arc::new(credentials.clone()));
    config
}

/// The nodes of a cluster are named by IP addresses, the certificate is for the host name: that one is asked for.
#[derive(Debug)]
struct OfHost {
    host: ServerName<'static>,
    verifier: Arc<WebPkiServerVerifier>,
}

impl OfHost {
    fn of(azure: &Azure) -> Self {
        let roots: Arc<RootCertStore> = Arc::new(super::roots(azure));
        let host = azure.host().try_into().unwrap();
        Self { host, verifier: WebPkiServerVerifier::builder(roots).build().unwrap() }
    }
}

impl ServerCertVerifier for OfHost {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _dialled: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verifier.verify_server_cert(certificate, intermediates, &self.host, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

async fn ask(client: &Client, key: &str, value: &str) -> Result<String, Error> {
    client.set(key, value).await?;
    client.get(key).await
}

/// Every connection has been cut, three times at least, and has come back.
#[track_caller]
fn assert_cut(load: &Load) {
    assert!(load.answered > 1_000, "{load:?}");
    assert_eq!((load.reauths(), load.after.rejected), (0, 0), "{load:?}");
    assert!(load.after.accepted >= load.before.accepted + 2 * load.connections, "{load:?}");
}

/// The only error that callers see.
#[track_caller]
fn assert_disconnected(load: &Load) {
    let errors: BTreeSet<_> = load.errors.iter().filter_map(|error| error.split(" (").next()).collect();
    assert_eq!(errors, BTreeSet::from(["Disconnected by peer"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_cut_when_its_token_expires_and_connects_again() {
    let (azure, credentials) = start(single()).await;
    let client = Client::connect(config(&azure, &credentials)).await.unwrap();
    drop(credentials);
    let load = Load::through_cuts(&azure, async |key, value| ask(&client, key, value).await).await;
    assert_cut(&load);
    // What was under way, and what came until the connection was back.
    assert_disconnected(&load);
}

/// What runs twice without harm can be sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_its_retries_no_command_fails() {
    let (azure, credentials) = start(single()).await;
    let mut config = config(&azure, &credentials);
    config.retry_on_error = true;
    let client = Client::connect(config).await.unwrap();
    let load = Load::through_cuts(&azure, async |key, value| ask(&client, key, value).await).await;
    assert_cut(&load);
    assert_eq!(load.errors, [""; 0], "{load:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_a_pool_are_cut_and_connect_again() {
    let (azure, credentials) = start(single()).await;
    let manager = PooledClientManager::new(config(&azure, &credentials)).unwrap();
    let pool = bb8::Pool::builder().max_size(4).min_idle(4).build(manager).await.unwrap();
    let load = Load::through_cuts(&azure, async |key, value| -> Result<String, String> {
        let client = pool.get().await.map_err(|error| error.to_string())?;
        let text = |error: Error| error.to_string();
        client.set(key, value).await.map_err(text)?;
        client.get(key).await.map_err(text)
    })
    .await;
    assert_eq!(load.connections, 4);
    assert_cut(&load);
    assert_disconnected(&load);
}

/// It asks for `CLUSTER SHARDS`, which Azure Managed Redis does not have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_cluster_as_azure_has_it_there_is_no_connection() {
    for builder in [cluster(), embedded_cluster().amr_strict()] {
        let (azure, credentials) = start(builder).await;
        let error = Client::connect(config(&azure, &credentials)).await.err().unwrap();
        assert_eq!(error.to_string(), "client error: Cluster misconfiguration");
    }
}

/// As the guide has it: `AUTH` by hand, which rustis sends to all nodes.
///
/// On a cluster no connection must be cut. rustis 0.27.2 takes the end of a node's connection there for a reply, if it
/// finds it while it looks for further replies (`ClusterConnection::try_read`; "Received a reply no request awaited"):
/// it fails other commands by that, and looks again at once, without end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_authenticated_by_hand_is_not_cut() {
    for builder in [single(), embedded_cluster()] {
        let (azure, credentials) = start(builder).await;
        let client = Client::connect(config(&azure, &credentials)).await.unwrap();
        let mut tokens = credentials.subscribe();
        let by_hand = client.clone();
        let by_hand = tokio::spawn(async move {
            while let Some(token) = tokens.next().await {
                if let Ok(token) = token {
                    by_hand.auth(token.username(), token.password()).await.unwrap();
                }
            }
        });
        let load = Load::through_rotations(&azure, async |key, value| ask(&client, key, value).await).await;
        load.assert_renewed();
        assert_eq!(load.expired(), 0, "{load:?}");
        by_hand.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_told_why_there_is_no_token_and_serves_once_there_is_one() {
    let (azure, _) = start(single()).await;
    azure.identity().fault_all(Some(IdentityFault::WrongSecret));
    let none = EntraCredentials::start(azure.credential(), common::by_ratio(0.5)).unwrap();
    let error = Client::connect(config(&azure, &none)).await.err().unwrap();
    common::logs::check(&format!("{error} {error:?}"));
    assert!(error.to_string().contains("AADSTS7000215"), "{error}");

    azure.identity().fault_all(None);
    let client =
        eventually("a connection", 20 * SECOND, async || Client::connect(config(&azure, &none)).await.ok()).await;
    assert_eq!(ask(&client, "key", "value").await.unwrap(), "value");
}

/// As the guide has it: a new client for each new token. rustis asks the provider when it connects, so that none of its
/// connections is there any more when its token expires; so too on a cluster, where a cut does the harm told above.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_for_each_token_is_never_cut() {
    for builder in [single(), embedded_cluster()] {
        let (azure, credentials) = start(builder).await;
        let mut tokens = credentials.subscribe();
        tokens.next().await.unwrap().unwrap();
        let client = Client::connect(config(&azure, &credentials)).await.unwrap();
        let (newest, client) = watch::channel(client);
        let replace = async {
            while let Some(token) = tokens.next().await {
                let mut is_due = token.is_ok();
                while is_due {
                    match Client::connect(config(&azure, &credentials)).await {
                        Ok(next) => {
                            // The one before ends when the last command that is under way has dropped its clone.
                            newest.send_replace(next);
                            is_due = false;
                        }
                        Err(error) => {
                            eprintln!("the client with the old token stays in use: {error}");
                            tokio::time::sleep(SECOND).await;
                        }
                    }
                }
            }
        };
        let load = Load::through_rotations(&azure, async |key, value| {
            let client = client.borrow().clone();
            ask(&client, key, value).await
        });
        let load = tokio::select! {
            load = load => load,
            () = replace => unreachable!("tokens do not end"),
        };
        assert_eq!(load.errors, [""; 0], "{load:?}");
        assert!(load.answered > 1_000, "{load:?}");
        assert_eq!((load.expired(), load.reauths(), load.after.rejected), (0, 0, 0), "{load:?}");
        assert!(load.after.accepted >= load.before.accepted + 3 * load.connections, "{load:?}");
        eventually("the connections of one client alone", 10 * SECOND, async || {
            (connections(&azure) <= load.connections).then_some(())
        })
        .await;
    }
}
