//! BER, in which Bouncy Castle and others write PKCS#12 files, as the DER that is read here.

use zeroize::Zeroizing;

/// Nothing that is read here is nested deeper.
const DEEPEST: u32 = 48;

pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTETS: u8 = 0x04;
pub(super) const OBJECT_ID: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
/// `[0]`, constructed.
pub(super) const TAGGED: u8 = 0xa0;
/// `[0]`, in the place of a primitive tag.
const TAGGED_PLAIN: u8 = 0x80;
const CONSTRUCTED: u8 = 0x20;

/// The content type `data` of PKCS#7, 1.2.840.113549.1.7.1.
const DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01";

/// An element, in whichever of the forms of BER it was.
pub(super) struct Element<'a> {
    /// The first byte of it; the tags that are read here have one.
    pub(super) tag: u8,
    identifier: &'a [u8],
    content: Content<'a>,
}

enum Content<'a> {
    Plain(&'a [u8]),
    Parts(Vec<Element<'a>>),
}

/// What an OCTET STRING of the type `data` holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Inside {
    /// It stays as it is: a MAC covers its bytes.
    AsItIs,
    /// BER in its turn, down to so many of them, one in another.
    Ber(u32),
}

impl Inside {
    /// For what is one level deeper. [`DEEPEST`] does not bound BER within bytes, and a file must not use up the stack.
    fn deeper(self) -> Self {
        match self {
            Self::AsItIs | Self::Ber(0) => Self::AsItIs,
            Self::Ber(levels) => Self::Ber(levels - 1),
        }
    }
}

impl<'a> Element<'a> {
    /// The element that these bytes begin with. What follows it is ignored, as OpenSSL does.
    pub(super) fn first(bytes: &'a [u8]) -> Option<Self> {
        Self::read(bytes, DEEPEST).map(|(element, _)| element)
    }

    pub(super) fn parts(&self) -> &[Self] {
        match &self.content {
            Content::Plain(_) => &[],
            Content::Parts(parts) => parts,
        }
    }

    /// The bytes of one that has no parts.
    pub(super) fn bytes(&self) -> &'a [u8] {
        match self.content {
            Content::Plain(bytes) => bytes,
            Content::Parts(_) => &[],
        }
    }

    /// The bytes of an OCTET STRING, whether it is in pieces or not.
    pub(super) fn octets(&self) -> Zeroizing<Vec<u8>> {
        let mut octets = Zeroizing::new(self.bytes().to_vec());
        for part in self.parts() {
            octets.extend_from_slice(&part.octets());
        }
        octets
    }

    pub(super) fn to_der(&self, inside: Inside) -> Zeroizing<Vec<u8>> {
        let parts = match &self.content {
            Content::Plain(bytes) => return encode(self.identifier, bytes),
            Content::Parts(_) if self.tag == OCTETS | CONSTRUCTED => return encode(&[OCTETS], &self.octets()),
            Content::Parts(parts) => parts,
        };
        let mut content = Zeroizing::new(Vec::new());
        match parts.as_slice() {
            // EncryptedContentInfo: its ciphertext is an OCTET STRING under another tag.
            [kind, algorithm, pieces]
                if self.tag == SEQUENCE && kind.tag == OBJECT_ID && algorithm.tag == SEQUENCE && pieces.is_pieces() =>
            {
                content.extend_from_slice(&kind.to_der(inside));
                content.extend_from_slice(&algorithm.to_der(inside));
                content.extend_from_slice(&encode(&[TAGGED_PLAIN], &pieces.octets()));
            }
            // ContentInfo of the type `data`.
            [kind, tagged] if inside != Inside::AsItIs && kind.bytes() == DATA && tagged.is_pieces() => {
                let octets = tagged.octets();
                let deeper = inside.deeper();
                let der = Element::first(&octets).map(|element| element.to_der(deeper));
                content.extend_from_slice(&kind.to_der(inside));
                content.extend_from_slice(&encode(&[TAGGED], &encode(&[OCTETS], der.as_deref().unwrap_or(&octets))));
            }
            parts => parts.iter().for_each(|part| content.extend_from_slice(&part.to_der(inside))),
        }
        encode(self.identifier, &content)
    }

    /// Whether it is `[0]` around OCTET STRINGs.
    fn is_pieces(&self) -> bool {
        self.tag == TAGGED
            && !self.parts().is_empty()
            && self.parts().iter().all(|part| part.tag & !CONSTRUCTED == OCTETS)
    }

    fn read(bytes: &'a [u8], deepest: u32) -> Option<(Self, &'a [u8])> {
        let deepest = deepest.checked_sub(1)?;
        let (tag, rest) = bytes.split_first()?;
        let more = if tag & 0x1f == 0x1f { rest.iter().position(|byte| byte & 0x80 == 0)? + 1 } else { 0 };
        let (identifier, rest) = (&bytes[..=more], &rest[more..]);
        let (length, mut rest) = length(rest)?;
        let is_constructed = tag & CONSTRUCTED != 0;
        let mut parts = Vec::new();
        let content = match length {
            Some(length) => {
                let (mut content, after) = rest.split_at_checked(length)?;
                rest = after;
                if is_constructed {
                    while !content.is_empty() {
                        let (part, after) = Self::read(content, deepest)?;
                        parts.push(part);
                        content = after;
                    }
                    Content::Parts(parts)
                } else {
                    Content::Plain(content)
                }
            }
            None if is_constructed => loop {
                if let Some(after) = rest.strip_prefix(&[0, 0]) {
                    rest = after;
                    break Content::Parts(parts);
                }
                let (part, after) = Self::read(rest, deepest)?;
                parts.push(part);
                rest = after;
            },
            None => return None,
        };
        Some((Self { tag: *tag, identifier, content }, rest))
    }
}

/// A length, none if it is indefinite, and what follows it.
fn length(bytes: &[u8]) -> Option<(Option<usize>, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    match first {
        0..0x80 => Some((Some(usize::from(*first)), rest)),
        0x80 => Some((None, rest)),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = digits.iter().fold(0_usize, |length, digit| (length << 8) | usize::from(*digit));
            Some((Some(length), rest))
        }
        _ => None,
    }
}

pub(super) fn encode(identifier: &[u8], content: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut encoded = Zeroizing::new(identifier.to_vec());
    let length = content.len().to_be_bytes();
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => encoded.push(short),
        _ => {
            let digits = length.iter().position(|digit| *digit != 0).map_or(&length[..0], |start| &length[start..]);
            // No file is so long that its length took more than 127 digits.
            encoded.push(0x80 | u8::try_from(digits.len()).unwrap_or(0x7f));
            encoded.extend_from_slice(digits);
        }
    }
    encoded.extend_from_slice(content);
    encoded
}
