//! What TLS is told: which name the server has, and a whole configuration of the caller's own.

mod common;

use common::{SECOND, logs, within};
use entra_redis::{Config, EntraRedis, Error, ErrorKind, Tls, emulator::Emulator};
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer, pki_types::pem::PemObject};
use std::{io, net::SocketAddr, sync::Arc};

/// Connects under a name that is not in the server's certificate.
async fn connect(emulator: &Emulator, tls: Tls) -> Result<EntraRedis, Error> {
    let address = SocketAddr::from(([127, 0, 0, 1], emulator.port()));
    let resolver = move |_: String, _: u16| async move { Ok::<_, io::Error>(vec![address]) };
    let config: Config = emulator.config().tls(tls).resolver(resolver);
    within("an outcome", 10 * SECOND, EntraRedis::connect("cache.example", emulator.port(), config)).await
}

async fn assert_works(redis: &EntraRedis) {
    assert_eq!(redis::cmd("DBSIZE").query_async::<u64>(&mut redis.clone()).await.unwrap(), 0);
}

#[tokio::test]
async fn the_servers_name_can_be_another_one_than_its_hosts() {
    let _logs = logs::watch();
    let emulator = common::start(Emulator::builder()).await;
    let error = connect(&emulator, emulator.tls()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Tls), "{error:?}");
    assert_works(&connect(&emulator, emulator.tls().server_name("localhost")).await.unwrap()).await;
    // An address as a name is checked as an address.
    assert_works(&connect(&emulator, emulator.tls().server_name("127.0.0.1")).await.unwrap()).await;
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_told_with_what_to_look_at() {
    let _logs = logs::watch();
    let emulator = common::start(Emulator::builder()).await;
    let (cert, key) = emulator.client_identity_pem();
    let missing = "/no/such/file.pem";
    for (setting, tls) in [
        ("tls.ca", Tls::new().ca_file(missing)),
        ("tls.client_cert", emulator.tls().client_cert_file(missing).client_key_pem(key)),
        ("tls.client_key", emulator.tls().client_cert_pem(cert).client_key_file(missing)),
    ] {
        let error = connect(&emulator, tls).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
        assert!(error.to_string().starts_with(&format!("`{setting}` cannot be read from {missing}")), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("check that the file is there")), "{error}");
    }
    assert_eq!(emulator.identity().requests(), 0, "something was sent");
}

#[tokio::test]
async fn a_whole_configuration_is_taken_as_it_is() {
    let _logs = logs::watch();
    let emulator = common::start(Emulator::builder()).await;
    let configured = |roots: RootCertStore| {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        Tls::from_rustls(builder.with_root_certificates(roots).with_no_client_auth()).server_name("localhost")
    };
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(emulator.ca_pem().as_bytes()).unwrap()).unwrap();
    assert_works(&connect(&emulator, configured(roots)).await.unwrap()).await;
    let error = connect(&emulator, configured(RootCertStore::empty())).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Tls), "{error:?}");
}
