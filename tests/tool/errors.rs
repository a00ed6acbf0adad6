//! What goes wrong is a sentence, with what to do.

use common::child;
use tempfile::tempdir;

/// Neither a `Debug` print nor more than a line.
fn assert_sentence(complaint: &str, parts: &[&str]) {
    assert!(complaint.starts_with("error: ") && complaint.trim_end().lines().count() == 1, "{complaint}");
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
        (&["emulator", "--write-dir", "/dev/null/x"], &["cannot make the directory /dev/null/x"]),
    ] {
        let variables = [("AZURE_CLIENT_SECRET", "x".to_owned()), ("AZURE_CLIENT_ID", "y".to_owned())];
        let run = child::tool(arguments, &variables).await;
        assert_eq!(run.code, Some(1), "{arguments:?}: {} {}", run.output, run.complaint);
        assert_sentence(&run.complaint, parts);
    }
    let host = [("REDIS_HOST", "localhost".to_owned()), ("REDIS_PORT", "many".to_owned())];
    assert_sentence(&child::tool(&["soak"], &host).await.complaint, &["REDIS_PORT is no port"]);
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
    for (name, variables, missing) in [
        ("managed_identity", vec![], "REDIS_HOST"),
        ("service_principal", vec![], "AZURE_CLIENT_ID"),
        ("cluster", vec![host.clone(), ("REDIS_PORT", "many".to_owned())], "REDIS_PORT"),
        ("managed_identity", vec![host, ("REDIS_PORT", "70000".to_owned())], "REDIS_PORT"),
    ] {
        let run = child::example(name, &[], &variables).await;
        assert_eq!(run.code, Some(1), "{name}");
        assert_sentence(&run.complaint, &[missing]);
    }
    let run = child::example("metrics", &["--seconds", "soon"], &[]).await;
    assert_ne!(run.code, Some(0));
    assert!(run.complaint.contains("--seconds needs a number"), "{}", run.complaint);
}
