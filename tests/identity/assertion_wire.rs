//! The assertion that goes over the wire for a certificate, looked at by `openssl`, which shares no code with this
//! crate.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use common::{
    http::{Listener, form_field},
    logs,
    openssl::OpenSsl,
};
use entra_redis::{ClientCertificate, Credential};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

const CLIENT_ID: &str = "7e57e57e-0000-4000-8000-000000000002";
const PASSWORD: &str = "passw0rd-of-the-file";

/// A PS256 signature (RFC 7518, section 3.5): PSS, with a salt as long as the hash.
const VERIFY: &str = "dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1 -verify public.pem";

/// A token request, as it came.
struct Sent {
    request: String,
    assertion: String,
    /// The URL that it was sent to.
    endpoint: String,
}

/// Lets the credential ask for a token, and keeps what it sends.
async fn sent(certificate: ClientCertificate) -> Sent {
    let claims = json!({"exp": now() + 3600, "oid": "me"});
    let token = encode(&Header::default(), &claims, &EncodingKey::from_secret(b"k")).unwrap();
    let answer = json!({"access_token": token, "expires_in": 3600, "token_type": "Bearer"});
    let server = Listener::answering("200 OK", "Content-Type: application/json", &answer.to_string()).await;
    let credential = Credential::client_certificate(CLIENT_ID, certificate, "contoso.com");
    let source = credential.authority_host(server.url()).token_source().unwrap();
    assert_eq!(source.fetch().await.unwrap().source(), Some("service-principal-certificate"));
    let request = server.seen().remove(0);
    let assertion = form_field(&request, "client_assertion").unwrap();
    Sent { request, assertion, endpoint: format!("{}/contoso.com/oauth2/v2.0/token", server.url()) }
}

impl Sent {
    /// Header, claims and signature; the first two are JSON.
    fn parts(&self) -> (Value, Value, Vec<u8>) {
        let parts: Vec<_> = self.assertion.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
        let [header, claims, signature]: [Vec<u8>; 3] = parts.try_into().unwrap();
        (serde_json::from_slice(&header).unwrap(), serde_json::from_slice(&claims).unwrap(), signature)
    }

    /// What is signed.
    fn message(&self) -> &str {
        self.assertion.rsplit_once('.').unwrap().0
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The SHA-256 digest of `cert.pem`, as JOSE writes it.
fn thumbprint(openssl: &OpenSsl) -> String {
    let line = openssl.run("x509 -in cert.pem -noout -fingerprint -sha256");
    let (_, hex) = line.trim().split_once('=').unwrap();
    let bytes: Vec<u8> = hex.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    URL_SAFE_NO_PAD.encode(bytes)
}

/// `cert.pem` and `key.pem`, of nobody's signing but its own.
fn self_signed() -> OpenSsl {
    let openssl = OpenSsl::in_a_directory();
    openssl.run("req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=app");
    openssl
}

#[tokio::test]
async fn openssl_verifies_header_claims_and_signature() {
    logs::forbid(PASSWORD);
    let openssl = self_signed();
    openssl.write("public.pem", openssl.run("x509 -in cert.pem -noout -pubkey"));
    openssl.run(&format!("pkcs12 -export -in cert.pem -inkey key.pem -out app.pfx -passout pass:{PASSWORD}"));
    let pem = format!("{}{}", openssl.text("cert.pem"), openssl.text("key.pem"));
    let mut used = Vec::new();
    for certificate in [ClientCertificate::pem(pem), ClientCertificate::pkcs12_file(openssl.path("app.pfx"), PASSWORD)]
    {
        let sent = sent(certificate).await;
        let (header, claims, signature) = sent.parts();
        assert_eq!(header, json!({"alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint(&openssl)}));

        openssl.write("signature", signature);
        openssl.write("message", sent.message());
        openssl.run(&format!("{VERIFY} -signature signature message"));
        openssl.write("forged", sent.message().replacen('e', "f", 1));
        assert!(openssl.refuses(&format!("{VERIFY} -signature signature forged")), "it would verify anything");

        assert_eq!(claims["aud"], sent.endpoint.as_str());
        assert_eq!((&claims["iss"], &claims["sub"]), (&json!(CLIENT_ID), &json!(CLIENT_ID)));
        assert_eq!(claims["jti"].as_str().map(str::len), Some(36), "a UUID: {claims}");
        let time = |name: &str| claims[name].as_u64().unwrap();
        assert_eq!(time("nbf"), time("iat"));
        assert!((now() - 10..=now()).contains(&time("iat")), "{claims}");
        // Five to ten minutes, as the documentation asks for.
        assert!((300..=600).contains(&(time("exp") - time("iat"))), "{claims}");
        used.push(claims["jti"].clone());
    }
    assert_ne!(used[0], used[1]);
}

#[tokio::test]
async fn the_request_is_the_documented_form() {
    let openssl = self_signed();
    let pem = format!("{}{}", openssl.text("key.pem"), openssl.text("cert.pem"));
    let Sent { request, .. } = sent(ClientCertificate::pem(pem)).await;
    assert!(request.starts_with("POST /contoso.com/oauth2/v2.0/token HTTP/1.1\r\n"), "{request}");
    assert!(request.to_ascii_lowercase().contains("content-type: application/x-www-form-urlencoded"), "{request}");
    for (name, value) in [
        ("client_id", Some(CLIENT_ID)),
        ("client_assertion_type", Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")),
        ("grant_type", Some("client_credentials")),
        ("scope", Some("https://redis.azure.com/.default")),
        ("client_secret", None),
    ] {
        assert_eq!(form_field(&request, name).as_deref(), value, "{name}");
    }
}

#[tokio::test]
async fn the_chain_is_sent_when_it_is_asked_for() {
    let openssl = OpenSsl::in_a_directory();
    openssl.run("req -x509 -newkey rsa:2048 -nodes -keyout ca-key.pem -out ca.pem -days 2 -subj /CN=authority");
    openssl.run("req -newkey rsa:2048 -nodes -keyout key.pem -out app.csr -subj /CN=app");
    openssl.run("x509 -req -in app.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -out cert.pem -days 2");
    // The certificate that the key belongs to comes last, and is sent first all the same.
    let pem = format!("{}{}{}", openssl.text("ca.pem"), openssl.text("key.pem"), openssl.text("cert.pem"));

    let (header, _, _) = sent(ClientCertificate::pem(pem.as_str())).await.parts();
    assert_eq!((&header["x5t#S256"], &header["x5c"]), (&json!(thumbprint(&openssl)), &Value::Null));

    let (header, _, _) = sent(ClientCertificate::pem(pem).send_chain(true)).await.parts();
    assert_eq!(header["x5t#S256"], thumbprint(&openssl));
    let chain = header["x5c"].as_array().unwrap();
    assert_eq!(chain.len(), 2);
    for (certificate, name) in chain.iter().zip(["first", "second"]) {
        openssl.write(&format!("{name}.der"), STANDARD.decode(certificate.as_str().unwrap()).unwrap());
        openssl.run(&format!("x509 -inform DER -in {name}.der -out {name}.pem"));
    }
    openssl.run("x509 -in cert.pem -outform DER -out cert.der");
    assert_eq!(openssl.read("first.der"), openssl.read("cert.der"));
    openssl.run("verify -CAfile second.pem first.pem");
}
