//! Secrets that nobody has told us, in the words of programs that have some.

use super::{REDACTED, Secret, bounded, decode::Plain};
use zeroize::Zeroizing;

/// How every JWT begins: `{"` in base64.
const JWT: &str = "eyJ";

/// Whatever is that long is no word.
const LONGEST_WORD: usize = 100;

/// Letters and digits in disorder are a secret from this length on, unless they stand beside one.
const RANDOM: usize = 16;
const RANDOM_BESIDE: usize = 6;

/// What stands before a value that is not to be shown, in lower case and without what joins its words.
const NAMES: [&str; 14] = [
    "accesstoken",
    "refreshtoken",
    "idtoken",
    "clientsecret",
    "secret",
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "clientassertion",
    "assertion",
    "authorization",
    "apikey",
    "sig",
];

/// What stands before a secret in an HTTP header.
const SCHEMES: [&str; 2] = ["bearer", "basic"];

/// `text` without whatever may be a secret: JWTs, values with a telling name, long words, letters and digits in disorder.
/// Ids (GUIDs) stay.
pub(crate) fn scrub_unknown(text: &str) -> String {
    let text = bounded(text);
    let mut shown = String::with_capacity(text.len());
    let (mut before, mut gap_start) = (String::new(), 0);
    let mut hidden = false;
    for (start, word) in words(text) {
        let gap = &text[gap_start..start];
        gap_start = start + word.len();
        shown.push_str(gap);
        let is_value = NAMES.contains(&before.as_str()) && gap.contains(['=', ':']);
        let is_credential =
            SCHEMES.contains(&before.as_str()) && gap.chars().all(char::is_whitespace) && word.len() >= RANDOM_BESIDE;
        hidden = is_value || is_credential || looks_secret(word, if hidden { RANDOM_BESIDE } else { RANDOM });
        shown.push_str(if hidden && !word.is_empty() { REDACTED } else { word });
        before = word.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    }
    shown.push_str(&text[gap_start..]);
    without(&shown, &jwts_in(text))
}

/// `text` without the JWTs in it, nor any part of them.
pub(crate) fn scrub_jwts(text: &str) -> String {
    let text = bounded(text);
    without(text, &jwts_in(text))
}

fn without(text: &str, secrets: &[Secret]) -> String {
    secrets.iter().fold(text.to_owned(), |text, secret| secret.scrub(&text))
}

/// Whatever in a text looks like a JWT, or like the first part of one.
pub(crate) fn jwts_in(text: &str) -> Vec<Secret> {
    let plain = plain(bounded(text));
    let starts = plain.match_indices(JWT).map(|(start, _)| &plain[start..]);
    let mut jwts: Vec<Secret> = Vec::new();
    for rest in starts {
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.=".contains(c))).unwrap_or(rest.len());
        // The payload of one that has been found begins like that too.
        if !jwts.iter().any(|jwt| jwt.expose().ends_with(&rest[..end])) {
            jwts.push(Secret::new(&rest[..end]));
        }
    }
    jwts
}

/// Without its escapes.
fn plain(text: &str) -> Zeroizing<String> {
    let deepest = Plain::levels(text).pop();
    Zeroizing::new(deepest.map_or_else(String::new, |plain| plain.chars.iter().collect()))
}

/// The words of a text and where they start: what stands between spaces, quotes, brackets and the like.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let divides = |c: char| c.is_whitespace() || "\"'`()[]{}<>,;:=|".contains(c);
    let mut start = 0;
    text.split(divides).filter_map(move |word| {
        let at = start;
        // What divides is one byte, or more if it is a space outside of ASCII.
        start += word.len() + text[start + word.len()..].chars().next().map_or(0, char::len_utf8);
        (!word.is_empty()).then_some((at, word))
    })
}

fn looks_secret(word: &str, length: usize) -> bool {
    let plain = plain(word);
    let mut runs = plain.split(|c: char| !(c.is_ascii_alphanumeric() || "-_~+".contains(c)));
    plain.contains(JWT)
        || word.len() > LONGEST_WORD
        || runs.any(|run| run.len() >= length && is_random(run) && !is_guid(run))
}

/// Whether a third of its characters are of another kind than the one before: lower case, upper case, digit, other. Of words
/// and names, no more than a fifth are; of base64 and hex, half.
fn is_random(run: &str) -> bool {
    let kind = |c: u8| (c.is_ascii_lowercase(), c.is_ascii_uppercase(), c.is_ascii_digit());
    let changes = run.as_bytes().windows(2).filter(|pair| kind(pair[0]) != kind(pair[1])).count();
    changes * 3 >= run.len()
}

fn is_guid(run: &str) -> bool {
    let lengths = run.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && run.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}
