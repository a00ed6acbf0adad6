//! The default chain as data: each directory in `tests/chain` is a case.
//!
//! - `env.json`: the `variables`; the `files` and the `executables` (shell scripts on a private `PATH`) of a directory
//!   of the case's own; `from_env` for `Credential::from_env` instead of `Credential::default_chain`; `timeout_ms` for
//!   a token request.
//! - `http.json`: the requests that must come, in this order, and their responses. Of a request, `method`, `path` and
//!   `query` must be as given; `headers` and `form` must hold at least what is given, where null means absent, and `*`
//!   anything.
//! - `expected.json`: the `source` of the token, or the `error` kind with `aadsts`, `transient`, `retry_after`
//!   (seconds), fragments of the `message` in their order, and fragments that must `not` be in it; `fetches`, if it is
//!   to be asked more than once.
//!
//! `{{server}}` is the address of the case's HTTP server, `{{closed}}` one where nobody listens, `{{silent}}` one where
//! nobody answers, `{{dir}}` the case's directory, `{{token}}` a good token, `{{pem}}` a certificate with its key.

use super::super::{
    certificate::tests::pair,
    test_server::{HttpReply, Server, jwt, within},
    *,
};
use crate::token::AccessToken;
use serde_json::Value;
use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt, path::Path, time::Duration};
use tokio::net::TcpSocket;

#[tokio::test]
async fn every_case_ends_as_expected() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chain");
    let mut cases: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 25, "{} cases", cases.len());
    let mut problems = Vec::new();
    for case in cases {
        for problem in run(&case).await {
            problems.push(format!("{}: {problem}", case.file_name().unwrap().display()));
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

/// Runs a case; returns what was not as expected.
async fn run(case: &Path) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start().await;
    // Bound, so that nobody else gets the port, and not listening.
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let read = |name: &str| -> Value {
        let text = fs::read_to_string(case.join(name)).unwrap();
        let text = text
            .replace("{{server}}", server.url())
            .replace("{{closed}}", &format!("http://{}", closed.local_addr().unwrap()))
            .replace("{{silent}}", &format!("http://{}", silent.local_addr().unwrap()))
            .replace("{{dir}}", &dir.path().display().to_string())
            .replace("{{token}}", &jwt());
        let text = if text.contains("{{pem}}") { text.replace("{{pem}}", &pem_in_json()) } else { text };
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}/{name}: {error}", case.display()))
    };
    let (environment, expected) = (read("env.json"), read("expected.json"));
    let exchanges = read("http.json").as_array().unwrap().clone();
    for exchange in &exchanges {
        server.reply(reply(&exchange["response"]));
    }
    let env = env(&environment, dir.path());
    let credential = if environment["from_env"] == true {
        Credential::from_process_env(&env)
    } else {
        Ok(Credential::default_chain())
    };
    let outcome = match credential.and_then(|credential| credential.resolve_in(&env)) {
        Ok(source) => {
            let limit = Duration::from_millis(environment["timeout_ms"].as_u64().unwrap_or(20_000));
            let fetch = || within(limit, source.fetch());
            for _ in 1..expected["fetches"].as_u64().unwrap_or(1) {
                _ = fetch().await;
            }
            fetch().await
        }
        Err(error) => Err(error),
    };
    let mut problems = compare_outcome(&outcome, &expected);
    problems.extend(compare_requests(&server.seen(), &exchanges));
    problems
}

fn pem_in_json() -> String {
    let (cert, key) = pair();
    format!("{cert}{}", key.serialize_pem()).replace("\r\n", "\n").replace('\n', "\\n")
}

fn reply(response: &Value) -> HttpReply {
    let headers = response["headers"].as_object().into_iter().flatten();
    HttpReply {
        status: u16::try_from(response["status"].as_u64().unwrap()).unwrap(),
        headers: headers.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect(),
        body: match &response["body"] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            json => json.to_string(),
        },
    }
}

fn env(environment: &Value, dir: &Path) -> ProcessEnv {
    let strings = |name: &str| -> Vec<(String, String)> {
        let object = environment[name].as_object().into_iter().flatten();
        object.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
    };
    let bin = dir.join("bin");
    fs::create_dir(&bin).unwrap();
    for (name, content) in strings("files") {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    for (name, script) in strings("executables") {
        let path = bin.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let variables = strings("variables");
    let pairs: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut env = ProcessEnv::of_pairs(&pairs);
    env.path = Some(bin.into());
    env.arc_tokens = dir.join("arc");
    env
}

fn compare_outcome(outcome: &Result<AccessToken, Error>, expected: &Value) -> Vec<String> {
    let error = match (outcome, expected["source"].as_str()) {
        (Ok(token), Some(source)) if token.source() == Some(source) => return Vec::new(),
        (Err(error), None) => error,
        (outcome, _) => return vec![format!("ended with {outcome:?}")],
    };
    let text = error.to_string();
    let mut problems = Vec::new();
    if format!("{:?}", error.kind()) != expected["error"].as_str().unwrap() {
        problems.push(format!("is {:?}: {text}", error.kind()));
    }
    if error.aadsts().map(u64::from) != expected["aadsts"].as_u64() {
        problems.push(format!("has the AADSTS number {:?}: {text}", error.aadsts()));
    }
    if expected["transient"].as_bool().is_some_and(|transient| transient != error.is_transient()) {
        problems.push(format!("is transient or not: {text}"));
    }
    let retry_after = error.retry_after().map(|delay| delay.as_secs());
    if expected["retry_after"].as_u64().is_some_and(|seconds| retry_after != Some(seconds)) {
        problems.push(format!("is to be retried after {retry_after:?}: {text}"));
    }
    let fragments = |name: &str| -> Vec<String> {
        expected[name].as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let mut rest = text.as_str();
    for fragment in fragments("message") {
        match rest.find(&fragment) {
            Some(start) => rest = &rest[start + fragment.len()..],
            None => problems.push(format!("does not say `{fragment}`, or not in its turn: {text}")),
        }
    }
    let shown = format!("{error} {error:?}");
    for fragment in fragments("not").into_iter().chain(["eyJ".to_owned()]) {
        if shown.contains(&fragment) {
            problems.push(format!("says `{fragment}`: {shown}"));
        }
    }
    problems
}

fn compare_requests(seen: &[Value], exchanges: &[Value]) -> Vec<String> {
    let mut problems = Vec::new();
    if seen.len() != exchanges.len() {
        problems.push(format!("{} requests came instead of {}: {seen:?}", seen.len(), exchanges.len()));
    }
    for (number, (seen, exchange)) in seen.iter().zip(exchanges).enumerate() {
        let request = &exchange["request"];
        for name in ["method", "path", "query"] {
            if !request[name].is_null() && request[name] != seen[name] {
                problems.push(format!("request {number} has {name} {} instead of {}", seen[name], request[name]));
            }
        }
        for part in ["headers", "form"] {
            for (name, value) in request[part].as_object().into_iter().flatten() {
                let got = &seen[part][name];
                let anything = value == "*" && !got.is_null();
                if !anything && got != value {
                    problems.push(format!("request {number} has {part} `{name}` {got} instead of {value}"));
                }
            }
        }
    }
    problems
}
