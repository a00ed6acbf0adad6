use super::*;
use crate::credential::{
    Credential,
    certificate::tests::pair,
    test_server::{HttpReply, Server},
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use rustls::pki_types::{CertificateDer, pem::PemObject};

const AUDIENCE: &str = "https://login.microsoftonline.com/t/oauth2/v2.0/token";

#[test]
fn the_assertion_is_what_entra_asks_for() {
    let (cert, key) = pair();
    let der = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
    let pem = format!("{cert}{}", key.serialize_pem());
    let now = SystemTime::now();
    let assertion = |certificate: ClientCertificate| {
        certificate.load().ok().unwrap().assertion("app", AUDIENCE, now).unwrap().expose().to_owned()
    };
    let jwt = assertion(ClientCertificate::pem(pem.as_str()));

    let header = decode_header(&jwt).unwrap();
    assert_eq!((header.alg, header.typ.as_deref()), (Algorithm::PS256, Some("JWT")));
    assert_eq!(header.x5t_s256, Some(URL_SAFE_NO_PAD.encode(digest(&SHA256, &der))));
    assert_eq!(header.x5c, None);

    let mut rules = Validation::new(Algorithm::PS256);
    rules.set_audience(&[AUDIENCE]);
    rules.set_issuer(&["app"]);
    let public = DecodingKey::from_rsa_der(key.public_key_raw());
    let claims = decode::<Value>(&jwt, &public, &rules).unwrap().claims;
    let seconds = now.duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert_eq!(claims["sub"], "app");
    assert_eq!((&claims["nbf"], &claims["iat"]), (&json!(seconds), &json!(seconds)));
    assert_eq!(claims["exp"], seconds + 600);
    assert_eq!(claims["jti"].as_str().unwrap().split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);

    let again = assertion(ClientCertificate::pem(pem.as_str()).send_chain(true));
    assert_eq!(decode_header(&again).unwrap().x5c_der().unwrap(), Some(vec![der.to_vec()]));
    assert_ne!(decode::<Value>(&again, &public, &rules).unwrap().claims["jti"], claims["jti"]);
}

/// A clock that is hours off makes assertions of another time; Entra ID says so, and which time it is.
#[tokio::test]
async fn a_wrong_clock_is_corrected_by_the_refusal() {
    let (cert, key) = pair();
    let server = Server::start().await;
    let theirs = UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    let text = "AADSTS700024: Client assertion is not within its valid time range.";
    let refusal = json!({"error": "invalid_client", "error_description": text, "error_codes": [700_024]});
    let date = ("Date".to_owned(), httpdate::fmt_http_date(theirs));
    server.reply(HttpReply { headers: vec![date], ..HttpReply::json(401, &refusal) });
    server.reply(HttpReply::token());

    let certificate = ClientCertificate::pem(format!("{cert}{}", key.serialize_pem()));
    let credential = Credential::client_certificate("app", certificate, "tenant").authority_host(server.url());
    credential.token_source().unwrap().fetch().await.unwrap();

    let begun = |request: &Value| {
        let assertion = request["form"]["client_assertion"].as_str().unwrap();
        let claims: Value = jsonwebtoken::dangerous::insecure_decode_claims(assertion).unwrap();
        claims["nbf"].as_u64().unwrap()
    };
    let times: Vec<_> = server.seen().iter().map(begun).collect();
    assert_eq!(times.len(), 2);
    assert!(times[0] < times[1], "the first one is of this machine's time: {times:?}");
    assert_eq!(times[1], 4_000_000_000);
}
