//! Each kind of credential, from its token request to a command that Redis answers.

use common::{Azure, HOUR, SECOND, eventually, logs, openssl::OpenSsl, server::Server};
use entra_redis::{
    AccessToken, ClientCertificate, Cloud, Config, Credential, EntraRedis, Error, ErrorKind, ManagedIdentity, Secret,
    Tls,
    emulator::{Emulator, IdentityFault},
};
use redis::AsyncCommands;
use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

const PASSWORD: &str = "passw0rd-of-the-file";

async fn azure() -> Azure {
    common::start(Emulator::builder()).await
}

/// Writes and reads a key with this credential; returns the user name that Redis took its token for.
async fn user_of(emulator: &Azure, credential: Credential) -> String {
    let config = Config::new(credential).tls(emulator.tls()).pool_size(1);
    let shown = format!("{config:?}");
    let redis = emulator.try_connect(config).await;
    let redis = redis.unwrap_or_else(|error| panic!("{shown}: {error}"));
    write_and_read(&redis).await;
    redis.manager().stats().token.unwrap().username
}

async fn write_and_read(redis: &EntraRedis) {
    let mut con = redis.clone();
    let _: () = con.set("key", "value").await.unwrap();
    assert_eq!(con.get::<_, String>("key").await.unwrap(), "value");
}

async fn refused(credential: &Credential) -> Error {
    let error = credential.token_source().unwrap().fetch().await.unwrap_err();
    logs::check(&format!("{error} {error:?}"));
    error
}

fn user_assigned(emulator: &Azure) -> [ManagedIdentity; 3] {
    [
        ManagedIdentity::UserAssignedClientId(emulator.user_assigned_client_id().to_owned()),
        ManagedIdentity::UserAssignedObjectId(emulator.user_assigned_object_id().to_owned()),
        ManagedIdentity::UserAssignedResourceId(emulator.user_assigned_resource_id().to_owned()),
    ]
}

fn workload(emulator: &Azure, file: &Path) -> Credential {
    let credential = Credential::workload_identity_with(emulator.client_id(), emulator.tenant_id(), file);
    credential.authority_host(emulator.authority_host())
}

#[tokio::test]
async fn a_service_principal_by_its_secret() {
    let emulator = azure().await;
    logs::forbid(emulator.client_secret());
    assert_eq!(user_of(&emulator, emulator.credential()).await, emulator.object_id());
    let (client, tenant) = (emulator.client_id(), emulator.tenant_id());
    let by_id = Credential::service_principal(client, emulator.client_secret(), tenant)
        .authority_host(emulator.authority_host())
        .scope("acca5fbb-b7e4-4009-81f1-37e38fd66d78/.default");
    assert_eq!(user_of(&emulator, by_id).await, emulator.object_id());
    assert_eq!(emulator.identity().requests(), 2);
}

#[tokio::test]
async fn a_service_principal_by_its_certificate_in_every_form() {
    logs::forbid(PASSWORD);
    let emulator = azure().await;
    let pem = emulator.client_certificate_pem();
    let openssl = OpenSsl::in_a_directory();
    let file = openssl.write("app.pem", &pem);
    openssl.run(&format!("pkcs12 -export -in app.pem -out app.pfx -passout pass:{PASSWORD}"));
    // As Windows has always written them.
    let old = "-certpbe PBE-SHA1-3DES -keypbe PBE-SHA1-3DES -macalg sha1";
    openssl.run(&format!("pkcs12 -export -in app.pem -out old.pfx -passout pass:{PASSWORD} {old}"));
    for (form, certificate) in [
        ("PEM", ClientCertificate::pem(pem)),
        ("a PEM file", ClientCertificate::pem_file(&file)),
        ("PKCS#12", ClientCertificate::pkcs12(openssl.read("app.pfx"), PASSWORD)),
        ("an old PKCS#12 file", ClientCertificate::pkcs12_file(openssl.path("old.pfx"), PASSWORD)),
        ("either, PEM", ClientCertificate::file(&file, "")),
        ("either, PKCS#12", ClientCertificate::file(openssl.path("app.pfx"), PASSWORD)),
    ] {
        for send_chain in [false, true] {
            let certificate = certificate.clone().send_chain(send_chain);
            let credential = Credential::client_certificate(emulator.client_id(), certificate, emulator.tenant_id());
            let user = user_of(&emulator, credential.authority_host(emulator.authority_host())).await;
            assert_eq!(user, emulator.object_id(), "{form}");
        }
    }
}

