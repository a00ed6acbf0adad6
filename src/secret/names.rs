//! Values that are secrets by what stands before them: a telling name, the scheme of a header, the `://` of a URL.

use super::REDACTED;
use std::ops::Range;

/// How the names of secrets end, in lower case and without what joins their words: `AZURE_CLIENT_SECRET` is one.
const NAMES: [&str; 19] = [
    "accesstoken",
    "refreshtoken",
    "idtoken",
    "secret",
    "password",
    "passwd",
    "pwd",
    "pass",
    "passphrase",
    "assertion",
    "authorization",
    "apikey",
    "accesskey",
    "accountkey",
    "privatekey",
    "primarykey",
    "secondarykey",
    "subscriptionkey",
    "sig",
];

/// The name of a secret in JSON and in assignments. In a sentence, `token:` comes before what is wrong with it.
const TOKEN: &str = "token";

/// What stands before a secret in an HTTP header.
const SCHEMES: [&str; 5] = ["bearer", "basic", "negotiate", "ntlm", "sharedkey"];

/// Shorter words may follow a scheme in a sentence.
const SHORTEST_CREDENTIAL: usize = 6;

const QUOTES: [char; 3] = ['"', '\'', '`'];

/// The value behind the word of `text` at `name`, if that names a secret.
pub(super) fn value(text: &str, name: Range<usize>) -> Option<Range<usize>> {
    let word = &text[name.clone()];
    let plain: String = word.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let rest = &text[name.end..];
    let at = |range: Range<usize>| name.end + range.start..name.end + range.end;
    if SCHEMES.contains(&plain.as_str()) {
        return credential(rest).map(at);
    }
    let closed = rest.trim_start_matches(['\\', '"', '\'', '`', ']', ')']);
    let after = closed.trim_start();
    let assigned = after.trim_start_matches([':', '=', '>']);
    let is_assigned = after.starts_with([':', '=']);
    let names_it = if plain.ends_with(TOKEN) && !NAMES.iter().any(|name| plain.ends_with(name)) {
        is_assigned && (after.starts_with('=') || closed.len() < rest.len())
    } else {
        let is_option = word.starts_with('-') && rest.starts_with(char::is_whitespace) && !after.starts_with('-');
        NAMES.iter().any(|name| plain.ends_with(name)) && (is_assigned || is_option)
    };
    let value = names_it.then(|| extent(assigned))??;
    let start = rest.len() - assigned.len();
    Some(at(start + value.start..start + value.end))
}

/// What follows the scheme of a header.
fn credential(rest: &str) -> Option<Range<usize>> {
    let start = rest.len() - rest.trim_start().len();
    let credential = &rest[start..];
    let end = credential.find(|c: char| c.is_whitespace() || c == ',' || c == '\\' || QUOTES.contains(&c));
    let end = end.unwrap_or(credential.len());
    (start > 0 && end >= SHORTEST_CREDENTIAL).then_some(start..start + end)
}

/// Where the value lies that a text begins with: inside of its quotes or brackets, or else up to whatever may end it.
fn extent(text: &str) -> Option<Range<usize>> {
    let start = text.len() - text.trim_start().len();
    let value = &text[start..];
    if value.starts_with(REDACTED) {
        return None;
    }
    let unquoted = value.trim_start_matches('\\');
    let (before, length) = if let Some(quote) = unquoted.chars().next().filter(|c| QUOTES.contains(c)) {
        // Quotes inside of it have more backslashes before them.
        let escapes = value.len() - unquoted.len();
        (escapes + 1, closing(&unquoted[1..], quote, escapes))
    } else if let Some(end) = value.chars().next().and_then(closing_bracket) {
        (1, value[1..].find(end).unwrap_or(value.len() - 1))
    } else {
        let ends = |c: char| c.is_whitespace() || QUOTES.contains(&c) || "&,;)]}>|".contains(c);
        (0, value[..value.find(ends).unwrap_or(value.len())].trim_end_matches('\\').len())
    };
    let start = start + before;
    let shown = is_aadsts(&text[start..start + length]);
    (!shown).then_some(start..start + length)
}

/// How much stands before the closing quote, which has that many backslashes before it; all of it if there is none.
fn closing(text: &str, quote: char, escapes: usize) -> usize {
    let ends = |position: usize| {
        let before = &text[..position];
        let backslashes = before.len() - before.trim_end_matches('\\').len();
        (backslashes <= escapes).then_some(position - backslashes)
    };
    text.match_indices(quote).find_map(|(position, _)| ends(position)).unwrap_or(text.len())
}

fn closing_bracket(c: char) -> Option<char> {
    Some(match c {
        '(' => ')',
        '[' => ']',
        '{' => '}',
        '<' => '>',
        _ => return None,
    })
}

/// `AADSTS…`: what is wrong with a secret, in the place of the secret.
fn is_aadsts(value: &str) -> bool {
    let digits = value.strip_prefix("AADSTS").map(|rest| rest.trim_end_matches([':', '.']));
    digits.is_some_and(|digits| !digits.is_empty() && digits.len() <= 10 && digits.bytes().all(|c| c.is_ascii_digit()))
}

/// User names and passwords in URLs: what stands between `://` and `@`.
pub(super) fn in_urls(text: &str) -> Vec<Range<usize>> {
    let starts = text.match_indices("://").map(|(scheme, separator)| scheme + separator.len());
    let found = starts.filter_map(|start| {
        let rest = &text[start..];
        let length = user_info(&rest[..rest.find("://").unwrap_or(rest.len())])?;
        Some(start..start + length)
    });
    found.collect()
}

fn user_info(after_scheme: &str) -> Option<usize> {
    let ends = |c: char| c.is_whitespace() || QUOTES.contains(&c) || "<>".contains(c);
    let url = &after_scheme[..after_scheme.find(ends).unwrap_or(after_scheme.len())];
    let authority = &url[..url.find(['/', '?', '#', '\\']).unwrap_or(url.len())];
    // What follows the colon, up to a slash, is part of a password if it is no port.
    let is_port = |text: &str| text.bytes().all(|c| c.is_ascii_digit());
    let is_cut = || authority.rsplit_once(':').is_some_and(|(_, port)| !is_port(port));
    authority.rfind('@').or_else(|| url.rfind('@').filter(|_| is_cut()))
}
