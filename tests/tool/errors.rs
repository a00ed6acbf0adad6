//! What goes wrong is a sentence, with what to do.

use common::{SECOND, child, within};
use std::{io, process::Stdio};
use tempfile::tempdir;
use tokio::process::Command;

/// Neither a `Debug` print nor more than a line.
fn assert_sentence(complaint: &str, parts: &[&str]) {
    let is_error = complaint.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("error: "));
    assert!(is_error && complaint.trim_end().lines().count() == 1, "{complaint}");
    for part in parts {
        assert!(complaint.contains(part), "{part}: {complaint}");
    }
    for debug in ["Os {", "Error(", "Custom {", "kind:", "NotPresent", "Some(", "\\\""] {
        assert!(!complaint.contains(debug), "{complaint}");
    }
}

#[tokio::test]
async fn errors_are_sentences() {
    for (arguments, parts) in [
        (&["soak"][..], &["REDIS_HOST is not set", "entra-redis emulator"][..]),
        (&["token"], &["`AZURE_TENANT_ID` is missing"]),
        (&["emulator", "--redis", "127.0.0.1:1"], &["the emulator does not start", "127.0.0.1:1"]),
        (&["emulator", "--token-lifetime=-1"], &["--token-lifetime -1", "give seconds"]),
        (&["emulator", "--token-lifetime", "0"], &["--token-lifetime 0", "give seconds"]),
        (&["emulator", "--write-dir", "/dev/null/x"], &["cannot make the directory /dev/null/x"]),
    ] {
        let variables = [("AZURE_CLIENT_SECRET", "x".to_owned()), ("AZURE_CLIENT_ID", "y".to_owned())];
        let run = child::tool(arguments, &variables).await;
        assert_eq!(run.code, Some(1), "{arguments:?}: {} {}", run.output, run.complaint);
        assert_sentence(&run.complaint, parts);
    }
    let host = [("REDIS_HOST", "localhost".to_owned()), ("REDIS_PORT", "many".to_owned())];
    let port_of_no_use = child::tool(&["soak"], &host).await.complaint;
    assert_sentence(&port_of_no_use, &["`REDIS_PORT` must be a number from 1 to 65535"]);
}

/// Figures of a run that never began would push the reason out of sight; a script gets its line all the same.
#[tokio::test]
async fn a_soak_that_does_not_begin_says_why_and_no_more() {
    let host = [("REDIS_HOST", "localhost".to_owned()), ("REDIS_PORT", "many".to_owned())];
    let run = child::tool(&["soak"], &host).await;
    assert_eq!((run.code, run.output.as_str()), (Some(1), ""));
    let run = child::tool(&["soak", "--json"], &host).await;
    assert_eq!((run.code, &run.json()["errors"]), (Some(1), &1.into()));
    assert!(run.json()["first_error"].as_str().unwrap().contains("REDIS_PORT"), "{}", run.output);
}

/// As `head` does, and as a shell does to both outputs with `2>&1 |`.
#[tokio::test]
async fn whoever_does_not_read_on_is_not_complained_to() {
    for (both, arguments) in
        [(false, &["completions", "bash"][..]), (true, &["doctor", "--host", "localhost", "--port", "1"])]
    {
        // Nobody reads, from the start.
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut tool = Command::new(child::program("entra-redis"));
        tool.args(arguments).env_clear().stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        if both {
            tool.stderr(writer.try_clone().unwrap());
        }
        let tool = tool.stdout(writer).spawn().unwrap();
        let output = within("it ends", 60 * SECOND, tool.wait_with_output()).await.unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*complaint), (Some(1), ""), "both outputs: {both}");
    }
}

/// Options that do not exist are told by clap, which proposes those that do.
#[tokio::test]
async fn a_wrong_option_is_answered_with_the_right_one() {
    let run = child::tool(&["soak", "--secnds", "3"], &[]).await;
    assert_eq!(run.code, Some(2));
    assert!(run.complaint.contains("--seconds"), "{}", run.complaint);
}

#[tokio::test]
async fn the_emulator_makes_the_directory_that_it_writes_to() {
    let dir = tempdir().unwrap();
    let deep = dir.path().join("not/there/yet");
    let run = child::tool(&["emulator", "--write-dir", deep.to_str().unwrap(), "--seconds", "0"], &[]).await;
    assert_eq!((run.code, run.complaint.as_str()), (Some(0), ""));
    for name in ["client-certificate.pem", "federated-token"] {
        assert!(deep.join(name).is_file(), "{name}");
    }
}

#[tokio::test]
async fn examples_name_the_variable_that_is_missing() {
    let host = ("REDIS_HOST", "localhost".to_owned());
    let at_port = |port: &str| vec![host.clone(), ("REDIS_PORT", port.to_owned())];
    let mut examples = vec![
        ("managed_identity", vec![], "REDIS_HOST"),
        ("service_principal", vec![], "AZURE_CLIENT_ID"),
        ("managed_identity", at_port("70000"), "REDIS_PORT"),
    ];
    let on_either = ["cluster", "optimistic_lock", "pubsub", "stream_consumer", "work_queue"];
    examples.extend(on_either.map(|name| (name, at_port("many"), "REDIS_PORT")));
    for (name, variables, missing) in examples {
        let run = child::example(name, &[], &variables).await;
        assert_eq!(run.code, Some(1), "{name}");
        assert_sentence(&run.complaint, &[missing]);
    }
    let run = child::example("metrics", &["--seconds", "soon"], &[]).await;
    assert_ne!(run.code, Some(0));
    assert!(run.complaint.contains("--seconds needs a number"), "{}", run.complaint);
}