#[tokio::test]
async fn a_certificate_that_is_replaced_on_disk_is_used_from_then_on() {
    let emulator = azure().await;
    let openssl = OpenSsl::in_a_directory();
    let file = openssl.write("app.pem", emulator.client_certificate_pem());
    let certificate = ClientCertificate::pem_file(file);
    let credential = Credential::client_certificate(emulator.client_id(), certificate, emulator.tenant_id())
        .authority_host(emulator.authority_host());
    let source = credential.token_source().unwrap();
    source.fetch().await.unwrap();

    // Until somebody uploads the new one, it is refused.
    openssl.run("req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=app");
    openssl.write("app.pem", format!("{}{}", openssl.text("key.pem"), openssl.text("cert.pem")));
    assert_eq!(source.fetch().await.unwrap_err().aadsts(), Some(700_027));
    emulator.register_certificate(&openssl.text("cert.pem")).unwrap();
    assert!(source.fetch().await.is_ok());
    assert_eq!(user_of(&emulator, credential).await, emulator.object_id());
}

#[tokio::test]
async fn a_callers_assertion_is_asked_for_at_every_exchange() {
    let emulator = azure().await;
    let made = Arc::new(AtomicU64::new(0));
    let (counter, token) = (Arc::clone(&made), emulator.federated_token());
    let assertion = move || {
        counter.fetch_add(1, Relaxed);
        let assertion = Secret::new(token.as_str());
        async move { Ok(assertion) }
    };
    let credential = Credential::client_assertion(emulator.client_id(), assertion, emulator.tenant_id())
        .authority_host(emulator.authority_host());
    assert_eq!(user_of(&emulator, credential.clone()).await, emulator.object_id());
    let source = credential.token_source().unwrap();
    assert_eq!(source.fetch().await.unwrap().source(), Some("client-assertion"));
    // One that Entra ID calls late is made again, once.
    emulator.identity().script([IdentityFault::AssertionExpired]);
    assert!(source.fetch().await.is_ok());
    assert_eq!((made.load(Relaxed), emulator.identity().requests()), (4, 4));

    let failing = || async { Err(Error::new(ErrorKind::CredentialUnavailable, "the HSM is locked")) };
    let credential = Credential::client_assertion(emulator.client_id(), failing, emulator.tenant_id())
        .authority_host(emulator.authority_host());
    let error = refused(&credential).await;
    assert!(error.to_string().contains("the HSM is locked"), "{error}");
    assert_eq!(emulator.identity().requests(), 4);
}

#[tokio::test]
async fn the_managed_identities_of_a_virtual_machine() {
    let emulator = azure().await;
    let through_imds = |identity| Credential::managed_identity(identity).imds_host(emulator.imds_host());
    let user = user_of(&emulator, through_imds(ManagedIdentity::SystemAssigned)).await;
    assert_eq!(user, emulator.object_id());
    for identity in user_assigned(&emulator) {
        let user = user_of(&emulator, through_imds(identity.clone())).await;
        assert_eq!(user, emulator.user_assigned_object_id(), "{identity:?}");
    }
}

#[tokio::test]
async fn the_managed_identity_of_a_server_on_azure_arc() {
    let emulator = common::start(Emulator::builder().token_lifetime(2 * SECOND)).await;
    let keys = tempfile::tempdir().unwrap();
    let credential = emulator.arc_credential(keys.path()).unwrap();
    assert_eq!(credential.token_source().unwrap().fetch().await.unwrap().source(), Some("arc"));
    let config = Config::new(credential.clone()).tls(emulator.tls()).token_manager(common::by_ratio(0.2));
    let redis = emulator.connect(config).await;
    write_and_read(&redis).await;
    assert_eq!(redis.manager().stats().token.unwrap().username, emulator.object_id());
    common::rotations(&redis, 2, 10 * SECOND).await;
    write_and_read(&redis).await;
    redis.shutdown().await;

    // Each token took a challenge, and the agent has its files back.
    let before = emulator.identity().requests();
    credential.token_source().unwrap().fetch().await.unwrap();
    assert_eq!((emulator.identity().requests() - before, keys.path().read_dir().unwrap().count()), (2, 0));
    // An agent that points elsewhere is sent nothing.
    let path = keys.path().join("../secret.key").display().to_string();
    emulator.identity().script([IdentityFault::ArcChallenge { path }]);
    let error = refused(&credential).await;
    assert!(error.to_string().contains("it is not read"), "{error}");
    assert_eq!(emulator.identity().requests() - before, 3, "nothing may follow");
}

