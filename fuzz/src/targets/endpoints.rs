//! What endpoints and tools answer to a request for a token.

use super::{SECRET, TOKEN, assert_hidden, halves, piece_in, shown};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use entra_redis::{AccessToken, ErrorKind, Secret, bench_api::parsers};
use serde_json::Value;
use std::{
    path::{Component, Path},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A text is a token with a sound life, or an error that does not show it; as it is, and as the claims of a JWT.
pub fn jwt(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for jwt in [text.into_owned(), format!("eyJhbGciOiJub25lIn0.{}.{SECRET}", URL_SAFE_NO_PAD.encode(data))] {
        match AccessToken::from_jwt(jwt.as_str()) {
            Ok(token) => sound(&token, &jwt),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::MalformedToken);
                if jwt.ends_with(SECRET) {
                    assert_hidden(SECRET, &shown(&error));
                }
            }
        }
    }
}

fn sound(token: &AccessToken, jwt: &str) {
    assert_eq!(token.secret().expose(), jwt);
    assert!(!token.lifetime().is_zero() && token.remaining() <= token.lifetime());
    assert!(token.expires_at() > UNIX_EPOCH);
    assert!(token.username().is_none_or(|name| !name.is_empty()));
    assert!(!format!("{token:?}").contains(SECRET));
}

/// An answer is a token, or an error that shows nothing of the secret that was sent, nor of a token.
///
/// The first byte chooses the issuer and the status; `@` stands for the secret and `^` for a token.
pub fn token_answer(data: &[u8]) {
    let (choice, body) = data.split_first().unwrap_or((&0, data));
    let statuses = [200, 201, 302, 400, 401, 403, 404, 410, 429, 500, 503, 0];
    let status = statuses[usize::from(*choice >> 2) % statuses.len()];
    let body = String::from_utf8_lossy(body);
    // A token that nobody knows is told by its beginning: an engine that has learned pieces of it must not show them.
    let is_whole = piece_in(TOKEN, &body).is_none();
    let body = body.replace('@', SECRET).replace('^', TOKEN);
    match parsers::token_answer(choice & 3, status, body.as_bytes(), &Secret::new(SECRET)) {
        Ok(token) => {
            assert!((200..300).contains(&status) && !token.lifetime().is_zero());
            assert!(!format!("{token:?}").contains(token.secret().expose()) || token.secret().expose().len() < 20);
        }
        Err(error) => {
            assert_hidden(SECRET, &shown(&error));
            if is_whole {
                assert_hidden(TOKEN, &shown(&error));
            }
        }
    }
    let told = parsers::told(status, body.as_bytes());
    assert!(!told.contains(char::is_control) && told.chars().count() <= 400, "{told:?}");
}

/// A text is a moment or none, with spaces around it or without; seconds are read exactly.
pub fn expires_on(data: &[u8]) {
    let text = String::from_utf8_lossy(data).into_owned();
    let moment = parsers::moment(&Value::from(text.as_str()));
    assert_eq!(moment, parsers::moment(&Value::from(format!(" {text}\n"))));
    _ = parsers::local_moment(&text);
    let seconds = parsers::seconds(&Value::from(text.as_str()));
    if let Ok(number) = text.parse::<u32>() {
        let number = Duration::from_secs(number.into());
        assert_eq!((seconds, moment), (Some(number), Some(UNIX_EPOCH + number)));
    }
    if let Ok(value) = serde_json::from_slice::<Value>(data) {
        _ = (parsers::moment(&value), parsers::seconds(&value));
    }
}

/// A header names a delay or none, the same one with spaces around it; of a date, no more than is left.
pub fn http_headers(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let now = UNIX_EPOCH + Duration::from_secs(784_111_717);
    let delay = parsers::retry_after(&text, now);
    assert_eq!(delay, parsers::retry_after(&format!(" {text} "), now));
    if let Ok(seconds) = text.parse::<u64>() {
        assert_eq!(delay, Some(Duration::from_secs(seconds)));
    } else if let Some(delay) = delay.filter(|_| text.trim().parse::<u64>().is_err()) {
        // The same date, seen later by as much, is now.
        let later = now.checked_add(delay).unwrap_or(now);
        assert!(parsers::retry_after(&text, later).is_some_and(|left| left <= delay));
    }
    _ = parsers::retry_after(&text, SystemTime::now());
}

/// A challenge names a path or none; no other file than the agent's is opened, however it is named.
pub fn arc_challenge(data: &[u8]) {
    const TOKENS: &str = "/nowhere/azcmagent/tokens";
    let text = String::from_utf8_lossy(data).replace('@', TOKENS);
    for challenge in [text.clone(), format!("Basic realm={text}")] {
        let Some(path) = parsers::arc_realm(&challenge) else {
            continue;
        };
        assert!(!path.as_os_str().is_empty() && challenge.contains(&*path.to_string_lossy()));
        let Err(error) = parsers::arc_key(&path, Path::new(TOKENS)) else {
            panic!("{} was read", path.display());
        };
        if error.kind() != ErrorKind::TokenEndpoint {
            // It was looked for, as it may be.
            let parent = path.parent().unwrap_or_else(|| panic!("{} was opened", path.display()));
            let is_plain = path.extension().is_some_and(|extension| extension == "key")
                && !path.components().any(|part| matches!(part, Component::ParentDir | Component::CurDir));
            assert!(parent == Path::new(TOKENS) && is_plain, "{} was opened", path.display());
        }
    }
}

/// Whoever answers: with the header of IMDS it is IMDS, without any header only with JSON.
pub fn imds_answer(data: &[u8]) {
    let (choice, rest) = data.split_first().unwrap_or((&0, data));
    let (server, body) = halves(rest);
    let status = [200, 400, 404, 500][usize::from(choice & 3)];
    let server = String::from_utf8_lossy(server);
    let (is_imds, is_json) = parsers::imds(status, None, false, body);
    assert!(is_json || !is_imds);
    assert_eq!(is_json, serde_json::from_slice::<Value>(body).is_ok_and(|body| body.is_object()));
    let (named, same) = parsers::imds(status, Some(&server), false, body);
    assert_eq!((named, same), (is_imds || server.to_ascii_lowercase().starts_with("imds/"), is_json));
    assert!(parsers::imds(status, Some(&server), true, body).0);
}

/// What a tool prints is a token or none; what it complains about shows no part of a token that it has printed.
///
/// The first byte chooses the tool; `^` stands for a token, and a zero divides what is printed from the complaint.
pub fn tool_output(data: &[u8]) {
    let (choice, rest) = data.split_first().unwrap_or((&0, data));
    let is_azd = choice & 1 == 1;
    if let Ok(token) = parsers::tool_output(is_azd, rest) {
        assert!(!token.lifetime().is_zero() && !token.secret().expose().is_empty());
    }
    let (output, complaint) = halves(rest);
    let filled = |text: &[u8]| String::from_utf8_lossy(text).replace('^', TOKEN);
    let printed = format!("{{\"accessToken\":\"{TOKEN}\"}}\n{}", filled(output));
    let error = parsers::tool_failure(is_azd, filled(complaint).as_bytes(), printed.as_bytes());
    assert_hidden(TOKEN, &shown(&error));
}
