//! PKCS#12 as it is found: in DER, in BER, as base64 text, with a password, an empty one, or none at all.

use super::{
    Parts, SETTING,
    ber::{self, Element, Inside},
    ciphers,
    mac::{self, Mac},
};
use crate::{error::Error, secret::Secret, transport::pem};
use base64::{
    Engine,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use p12_keystore::Pkcs12Archive;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

const CONVERT: &str =
    "convert it with `openssl pkcs12 -in FILE -nodes -out app.pem` (with `-legacy` if it is old), and use that";

pub(super) fn read(bytes: &[u8], password: &Secret) -> Result<Parts, Error> {
    let binary;
    let bytes = match of_base64(bytes) {
        Some(decoded) => {
            binary = decoded;
            binary.as_slice()
        }
        None => bytes,
    };
    if let Ok(archive) = Pkcs12Archive::from_pkcs12(bytes, password.expose()) {
        return parts(&archive);
    }
    let whole = Element::first(bytes).ok_or_else(|| is_not(bytes, None))?;
    let Some(contents) = contents(&whole) else {
        return Err(is_not(bytes, Some(&whole)));
    };
    let der = whole.to_der(Inside::AsItIs);
    if let Ok(archive) = Pkcs12Archive::from_pkcs12(&der, password.expose()) {
        return parts(&archive);
    }
    let verdict = match whole.parts().get(2) {
        Some(data) => Mac::read(data).map_or(mac::Verdict::Unknown, |mac| mac.verify(&contents, password)),
        None => mac::Verdict::None,
    };
    let problem = match verdict {
        mac::Verdict::WrongPassword => return Err(Error::config(SETTING, "is PKCS#12 with another password")),
        mac::Verdict::Right => "that cannot be read, although the password is right",
        mac::Verdict::NoPassword => "that is encrypted with no password at all, which is not the empty one",
        mac::Verdict::None => "that cannot be read; its password may be another one",
        mac::Verdict::Unknown => "with a MAC of a kind that is not known here",
    };
    // Its MAC has been checked: what the MAC covers may become DER now.
    let checked = matches!(verdict, mac::Verdict::Right | mac::Verdict::NoPassword | mac::Verdict::None);
    let plain = without_mac(&whole);
    match Pkcs12Archive::from_pkcs12(&plain, password.expose()) {
        Ok(archive) if checked => parts(&archive),
        _ => {
            let how = ciphers::unread(&contents)
                .map_or_else(String::new, |cipher| format!(" (it is encrypted with {cipher})"));
            Err(Error::config(SETTING, format_args!("is PKCS#12 {problem}{how}: {CONVERT}")))
        }
    }
}

fn parts(archive: &Pkcs12Archive) -> Result<Parts, Error> {
    let key = archive.keys.first().ok_or_else(|| Error::config(SETTING, "holds no private key"))?;
    let key = PrivatePkcs8KeyDer::from(key.key.as_der().to_vec());
    let certificates = archive.certs.iter().map(|bag| CertificateDer::from(bag.cert.as_der().to_vec())).collect();
    Ok((certificates, key.into()))
}

/// The bytes that the MAC covers, of
/// `PFX ::= SEQUENCE { version, authSafe SEQUENCE { type, [0] OCTET STRING }, macData }`.
fn contents(whole: &Element<'_>) -> Option<Zeroizing<Vec<u8>>> {
    let [version, safe, ..] = whole.parts() else {
        return None;
    };
    let [kind, tagged] = safe.parts() else {
        return None;
    };
    let is_one = version.tag == ber::INTEGER && kind.tag == ber::OBJECT_ID && tagged.tag == ber::TAGGED;
    is_one.then(|| tagged.octets())
}

fn without_mac(whole: &Element<'_>) -> Zeroizing<Vec<u8>> {
    let mut content = Zeroizing::new(Vec::new());
    for part in whole.parts().iter().take(2) {
        content.extend_from_slice(&part.to_der(Inside::Ber(3)));
    }
    ber::encode(&[ber::SEQUENCE], &content)
}

/// Azure Key Vault gives PKCS#12 out as base64, and people save that.
fn of_base64(bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let text = str::from_utf8(bytes).ok()?;
    let text: Zeroizing<String> =
        Zeroizing::new(text.chars().filter(|c| !c.is_whitespace() && *c != '\u{feff}').collect());
    let decoded = LENIENT.decode(text.as_bytes()).map(Zeroizing::new).ok()?;
    (decoded.first() == Some(&ber::SEQUENCE)).then_some(decoded)
}

/// The error of bytes that are no PKCS#12, with what they are if that can be told.
fn is_not(bytes: &[u8], element: Option<&Element<'_>>) -> Error {
    let tags =
        element.map(|element| element.parts().iter().map(|part| part.tag).collect::<Vec<_>>()).unwrap_or_default();
    let what = match tags.as_slice() {
        _ if pem::contains(bytes, pem::MARK) => "but PEM",
        _ if bytes.starts_with(b"\xfe\xed\xfe\xed") => {
            "but a Java keystore: convert it with `keytool -importkeystore -srckeystore FILE -destkeystore app.pfx \
             -deststoretype PKCS12`"
        }
        [ber::SEQUENCE, ber::SEQUENCE, 0x03] => "but a certificate in DER, without a private key",
        [ber::INTEGER, ber::SEQUENCE, ber::OCTETS, ..] | [ber::INTEGER, ber::INTEGER, ..] => {
            "but a private key in DER, without a certificate"
        }
        [ber::OBJECT_ID, ber::TAGGED] => "but PKCS#7, which holds no private key",
        _ => "nor PEM",
    };
    Error::config(SETTING, format_args!("is not PKCS#12, {what}"))
}

#[cfg(test)]
mod tests;
