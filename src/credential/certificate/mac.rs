//! The MAC of a PKCS#12 file (RFC 7292, section 4 and appendix B), by which a wrong password is told from everything
//! else.

use super::ber::{Element, INTEGER, OCTETS};
use crate::secret::Secret;
use aws_lc_rs::{digest, hmac};
use zeroize::Zeroizing;

/// Files have some thousands; many more than this would take minutes.
const MOST_ITERATIONS: u32 = 1_000_000;

pub(super) enum Verdict {
    /// There is no MAC.
    None,
    /// Made with this password.
    Right,
    /// Made with no password at all, which is not the empty one: that one has an end mark of two zeros.
    NoPassword,
    WrongPassword,
    /// Made in a way that is not known here.
    Unknown,
}

pub(super) struct Mac<'a> {
    digest: &'static digest::Algorithm,
    hmac: hmac::Algorithm,
    value: &'a [u8],
    salt: &'a [u8],
    iterations: u32,
}

impl<'a> Mac<'a> {
    /// Of `MacData ::= SEQUENCE { SEQUENCE { algorithm, digest }, salt, iterations DEFAULT 1 }`; none if it is of
    /// another kind.
    pub(super) fn read(data: &Element<'a>) -> Option<Self> {
        let [info, salt, rest @ ..] = data.parts() else {
            return None;
        };
        let [algorithm, value] = info.parts() else {
            return None;
        };
        let (digest, hmac) = algorithms(algorithm.parts().first()?.bytes())?;
        let iterations = match rest.first() {
            Some(number) if number.tag == INTEGER => number
                .bytes()
                .iter()
                .try_fold(0_u32, |sum, byte| sum.checked_mul(256)?.checked_add(u32::from(*byte)))?,
            _ => 1,
        };
        let is_one = value.tag == OCTETS && salt.tag == OCTETS && (1..=MOST_ITERATIONS).contains(&iterations);
        is_one.then(|| Self { digest, hmac, value: value.bytes(), salt: salt.bytes(), iterations })
    }

    pub(super) fn verify(&self, contents: &[u8], password: &Secret) -> Verdict {
        let mut encoded: Zeroizing<Vec<u8>> =
            Zeroizing::new(password.expose().encode_utf16().flat_map(u16::to_be_bytes).collect());
        encoded.extend_from_slice(&[0, 0]);
        if self.is_made_with(contents, &encoded) {
            Verdict::Right
        } else if password.expose().is_empty() && self.is_made_with(contents, &[]) {
            Verdict::NoPassword
        } else {
            Verdict::WrongPassword
        }
    }

    fn is_made_with(&self, contents: &[u8], password: &[u8]) -> bool {
        let key = hmac::Key::new(self.hmac, self.key(password).as_ref());
        hmac::verify(&key, contents, self.value).is_ok()
    }

    /// Derived from the password: appendix B.2, for a key as long as the digest, so that one round will do.
    fn key(&self, password: &[u8]) -> digest::Digest {
        /// That a key for a MAC is wanted.
        const MAC: u8 = 3;
        let block = self.digest.block_len();
        let filled = |bytes: &[u8]| -> Zeroizing<Vec<u8>> {
            let length = bytes.len().div_ceil(block) * block;
            Zeroizing::new(bytes.iter().copied().cycle().take(length).collect())
        };
        let mut context = digest::Context::new(self.digest);
        context.update(&vec![MAC; block]);
        context.update(&filled(self.salt));
        context.update(&filled(password));
        (1..self.iterations).fold(context.finish(), |key, _| digest::digest(self.digest, key.as_ref()))
    }
}

/// By the object id of the digest.
fn algorithms(id: &[u8]) -> Option<(&'static digest::Algorithm, hmac::Algorithm)> {
    const SHA2: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x02";
    if id == b"\x2b\x0e\x03\x02\x1a" {
        return Some((&digest::SHA1_FOR_LEGACY_USE_ONLY, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY));
    }
    Some(match id.strip_prefix(SHA2)? {
        [1] => (&digest::SHA256, hmac::HMAC_SHA256),
        [2] => (&digest::SHA384, hmac::HMAC_SHA384),
        [3] => (&digest::SHA512, hmac::HMAC_SHA512),
        [4] => (&digest::SHA224, hmac::HMAC_SHA224),
        _ => return None,
    })
}