#[tokio::test]
async fn the_token_file_of_a_workload_may_change_between_two_exchanges() {
    let emulator = common::start(Emulator::builder().token_lifetime(2 * SECOND)).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    fs::write(&file, emulator.federated_token()).unwrap();
    let config = Config::new(workload(&emulator, &file)).tls(emulator.tls()).token_manager(common::by_ratio(0.2));
    let redis = emulator.connect(config).await;
    write_and_read(&redis).await;
    assert_eq!(redis.manager().stats().token.unwrap().username, emulator.object_id());

    // What is no token shows that it is the file that counts, not what was read from it before.
    fs::write(&file, "not a token").unwrap();
    let error =
        eventually("the new file is read", 5 * SECOND, async || redis.manager().stats().token_error().cloned()).await;
    assert_eq!(error.aadsts(), Some(50_027), "{error}");
    // As Kubernetes does it, with a newline as some of its helpers do.
    let next = dir.path().join("next");
    fs::write(&next, format!("{}\n", emulator.federated_token())).unwrap();
    fs::rename(&next, &file).unwrap();
    common::rotations(&redis, 2, 10 * SECOND).await;
    write_and_read(&redis).await;
}

#[tokio::test]
async fn a_token_file_that_came_too_late_is_read_again_at_once_and_once() {
    let emulator = azure().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    let credential = workload(&emulator, &file);
    fs::write(&file, emulator.federated_token_with_lifetime(Duration::ZERO)).unwrap();
    let error = refused(&credential).await;
    assert_eq!((error.aadsts(), emulator.identity().requests()), (Some(700_024), 2));

    // The file is renewed while the old one's refusal is under way.
    emulator.identity().script([IdentityFault::Slow(SECOND)]);
    let source = credential.token_source().unwrap();
    let exchange = tokio::spawn(async move { source.fetch().await });
    eventually("the old one is sent", 5 * SECOND, async || (emulator.identity().requests() == 3).then_some(())).await;
    fs::write(&file, emulator.federated_token()).unwrap();
    let token = exchange.await.unwrap().unwrap();
    assert_eq!((token.source(), emulator.identity().requests()), (Some("workload-identity"), 4));
    assert_eq!(user_of(&emulator, credential).await, emulator.object_id());
}

#[tokio::test]
async fn a_managed_identity_stands_in_for_an_application() {
    let emulator = azure().await;
    for (identity, cloud) in
        user_assigned(&emulator).into_iter().zip([Cloud::Public, Cloud::UsGovernment, Cloud::China])
    {
        let credential = Credential::federated_managed_identity(emulator.client_id(), identity, emulator.tenant_id())
            .imds_host(emulator.imds_host())
            .cloud(cloud)
            .authority_host(emulator.authority_host());
        let asked = emulator.identity().requests();
        // The application's user name, not the identity's.
        assert_eq!(user_of(&emulator, credential).await, emulator.object_id());
        assert_eq!(emulator.identity().requests(), asked + 2);
    }
}

#[tokio::test]
async fn a_token_source_of_ones_own() {
    let emulator = azure().await;
    let broker = emulator.identity().clone();
    let jwt = Credential::custom(move || {
        let token = broker.issue_token();
        async move { AccessToken::from_jwt(token.unwrap()) }
    });
    assert_eq!(user_of(&emulator, jwt).await, emulator.object_id());
    assert_eq!(emulator.identity().requests(), 0);
}

#[tokio::test]
async fn a_token_of_any_form_with_its_user_name_and_life() {
    logs::forbid("0paque-t0ken");
    // A redis-server that takes anything for the password of this user, and knows no other.
    let server = Server::start();
    let credential =
        |user: &'static str| Credential::custom(move || async move { AccessToken::opaque("0paque-t0ken", HOUR, user) });
    let config = |user| Config::new(credential(user)).tls(Tls::new().ca_pem(server.ca_pem.as_str()));
    let redis = EntraRedis::connect("localhost", server.port, config("tester")).await.unwrap();
    write_and_read(&redis).await;
    let life = redis.manager().stats().token.unwrap().remaining;
    assert!(life <= HOUR && life + 60 * SECOND > HOUR, "{life:?}");

    let error = EntraRedis::connect("localhost", server.port, config("stranger")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AuthenticationRejected, "{error}");
    // Without a user name there, the configured one counts.
    let redis = EntraRedis::connect("localhost", server.port, config("").username("tester")).await.unwrap();
    write_and_read(&redis).await;
}
