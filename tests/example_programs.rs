//! The examples as a new user runs them: the emulator in a shell of its own, whose lines are another shell's variables.
#![cfg(unix)]

mod common;

use common::{SECOND, child, logs, within};
use std::{path::Path, process::Stdio};
use tokio::process::Command;

/// What a shell makes of the emulator's lines.
fn exported(lines: &[String]) -> child::Variables {
    let variable = |line: &String| {
        let (name, value) = line.strip_prefix("export ")?.split_once('=')?;
        assert!(!value.contains(['\'', '"', ' ']), "it can be read without a shell: {line}");
        Some((String::leak(name.to_owned()) as &'static str, value.to_owned()))
    };
    lines.iter().filter_map(variable).collect()
}

fn value<'a>(variables: &'a child::Variables, name: &str) -> &'a str {
    variables.iter().find(|(known, _)| *known == name).map_or_else(|| panic!("no {name}"), |(_, value)| value)
}

#[tokio::test]
async fn the_emulators_lines_are_all_that_the_other_programs_need() {
    let _logs = logs::watch();
    let emulator =
        child::start("emulator", &["--token-lifetime", "60"], "# export AZURE_AUTHORITY_HOST=https://").await;
    let variables = exported(&emulator.lines);
    logs::forbid(value(&variables, "AZURE_CLIENT_SECRET"));
    let ca_file = value(&variables, "REDIS_CA_CERT").to_owned();
    assert!(Path::new(&ca_file).is_file());

    for name in ["service_principal", "managed_identity"] {
        let run = child::example(name, &[], &variables).await;
        assert_eq!(run.code, Some(0), "{name}: {}", run.complaint);
        assert!(run.output.contains("The database size is: "), "{name}: {}", run.output);
    }
    for (kind, source) in [("secret", "service-principal-secret"), ("managed-identity", "imds")] {
        let run = child::token(&["--credential", kind, "--json"], &variables).await;
        assert_eq!(run.code, Some(0), "{kind}: {}", run.complaint);
        assert_eq!(run.json()["source"], source);
    }
    let soak = child::example("soak", &["--seconds", "3", "--tasks", "8", "--json"], &variables).await;
    assert_eq!(soak.code, Some(0), "{}", soak.complaint);
    assert!(soak.json()["rotations"].as_u64() >= Some(1), "{}", soak.output);

    let token = child::token(&["--show-token", "--json"], &variables).await.json();
    let mut cli = Command::new("redis-cli");
    cli.args([
        "--tls",
        "--cacert",
        &ca_file,
        "-h",
        value(&variables, "REDIS_HOST"),
        "-p",
        value(&variables, "REDIS_PORT"),
    ]);
    cli.args(["--user", token["user_name"].as_str().unwrap(), "--no-auth-warning", "PING"]);
    cli.env("REDISCLI_AUTH", token["token"].as_str().unwrap()).stdin(Stdio::null()).kill_on_drop(true);
    let said = within("redis-cli ends", 10 * SECOND, cli.output())
        .await
        .expect("`make test` installs redis-server and redis-cli");
    assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), "PONG", "{}", String::from_utf8_lossy(&said.stderr));

    assert_eq!(emulator.interrupt().await, Some(0));
    assert!(!Path::new(&ca_file).exists(), "it leaves nothing behind");
}

/// Connections cut and frozen, the server stopped for moments, the identity provider broken, AUTHs delayed and refused: no
/// read is wrong, no error is left unexplained, and in the end all is well. The same seed makes the same chaos.
#[tokio::test]
async fn soak_survives_chaos() {
    let _logs = logs::watch();
    let arguments = ["--chaos", "--seed", "7", "--redis-server", "--token-lifetime", "2"];
    let emulator = child::start("emulator", &arguments, "# export AZURE_AUTHORITY_HOST=https://").await;
    let variables = exported(&emulator.lines);
    logs::forbid(value(&variables, "AZURE_CLIENT_SECRET"));
    let options = ["--seconds", "15", "--tasks", "16", "--command-timeout", "2000", "--expect-faults", "--json"];
    let soak = child::example("soak", &options, &variables).await;
    assert_eq!(soak.code, Some(0), "{} {}", soak.output, soak.complaint);
    let report = soak.json();
    let figure = |name: &str| report[name].as_u64().unwrap();
    assert_eq!((figure("wrong_reads"), figure("tasks_end")), (0, 0), "{report}");
    assert!(figure("commands") > 1_000 && figure("rotations") >= 3, "{report}");
    assert!(figure("reconnects") > 0 && figure("errors") > 0, "nothing has gone wrong: {report}");
    // Without being told to expect it, it complains.
    assert!(report["first_error"].is_string() && report["last_error_at_s"].is_f64(), "{report}");
    assert_eq!(emulator.interrupt().await, Some(0));
}

#[tokio::test]
async fn the_quickstart_needs_nothing() {
    let _logs = logs::watch();
    let run = child::example("quickstart", &[], &[]).await;
    assert_eq!(run.code, Some(0), "{}", run.complaint);
}

/// A Redis server that is not there is told at once, by its address.
#[tokio::test]
async fn the_emulator_names_a_redis_server_that_it_cannot_reach() {
    let _logs = logs::watch();
    for address in ["127.0.0.1:1", "127.0.0.1"] {
        let run = child::example("emulator", &["--redis", address], &[]).await;
        assert_ne!(run.code, Some(0));
        assert!(run.complaint.contains(address), "{}", run.complaint);
    }
}
