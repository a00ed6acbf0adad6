//! What TLS is told: which name the server has, and a whole configuration of the caller's own.

use common::{
    Azure, SECOND,
    openssl::OpenSsl,
    ports::Refusing,
    server::{Certificates, Server},
    within,
};
use entra_redis::{
    ClientCertificate, Config, Credential, EntraRedis, Error, ErrorKind, Stage, Startup, Tls, emulator::Emulator,
};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd};
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer, pki_types::pem::PemObject};
use std::{env, io, net::SocketAddr, process::Command, sync::Arc, time::Duration};
use tokio::net::TcpListener;

/// Connects under a name that is not in the server's certificate.
async fn connect(emulator: &Azure, tls: Tls) -> Result<EntraRedis, Error> {
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
    let emulator = common::start(Emulator::builder()).await;
    let error = connect(&emulator, emulator.tls()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Tls), "{error:?}");
    assert_works(&connect(&emulator, emulator.tls().server_name("localhost")).await.unwrap()).await;
    // An address as a name is checked as an address.
    assert_works(&connect(&emulator, emulator.tls().server_name("127.0.0.1")).await.unwrap()).await;
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_told_with_what_to_look_at() {
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

/// A CA, and a certificate of a server that it signed, after `change` has changed that.
fn certificates(change: impl FnOnce(&mut CertificateParams)) -> Certificates {
    Certificates::changed("localhost", change)
}

/// One of X.509 version 1, as older versions of `openssl x509 -req` make when they are given no extensions.
fn version_1() -> Option<Certificates> {
    let openssl = OpenSsl::in_a_directory();
    openssl.run("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=CA -keyout ca.key -out ca.pem");
    openssl.run("req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key.pem -out request.pem");
    openssl.run("x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out cert.pem");
    let is_old = openssl.run("x509 -in cert.pem -noout -text").contains("Version: 1");
    is_old.then(|| Certificates {
        ca: openssl.text("ca.pem"),
        cert: openssl.text("cert.pem"),
        key: openssl.text("key.pem"),
    })
}

/// How connecting to a server of one's own fails.
async fn failure(server: &Server, config: Config) -> Error {
    within("an outcome", 20 * SECOND, EntraRedis::connect("localhost", server.port, config)).await.unwrap_err()
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_said_with_what_to_do() {
    let of_a_ca = {
        let mut all = certificates(|leaf| leaf.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
        all.ca.clone_from(&all.cert);
        all
    };
    let made_again = Certificates { ca: Certificates::for_name("localhost").ca, ..Certificates::for_name("localhost") };
    let unknown = {
        let key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new([]).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.distinguished_name.push(DnType::CommonName, "another CA");
        Certificates { ca: ca.self_signed(&key).unwrap().pem(), ..Certificates::for_name("localhost") }
    };
    let for_clients = |leaf: &mut CertificateParams| {
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    };
    let mut cases = vec![
        (of_a_ca, "it is that of a CA", "CA:FALSE"),
        (certificates(|leaf| leaf.subject_alt_names.clear()), "not valid for any names", "subjectAltName"),
        (Certificates::for_name("cache.example"), "only valid for", "Tls::server_name"),
        (certificates(|leaf| leaf.not_after = date_time_ymd(2020, 1, 1)), "certificate expired", "clock"),
        (certificates(|leaf| leaf.not_before = date_time_ymd(2090, 1, 1)), "not valid yet", "clock"),
        (certificates(for_clients), "extended key usage", "serverAuth"),
        (unknown, "UnknownIssuer", "Tls::ca_file"),
        (made_again, "its signature does not fit", "a new CA"),
    ];
    if let Some(old) = version_1() {
        cases.push((old, "it is not of X.509 version 3", "as version 3"));
    }
    for (certificates, what, hint) in cases {
        let server = Server::start_as(&certificates);
        let error = failure(&server, server.config()).await;
        assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
        assert!(error.to_string().contains(what), "{what}: {error}");
        assert!(error.hint().is_some_and(|told| told.contains(hint)), "{hint}: {error}");
    }
}

/// With TLS 1.3 the server says so after the handshake, with TLS 1.2 in it.
#[tokio::test]
async fn a_server_that_wants_a_client_certificate_says_so() {
    let mut server = Server::start();
    for (protocols, what) in [("TLSv1.3", "the server wants a client certificate"), ("TLSv1.2", "HandshakeFailure")] {
        server.kill();
        server.configure(&format!("tls-auth-clients yes\ntls-protocols {protocols}"));
        server.restart();
        let error = failure(&server, server.config()).await;
        assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
        assert!(error.to_string().contains(what), "{protocols}: {error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("Tls::client_cert_file")), "{error}");
        // One that the server does not trust.
        let own = Certificates::for_name("client");
        let stranger = Tls::new().ca_pem(&server.ca_pem).client_cert_pem(own.cert).client_key_pem(own.key);
        let error = failure(&server, server.config().tls(stranger)).await;
        assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("that the server trusts")), "{protocols}: {error}");
    }
    let emulator = common::start(Emulator::builder().client_certificates(true)).await;
    let error = connect(&emulator, emulator.tls().server_name("localhost")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    assert!(error.to_string().contains("the server wants a client certificate"), "{error}");
}

#[tokio::test]
async fn tls_at_a_port_without_it_says_that_tcp_works() {
    let emulator = common::start(Emulator::builder()).await;
    // Redis without TLS waits for the end of a line, unless the handshake happens to hold one.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let nobody = Refusing::new();
    let closed = nobody.address;
    let both = move |_: String, _: u16| async move { Ok::<_, io::Error>(vec![address, closed]) };
    for config in [emulator.config(), emulator.config().resolver(both)] {
        let config = config.connect_timeout(Duration::from_millis(500)).startup_timeout(SECOND);
        let began = std::time::Instant::now();
        let error = EntraRedis::connect("127.0.0.1", address.port(), config).await.unwrap_err();
        assert!(began.elapsed() < 5 * SECOND);
        assert!(error.to_string().contains("TCP works, but TLS is not answered"), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("does this port speak TLS?")), "{error}");
    }
    let server = Server::start();
    let config = server.config().connect_timeout(Duration::from_millis(500)).startup_timeout(SECOND);
    let error = EntraRedis::connect("localhost", server.plain_port, config).await.unwrap_err();
    assert!(error.hint().is_some_and(|hint| hint.contains("does this port speak TLS?")), "{error}");
}

/// The other way round: a port with TLS is spoken to without.
#[tokio::test]
async fn plain_text_at_a_port_with_tls_is_told_from_other_breaks() {
    let server = Server::start();
    let config = server.config().tls(Tls::dangerously_unencrypted()).startup_timeout(SECOND);
    let error = failure(&server, config).await;
    assert!(error.hint().is_some_and(|hint| hint.contains("dangerously_unencrypted")), "{error}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_machine_without_a_ca_store_is_told_what_to_install() {
    const ELSEWHERE: &str = "/no/such/bundle.pem";
    if env::var("SSL_CERT_FILE").is_ok_and(|file| file == ELSEWHERE) {
        let emulator = common::start(Emulator::builder()).await;
        let error = connect(&emulator, Tls::new()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
        assert!(error.to_string().contains("No CA certificates were loaded"), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("ca-certificates")), "{error}");
        return;
    }
    // The environment of this process is everybody's: the test runs once more, in one of its own.
    let mut again = Command::new(env::current_exe().unwrap());
    again.args(["--exact", "tls_settings::a_machine_without_a_ca_store_is_told_what_to_install"]);
    let output = again.env("SSL_CERT_FILE", ELSEWHERE).env("SSL_CERT_DIR", ELSEWHERE).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && shown.contains("1 passed"), "{shown}");
}

/// A pipe that nobody writes to, as a file of a mount that is gone, holds up nobody but `connect`, and that for no
/// longer than `startup_timeout`: then the runtime may end, too, and with it a program that cannot connect.
#[cfg(unix)]
#[tokio::test]
async fn a_file_that_hangs_holds_connect_up_for_the_startup_timeout_alone() {
    let emulator = common::start(Emulator::builder()).await;
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let certificate = Credential::client_certificate("id", ClientCertificate::pem_file(&pipe), "tenant.example");
    for (credential, tls, startup) in [
        (emulator.credential(), Tls::new().ca_file(&pipe), Startup::Wait),
        (emulator.credential(), Tls::new().ca_file(&pipe), Startup::Lazy),
        (certificate, emulator.tls(), Startup::Wait),
    ] {
        let config = emulator.config().credential(credential).tls(tls).startup(startup).startup_timeout(SECOND / 2);
        let (told, program) = tokio::sync::oneshot::channel();
        let began = std::time::Instant::now();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let ticks = async {
                for _ in 0..10 {
                    tokio::time::sleep(SECOND / 100).await;
                }
                std::time::Instant::now()
            };
            let (outcome, ticked) = runtime.block_on(async { tokio::join!(EntraRedis::open(config), ticks) });
            let took = began.elapsed();
            drop(runtime);
            told.send((outcome.unwrap_err(), took, ticked)).unwrap();
        });
        let (error, took, ticked) = common::within("the program's end", 10 * SECOND, program).await.unwrap();
        assert_eq!(error.kind(), ErrorKind::Timeout(Stage::Startup), "{error}");
        assert!(error.to_string().contains("has not been read"), "{error}");
        assert!(took < 4 * SECOND, "{took:?}");
        assert!(ticked < began + took, "other tasks were held up");
    }
}
