//! What a server's certificate says of itself: by whom it is, for which names, and from when to when.
//!
//! rustls verifies certificates and does not show them, and a whole parser of X.509 would be a dozen crates: this reads
//! the few fields that people ask for. Nothing is decided by it.

use jiff::Timestamp;

/// The fields of one certificate.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Certificate {
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) not_before: Option<Timestamp>,
    pub(super) not_after: Option<Timestamp>,
    /// The DNS names and IP addresses that it is for.
    pub(super) names: Vec<String>,
}

const INTEGER: u8 = 0x02;
const OID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;

/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
/// 2.5.4.10
const ORGANIZATION: &[u8] = &[0x55, 4, 10];
/// 2.5.29.17
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 29, 17];

/// No text of a certificate is shown at greater length.
const LONGEST_TEXT: usize = 200;

/// No more of its names are read.
const MOST_NAMES: usize = 20;

impl Certificate {
    /// Reads a certificate in DER; none if it is none.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let mut whole = Reader(der).inside(SEQUENCE)?;
        let mut fields = whole.inside(SEQUENCE)?;
        fields.optional(VERSION);
        fields.inside(INTEGER)?;
        fields.inside(SEQUENCE)?;
        let issuer = name(fields.inside(SEQUENCE)?);
        let mut validity = fields.inside(SEQUENCE)?;
        let (not_before, not_after) = (time(validity.next()?), time(validity.next()?));
        let subject = name(fields.inside(SEQUENCE)?);
        fields.inside(SEQUENCE)?;
        let names = fields.find(EXTENSIONS).and_then(|mut found| found.inside(SEQUENCE)).map(alt_names);
        Some(Self { issuer, subject, not_before, not_after, names: names.unwrap_or_default() })
    }

    /// Days until it is no longer valid, from `now`.
    pub(super) fn days_left(&self, now: Timestamp) -> Option<i64> {
        Some((self.not_after?.as_second() - now.as_second()).div_euclid(86_400))
    }

    /// Whether it is valid at this moment.
    pub(super) fn covers(&self, moment: Timestamp) -> bool {
        self.not_before.is_none_or(|from| from <= moment) && self.not_after.is_none_or(|until| moment <= until)
    }
}

/// One element after the other.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The next element: its tag and its content.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let [tag, first, rest @ ..] = self.0 else {
            return None;
        };
        let (length, rest) = if *first < 0x80 {
            (usize::from(*first), rest)
        } else {
            let (digits, rest) = rest.split_at_checked(usize::from(*first & 0x7f))?;
            // Longer ones do not fit into a handshake.
            if digits.is_empty() || digits.len() > 4 {
                return None;
            }
            (digits.iter().fold(0, |length, digit| (length << 8) | usize::from(*digit)), rest)
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, content))
    }

    /// What is inside of the next element, which has to have this tag.
    fn inside(&mut self, tag: u8) -> Option<Self> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, content)| Self(content))
    }

    /// Passes over the next element if it has this tag.
    fn optional(&mut self, tag: u8) {
        if self.0.first() == Some(&tag) {
            self.next();
        }
    }

    /// What is inside of the first element with this tag.
    fn find(&mut self, tag: u8) -> Option<Self> {
        while let Some((found, content)) = self.next() {
            if found == tag {
                return Some(Self(content));
            }
        }
        None
    }
}

/// The common name, with the organization that it belongs to.
fn name(mut rdns: Reader<'_>) -> String {
    let (mut common, mut organization) = (None, None);
    while let Some((_, set)) = rdns.next() {
        let Some(mut pair) = Reader(set).inside(SEQUENCE) else {
            continue;
        };
        match (pair.next(), pair.next()) {
            (Some((OID, COMMON_NAME)), Some((_, value))) => common = Some(text(value)),
            (Some((OID, ORGANIZATION)), Some((_, value))) => organization = Some(text(value)),
            _ => {}
        }
    }
    match (common, organization) {
        (Some(common), Some(organization)) => format!("{common} ({organization})"),
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => "(no name)".to_owned(),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control()).take(LONGEST_TEXT).collect()
}

fn alt_names(mut extensions: Reader<'_>) -> Vec<String> {
    while let Some(mut extension) = extensions.inside(SEQUENCE) {
        let Some((OID, SUBJECT_ALT_NAME)) = extension.next() else {
            continue;
        };
        let Some(mut names) = extension.find(OCTET_STRING).and_then(|mut value| value.inside(SEQUENCE)) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        while let Some((tag, value)) = names.next().filter(|_| found.len() < MOST_NAMES) {
            match tag {
                DNS_NAME => found.push(text(value)),
                IP_ADDRESS => found.extend(address(value)),
                _ => {}
            }
        }
        return found;
    }
    Vec::new()
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(std::net::IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(bytes).map(std::net::IpAddr::from);
    v4.or_else(|_| v6()).ok().map(|address| address.to_string())
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn time((tag, bytes): (u8, &[u8])) -> Option<Timestamp> {
    let digits = str::from_utf8(bytes).ok()?.strip_suffix('Z')?;
    let digits = match tag {
        // RFC 5280: 50 to 99 are of the twentieth century.
        UTC_TIME => format!("{}{digits}", if digits < "50" { "20" } else { "19" }),
        GENERALIZED_TIME => digits.to_owned(),
        _ => return None,
    };
    let part = |from: usize, to: usize| digits.get(from..to);
    let (date, clock) = (part(0, 8)?, part(8, 14)?);
    format!(
        "{}-{}-{}T{}:{}:{}Z",
        date.get(..4)?,
        date.get(4..6)?,
        date.get(6..8)?,
        clock.get(..2)?,
        clock.get(2..4)?,
        clock.get(4..6)?
    )
    .parse()
    .ok()
}

#[cfg(test)]
mod tests;
