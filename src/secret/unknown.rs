//! Secrets whose value is not known here, in what programs say that have some. They are recognized by how they look,
//! and by what stands before them.

use super::{Secret, bounded, decode::Plain, marks::Marks, names, redact};
use std::ops::Range;

/// How every JWT begins: `{"` in base64.
const JWT: &str = "eyJ";

/// What is shorter, or stands inside of a word, is a JWT only if it looks random: `PrimaryKeyJoin` is none.
const SHORTEST_JWT: usize = 10;

/// Characters by which it is judged whether a text looks random: more would not change the answer.
const JUDGED: usize = 64;

/// Whatever is that long, between `/` and `.`, is no word.
const LONGEST_WORD: usize = 100;

/// Letters and digits in disorder are a secret from this length on, unless they stand beside one.
const RANDOM: usize = 16;
const RANDOM_BESIDE: usize = 6;

/// `text` without whatever may be a secret: JWTs, values with a telling name, the credentials in URLs, long words,
/// letters and digits in disorder. Ids (GUIDs) stay.
pub(crate) fn scrub_unknown(text: &str) -> String {
    let mut marks = Marks::new(bounded(text));
    for level in Plain::levels(marks.text()) {
        let (plain, at) = level.text();
        for range in suspicious(&plain).into_iter().filter(|range| !range.is_empty()) {
            marks.hide(at[range.start].start..at[range.end - 1].end);
        }
    }
    mark_jwts(&mut marks);
    marks.show()
}

/// `text` without the JWTs in it, nor any part of them.
pub(crate) fn scrub_jwts(text: &str) -> String {
    let mut marks = Marks::new(bounded(text));
    mark_jwts(&mut marks);
    marks.show()
}

fn mark_jwts(marks: &mut Marks<'_>) {
    let jwts = jwts_in(marks.text());
    redact::mark(marks, jwts.iter().map(Secret::expose));
}

/// Whatever in a text looks like a JWT, or like the first part of one.
pub(crate) fn jwts_in(text: &str) -> Vec<Secret> {
    let mut found: Vec<Secret> = Vec::new();
    // At every level: half an escape in front of a token takes the token's first letters for its own end.
    for level in Plain::levels(bounded(text)) {
        let plain = level.text().0;
        for range in jwts(&plain) {
            if !found.iter().any(|jwt| jwt.expose() == &plain[range.clone()]) {
                found.push(Secret::new(&plain[range]));
            }
        }
    }
    found
}

fn jwts(text: &str) -> Vec<Range<usize>> {
    let mut jwts: Vec<Range<usize>> = Vec::new();
    for (start, _) in text.match_indices(JWT) {
        // The payload of one that has been found begins like that too.
        if jwts.last().is_some_and(|jwt| start < jwt.end) {
            continue;
        }
        let rest = &text[start..];
        let judged = &rest[..run(rest, JUDGED)];
        let stands_free = !text[..start].ends_with(|c: char| c.is_ascii_alphanumeric());
        if stands_free || (judged.len() >= RANDOM && is_random(judged)) {
            let length = jwt(rest);
            if length >= SHORTEST_JWT {
                jwts.push(start..start + length);
            }
        }
    }
    jwts
}

/// The length of what a JWT may hold, at the start of a text; `most` of it is looked at.
fn run(text: &str, most: usize) -> usize {
    let is_other = |c: u8| !(c.is_ascii_alphanumeric() || b"-_.=".contains(&c));
    text.bytes().take(most).position(is_other).unwrap_or(text.len().min(most))
}

/// The length of the JWT at the start of a text, with whatever came into it where it was quoted.
fn jwt(text: &str) -> usize {
    let mut end = run(text, usize::MAX);
    loop {
        let rest = &text[end..];
        let foreign = rest.find(|c: char| c.is_ascii() && !c.is_control()).unwrap_or(rest.len());
        let (foreign, rest) = rest.split_at(foreign);
        let next = &rest[..run(rest, usize::MAX)];
        // A line may be broken behind a token as well as within it.
        let is_break = foreign.chars().all(|c| c.is_ascii_whitespace());
        let goes_on = !is_break || (next.len() >= RANDOM_BESIDE && is_random(next));
        if next.is_empty() || !goes_on {
            return end;
        }
        end += foreign.len() + next.len();
    }
}

/// The parts of a text, of one level of escapes, that may be secrets.
fn suspicious(text: &str) -> Vec<Range<usize>> {
    let mut found = names::in_urls(text);
    let mut value_end = 0;
    let mut hidden = false;
    for word in words(text) {
        let in_value = word.start < value_end;
        hidden = in_value || looks_secret(&text[word.clone()], if hidden { RANDOM_BESIDE } else { RANDOM });
        if hidden && !in_value {
            found.push(word.clone());
        }
        if let Some(value) = names::value(text, word) {
            value_end = value_end.max(value.end);
            found.push(value);
        }
    }
    found
}

/// The words of a text: what stands between spaces, quotes, brackets and the like, and has a letter or a digit.
fn words(text: &str) -> impl Iterator<Item = Range<usize>> {
    let divides = |c: char| c.is_whitespace() || "\"'`()[]{}<>,;:=|&?#\\".contains(c);
    let mut start = 0;
    text.split(divides).filter_map(move |word| {
        let range = start..start + word.len();
        // What divides is one byte, or more if it is a space outside of ASCII.
        start = range.end + text[range.end..].chars().next().map_or(0, char::len_utf8);
        word.contains(char::is_alphanumeric).then_some(range)
    })
}

fn looks_secret(word: &str, length: usize) -> bool {
    let mut runs = word.split(|c: char| !(c.is_ascii_alphanumeric() || "-_~+".contains(c)));
    !jwts(word).is_empty()
        || word.split(['/', '.', '%']).any(|part| part.len() > LONGEST_WORD)
        || runs.any(|run| without_guids(run).any(|part| part.len() >= length && is_random(part)))
}

/// Whether a third of its characters are of another kind than the one before: lower case, upper case, digit, other. Of
/// words and names, no more than a fifth are; of base64 and hex, half.
fn is_random(run: &str) -> bool {
    let kind = |c: u8| (c.is_ascii_lowercase(), c.is_ascii_uppercase(), c.is_ascii_digit());
    let changes = run.as_bytes().windows(2).filter(|pair| kind(pair[0]) != kind(pair[1])).count();
    changes * 3 >= run.len()
}

/// What stands before, between and behind the GUIDs of a run, which no letter or digit joins to it. So they do not
/// overlap.
fn without_guids(run: &str) -> impl Iterator<Item = &str> {
    let bytes = run.as_bytes();
    let ends = |byte: Option<&u8>| byte.is_none_or(|byte| !byte.is_ascii_alphanumeric());
    let mut guids: Vec<usize> = Vec::new();
    for (start, guid) in bytes.windows(GUID).enumerate() {
        let before = start.checked_sub(1).and_then(|before| bytes.get(before));
        let is_free = ends(before) && ends(bytes.get(start + GUID));
        if is_free && is_guid(guid) {
            guids.push(start);
        }
    }
    let starts = std::iter::once(0).chain(guids.clone().into_iter().map(|start| start + GUID));
    let ends = guids.into_iter().chain([run.len()]);
    starts.zip(ends).map(|(start, end)| &run[start..end])
}

const GUID: usize = 36;

fn is_guid(text: &[u8]) -> bool {
    text.iter().enumerate().all(|(position, c)| match position {
        8 | 13 | 18 | 23 => *c == b'-',
        _ => c.is_ascii_hexdigit(),
    })
}
