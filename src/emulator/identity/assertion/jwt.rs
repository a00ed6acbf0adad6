//! A JWT as Microsoft's libraries write it, which differ in what they write as a number, a text or a list.
//!
//! What they were seen to send: MSAL.NET writes times as texts, and a chain of one certificate as that certificate;
//! MSAL for Go pads a thumbprint and has it in base64's first alphabet, that for Python pads it and has times with
//! fractions; that for Java signs with RS256 what it names by SHA-256.

use base64::{
    Engine,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::URL_SAFE_NO_PAD},
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned, de::Error as _};

const WITH_OR_WITHOUT_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const URL_SAFE_BASE64: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, WITH_OR_WITHOUT_PADDING);
const STANDARD_BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, WITH_OR_WITHOUT_PADDING);

/// Its parts, which are not looked at yet.
pub(super) struct Jwt<'a> {
    message: &'a str,
    header: &'a str,
    claims: &'a str,
    signature: Vec<u8>,
}

impl<'a> Jwt<'a> {
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let (message, signature) = text.rsplit_once('.')?;
        let (header, claims) = message.split_once('.').filter(|(_, claims)| !claims.contains('.'))?;
        Some(Self { message, header, claims, signature: URL_SAFE_BASE64.decode(signature).ok()? })
    }

    pub(super) fn header<T: DeserializeOwned>(&self) -> Option<T> {
        part(self.header)
    }

    pub(super) fn claims<T: DeserializeOwned>(&self) -> Option<T> {
        part(self.claims)
    }

    pub(super) fn message(&self) -> &[u8] {
        self.message.as_bytes()
    }

    pub(super) fn signature(&self) -> &[u8] {
        &self.signature
    }
}

fn part<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// Who says that it has written it; nobody has checked that.
pub(in crate::emulator) fn issuer(assertion: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Issuer {
        iss: String,
    }
    Jwt::read(assertion)?.claims().map(|Issuer { iss }| iss)
}

#[derive(Deserialize)]
pub(super) struct Header {
    pub(super) alg: String,
    pub(super) x5t: Option<Thumbprint>,
    #[serde(rename = "x5t#S256")]
    pub(super) x5t_s256: Option<Thumbprint>,
    /// A thumbprint, too, in hex or as `x5t`: so .NET's own JWT library names the keys of certificates.
    pub(super) kid: Option<String>,
    #[serde(default, deserialize_with = "chain")]
    pub(super) x5c: Option<Vec<Vec<u8>>>,
}

pub(super) struct Thumbprint(pub(super) Vec<u8>);

impl<'de> Deserialize<'de> for Thumbprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        base64(&text).map(Self).ok_or_else(|| D::Error::custom("no base64"))
    }
}

fn base64(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_BASE64.decode(text).or_else(|_| STANDARD_BASE64.decode(text)).ok()
}

/// What a key id may be as a thumbprint.
pub(super) fn thumbprints(kid: &str) -> Vec<Vec<u8>> {
    let pairs = kid.as_bytes().chunks(2);
    let hex = pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()).collect();
    [hex, base64(kid)].into_iter().flatten().collect()
}

fn chain<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Vec<u8>>>, D::Error> {
    let Some(chain) = Option::<OneOrMany>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let der = |text: &String| STANDARD_BASE64.decode(text).map_err(D::Error::custom);
    let chain = chain.all().iter().map(der);
    chain.collect::<Result<_, _>>().map(Some)
}

/// Times are seconds.
#[derive(Deserialize)]
pub(super) struct AssertionClaims {
    pub(super) iss: String,
    pub(super) sub: String,
    pub(super) aud: OneOrMany,
    #[serde(rename = "jti")]
    _jti: String,
    #[serde(deserialize_with = "time")]
    pub(super) exp: f64,
    #[serde(default, deserialize_with = "optional_time")]
    pub(super) nbf: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn all(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }

    /// Whether it is this alone, in capitals or not: hosts and tenants are the same in both.
    pub(super) fn is(&self, text: &str) -> bool {
        matches!(self.all(), [one] if one.eq_ignore_ascii_case(text))
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(f64),
    Text(String),
}

impl NumberOrText {
    fn seconds<E: serde::de::Error>(self) -> Result<f64, E> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Text(text) => text.parse().map_err(E::custom),
        }
    }
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    NumberOrText::deserialize(deserializer)?.seconds()
}

fn optional_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    Option::<NumberOrText>::deserialize(deserializer)?.map(NumberOrText::seconds).transpose()
}
