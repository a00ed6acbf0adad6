//! PEM as people have it: behind a byte order mark, as UTF-16, with a key that is encrypted.

use crate::error::Error;
use zeroize::Zeroizing;

/// How each part of a PEM file begins.
pub(crate) const MARK: &[u8] = b"-----BEGIN";

/// The byte order mark of UTF-8, which editors on Windows write.
const ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What OpenSSL takes for `CERTIFICATE` too, from older days.
const OLD_LABEL: &[u8] = b" X509 CERTIFICATE-----";
const NEW_LABEL: &[u8] = b" CERTIFICATE-----";

/// `bytes` as PEM is read: without the byte order marks before its parts, of which files that were joined have several,
/// and with today's labels.
pub(crate) fn plain(setting: &str, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    if is_utf16(bytes) {
        let problem = "is text in UTF-16: save it as UTF-8, or convert it with `iconv -f UTF-16 -t UTF-8`";
        return Err(Error::config(setting, problem));
    }
    let mut plain = Zeroizing::new(Vec::with_capacity(bytes.len()));
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        match (rest.strip_prefix(ORDER_MARK), rest.strip_prefix(OLD_LABEL)) {
            (Some(marked), _) if plain.is_empty() || marked.starts_with(b"-----") => rest = marked,
            (_, Some(labelled)) => {
                plain.extend_from_slice(NEW_LABEL);
                rest = labelled;
            }
            _ => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    Ok(plain)
}

/// By its byte order mark, or by the zeros between the dashes.
fn is_utf16(bytes: &[u8]) -> bool {
    let dashes = |pattern: &[u8]| contains(&bytes[..bytes.len().min(1 << 16)], pattern);
    bytes.starts_with(b"\xff\xfe")
        || bytes.starts_with(b"\xfe\xff")
        || dashes(b"-\0-\0-\0-\0B\0")
        || dashes(b"\0-\0-\0-\0-\0B")
}

/// What kind of encryption a private key is under that no password is asked for, if there is one.
pub(crate) fn encryption(pem: &[u8]) -> Option<&'static str> {
    if contains(pem, b"-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        Some("is encrypted with a password (PKCS#8, `ENCRYPTED PRIVATE KEY`)")
    } else if contains(pem, b"Proc-Type: 4,ENCRYPTED") {
        Some("is encrypted with a password in the traditional PEM way (`Proc-Type: 4,ENCRYPTED`)")
    } else {
        None
    }
}

/// What the parts of a PEM file are called, in words: for errors about those that are missing.
pub(crate) fn parts(pem: &[u8]) -> String {
    let text = String::from_utf8_lossy(pem);
    let labels: Vec<_> = text.lines().filter_map(label).take(5).map(|label| format!("`{label}`")).collect();
    match labels.as_slice() {
        [] if pem.first() == Some(&0x30) => {
            "it is binary (DER): convert it with `openssl x509 -inform DER`, or `openssl pkey -inform DER` if it is a key"
                .to_owned()
        }
        [] if contains(pem, MARK) => {
            "no `-----BEGIN` in it has a line of its own, up to the next `-----`: were its line breaks lost?".to_owned()
        }
        [] => "there is no `-----BEGIN` line in it".to_owned(),
        labels if labels.iter().any(|label| label == "`TRUSTED CERTIFICATE`") => {
            format!("its parts are {}: convert what is trusted with `openssl x509 -in FILE`", labels.join(", "))
        }
        labels => format!("its parts are {}", labels.join(", ")),
    }
}

/// Of a line that begins a part, unless it is no such word as labels are made of: it could be anything then.
fn label(line: &str) -> Option<&str> {
    let label = line.strip_prefix("-----BEGIN ")?.trim_end().strip_suffix("-----")?;
    let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == ' ' || c == '#';
    (label.len() <= 40 && label.chars().all(plain)).then_some(label)
}

pub(crate) fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests;
