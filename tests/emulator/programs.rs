//! The command-line tool and the examples as a new user runs them: the emulator in a shell of its own, whose lines are
//! another shell's variables.

use common::{SECOND, child, logs, within};
use serde_json::Value;
use std::{path::Path, process::Stdio};
use tokio::process::Command;

fn value<'a>(variables: &'a child::Variables, name: &str) -> &'a str {
    variables.iter().find(|(known, _)| *known == name).map_or_else(|| panic!("no {name}"), |(_, value)| value)
}

#[tokio::test]
async fn the_emulators_lines_are_all_that_the_other_programs_need() {
    let emulator =
        child::start(&["emulator", "--token-lifetime", "60"], "# export AZURE_AUTHORITY_HOST=https://").await;
    let variables = emulator.exported();
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
    let soak = child::tool(&["soak", "--seconds", "3", "--tasks", "8", "--json"], &variables).await;
    assert_eq!(soak.code, Some(0), "{}", soak.complaint);
    let report = soak.json();
    for figure in ["commands", "tokens_fetched", "rotations", "reauths", "p50_us", "p99_us", "max_us"] {
        assert!(report[figure].as_u64() >= Some(1), "{figure}: {report}");
    }
    for none in ["errors", "wrong_reads", "reconnects", "unexplained_errors", "tasks_end"] {
        assert_eq!(report[none], 0, "{none}: {report}");
    }
    for nothing in ["first_error", "last_error_at_s", "first_wrong_read"] {
        assert!(report.get(nothing).is_some_and(Value::is_null), "{nothing}: {report}");
    }
    assert_eq!(report["recovered"], true);
    assert_eq!(report["nodes"], 1, "{report}");

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

/// The long soak of the guide, for ten seconds. This seed has some of everything in them: token requests that are
/// refused, a server that stands still, an `AUTH` that is refused, connections that are cut one by one and all at once.
#[tokio::test]
async fn soak_gets_through_what_the_emulator_does_to_it() {
    let arguments = ["emulator", "--chaos", "--seed", "25", "--redis-server", "--token-lifetime", "2"];
    let emulator = child::start(&arguments, "# export AZURE_AUTHORITY_HOST=https://").await;
    let variables = emulator.exported();
    logs::forbid(value(&variables, "AZURE_CLIENT_SECRET"));
    let arguments = ["soak", "--chaos", "--seconds", "10", "--tasks", "8", "--command-timeout", "1000", "--json"];
    let soak = child::tool(&arguments, &variables).await;
    assert_eq!(soak.code, Some(0), "{} {}", soak.output, soak.complaint);
    let report = soak.json();
    for none in ["wrong_reads", "unexplained_errors", "tasks_end"] {
        assert_eq!(report[none], 0, "{none}: {report}");
    }
    assert!(report["rotations"].as_u64() >= Some(1), "{report}");
    for fault in ["links_lost", "token_failures"] {
        assert!(report["faults_met"][fault].as_u64() >= Some(1), "{fault}: {report}");
    }
    let errors = report["errors_by_kind"].as_object().unwrap().values().filter_map(Value::as_u64).sum::<u64>();
    assert_eq!(report["errors"], errors, "{report}");
    // No command outlives its deadline of a second, but for what a very busy machine adds.
    assert!(report["max_us"].as_u64() < Some(6_000_000), "{report}");
    assert_eq!(emulator.interrupt().await, Some(0));
}

#[tokio::test]
async fn the_quickstart_and_the_example_of_a_cluster_need_nothing() {
    for name in ["quickstart", "cluster"] {
        let run = child::example(name, &[], &[]).await;
        assert_eq!(run.code, Some(0), "{name}: {}", run.complaint);
    }
}

/// A cluster of redis-servers, as a user runs it, with tokens that rotate meanwhile.
#[tokio::test]
async fn on_a_cluster_the_programs_need_no_other_lines() {
    let arguments = ["emulator", "--cluster", "3", "--token-lifetime", "2"];
    let emulator = child::start(&arguments, "# export AZURE_AUTHORITY_HOST=https://").await;
    let variables = emulator.exported();
    logs::forbid(value(&variables, "AZURE_CLIENT_SECRET"));

    let run = child::example("cluster", &[], &variables).await;
    assert_eq!(run.code, Some(0), "{}", run.complaint);
    let values = (100..112).map(|value| value.to_string()).collect::<Vec<_>>().join(", ");
    assert!(run.output.contains(&format!("A pipeline over several slots: [{values}]")), "{}", run.output);
    assert!(run.output.contains("A transaction in one slot: 9 left, 1 sold"), "{}", run.output);
    let slots: Vec<_> = run.output.lines().filter_map(|line| line.split_once(" slots, ")?.0.split_once(": ")).collect();
    assert_eq!(slots.len(), 3, "{}", run.output);
    assert_eq!(slots.iter().map(|(_, slots)| slots.parse::<u32>().unwrap()).sum::<u32>(), 16_384);

    let soak = child::tool(&["soak", "--seconds", "5", "--tasks", "8", "--json"], &variables).await;
    assert_eq!(soak.code, Some(0), "{} {}", soak.output, soak.complaint);
    let report = soak.json();
    assert_eq!(report["nodes"], 3, "{report}");
    for none in ["errors", "wrong_reads", "reconnects", "unexplained_errors", "tasks_end"] {
        assert_eq!(report[none], 0, "{none}: {report}");
    }
    // Every link of three nodes, with each new token.
    assert!(report["rotations"].as_u64() >= Some(2) && report["reauths"].as_u64() >= Some(2 * 6), "{report}");
    assert_eq!(report["recovered"], true);
    assert_eq!(emulator.interrupt().await, Some(0));
}

/// A Redis server that is not there is told at once, by its address.
#[tokio::test]
async fn the_emulator_names_a_redis_server_that_it_cannot_reach() {
    for address in ["127.0.0.1:1", "127.0.0.1"] {
        let run = child::tool(&["emulator", "--redis", address], &[]).await;
        assert_ne!(run.code, Some(0));
        assert!(run.complaint.contains(address), "{}", run.complaint);
    }
}
