//! What the doctor promises whatever is wrong: one object, every step in it, half a minute, no secret.

use crate::{
    Trial,
    ground::{in_time, step},
};
use common::{SECOND, child, logs, scripted::Scripted, server::Certificates, within};
use entra_redis::emulator::{AuthFault, Emulator, IdentityFault};
use serde_json::Value;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{sync::Notify, time::sleep};

const STEPS: [&str; 11] =
    ["environment", "token", "dns", "tcp", "tls", "auth", "topology", "nodes", "data", "latency", "reauth"];

fn assert_schema(report: &Value) {
    let fields: Vec<_> = report.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["steps", "verdict"]);
    let steps = report["steps"].as_array().unwrap();
    assert_eq!(steps.iter().map(|step| step["step"].as_str().unwrap()).collect::<Vec<_>>(), STEPS);
    for step in steps {
        let fields: Vec<_> = step.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["cause", "detail", "next", "state", "step"]);
        let is_bad = match step["state"].as_str().unwrap() {
            "ok" | "not_reached" => false,
            "warning" | "failed" => true,
            other => panic!("{other}"),
        };
        assert_eq!((step["cause"].is_string(), step["next"].is_string()), (is_bad, is_bad), "{step}");
        assert!(!step["detail"].as_str().unwrap().is_empty() && !step.to_string().contains("\\n"), "{step}");
    }
}

#[tokio::test]
async fn where_all_is_well_every_step_is_ok() {
    for builder in [
        Emulator::builder(),
        Emulator::builder().redis_server(),
        Emulator::builder().enterprise_policy(),
        Emulator::builder().embedded_cluster(3).amr_strict(),
    ] {
        let trial = Trial::start(builder).await;
        let run = in_time(trial.run()).await;
        let report = run.json();
        assert_eq!((run.code, run.complaint.as_str()), (Some(0), ""), "{report:#}");
        assert_eq!(run.output.lines().count(), 1);
        assert_schema(&report);
        assert_eq!(report["verdict"], "well", "{report:#}");
        assert!(report["steps"].as_array().unwrap().iter().all(|step| step["state"] == "ok"), "{report:#}");
        assert_eq!(trial.azure.redis_fronts().iter().map(|front| front.stats().reauths).sum::<u64>(), 1);
    }
}

#[tokio::test]
async fn it_leaves_no_key_behind() {
    let trial = Trial::start(Emulator::builder().redis_server()).await;
    in_time(trial.run()).await;
    let redis = trial.azure.connect(trial.azure.config()).await;
    let size: u64 = redis::cmd("DBSIZE").query_async(&mut redis.clone()).await.unwrap();
    assert_eq!(size, 0);
}

#[tokio::test]
async fn limits_of_the_access_policy_that_are_intended_are_well() {
    let mut reader = Trial::start(Emulator::builder().redis_server()).await;
    reader.tell("ACL SETUSER default -@write").await;
    reader.option("--read-only", "");
    let mut limited = Trial::start(Emulator::builder().redis_server()).await;
    limited.tell("ACL SETUSER default resetkeys ~app:*").await;
    limited.option("--key-prefix", "app:");
    for trial in [reader, limited] {
        let run = in_time(trial.run()).await;
        assert_eq!((run.code, &run.json()["verdict"]), (Some(0), &Value::from("well")), "{}", run.output);
    }
}

/// All keys with a part in braces are in one slot, which another node may have than the one that the host leads to.
#[tokio::test]
async fn a_key_prefix_with_a_hash_tag_is_well_whichever_node_has_its_slot() {
    for read_only in [false, true] {
        // The slots 15495, 3300 and 7365: one for each node.
        for prefix in ["{a}:", "{b}:", "{c}:"] {
            let mut trial = Trial::start(Emulator::builder().embedded_cluster(3)).await;
            trial.option("--key-prefix", prefix);
            if read_only {
                trial.option("--read-only", "");
            }
            let run = in_time(trial.run()).await;
            assert_eq!((run.code, &run.json()["verdict"]), (Some(0), &Value::from("well")), "{}", run.output);
        }
    }
}

#[tokio::test]
async fn resp2_that_is_asked_for_is_well() {
    let mut trial = Trial::usual().await;
    trial.azure.redis_front().without_hello(true);
    trial.option("--resp2", "");
    let run = in_time(trial.run()).await;
    assert_eq!(run.code, Some(0), "{}", run.output);
}

#[tokio::test]
async fn people_are_told_a_line_a_step_and_what_to_do() {
    let mut trial = Trial::usual().await;
    trial.azure.redis_front().script_first_auth([AuthFault::WrongPass]);
    trial.set("REDIS_PASSWORD", "a-key");
    let run = in_time(trial.run_for_people()).await;
    assert_eq!((run.code, run.complaint.as_str()), (Some(1), ""));
    assert!(!run.output.contains('\x1b'), "there is no colour in a pipe: {}", run.output);
    let lines: Vec<_> = run.output.lines().collect();
    for (mark, name) in [("!", "environment"), ("✓", "token"), ("✓", "tls"), ("✗", "auth"), ("-", "data")] {
        assert!(lines.iter().any(|line| line.starts_with(&format!("{mark} {name} "))), "{name}: {}", run.output);
    }
    let at = lines.iter().position(|line| line.starts_with("✗ auth")).unwrap();
    assert!(lines[at].contains("assignment_missing: WRONGPASS"), "{}", lines[at]);
    assert!(
        lines[at + 1].trim_start().starts_with("next: az redisenterprise database access-policy-assignment create")
    );
    assert!(lines.last().unwrap().contains("begin with the first ✗, auth"), "{}", run.output);
}

#[cfg(unix)]
/// What hangs at one place after the other does not add up to more than half a minute.
#[tokio::test]
async fn whatever_hangs_there_is_a_report_within_half_a_minute() {
    let everything = async {
        let trial = Trial::usual().await;
        trial.azure.identity().fault_all(Some(IdentityFault::Slow(Duration::from_secs(9))));
        trial.azure.redis_front().auth_delay(Duration::from_secs(11));
        trial.azure.redis_front().script_auth([AuthFault::Silent]);
        (trial.run().await, "unknown")
    };
    let frozen = async {
        let trial = Trial::usual().await;
        trial.azure.redis_front().freeze();
        trial.azure.identity().fault_all(Some(IdentityFault::Hang));
        (trial.run().await, "broken")
    };
    let no_end = async {
        let mut trial = Trial::usual().await;
        let pipe = trial.file("pipe", "");
        std::fs::remove_file(&pipe).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        trial.set("REDIS_CA_CERT", pipe);
        (trial.run().await, "unknown")
    };
    let certificate = async {
        let mut trial = Trial::usual().await;
        let pipe = trial.file("pipe", "");
        std::fs::remove_file(&pipe).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        trial.unset("AZURE_CLIENT_SECRET");
        trial.set("AZURE_CLIENT_CERTIFICATE_PATH", pipe);
        let run = trial.run().await;
        assert_eq!(step(&run.json(), "token")["cause"], "certificate_file_missing", "{}", run.output);
        (run, "broken")
    };
    let began = Instant::now();
    let all = Box::pin(async { tokio::join!(everything, frozen, no_end, certificate) });
    let runs = in_time(all).await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(31), "{took:?}");
    for (run, verdict) in [runs.0, runs.1, runs.2, runs.3] {
        let report = run.json();
        assert_schema(&report);
        assert_eq!(report["verdict"], verdict, "{report:#}");
        assert_eq!(run.code, Some(if verdict == "broken" { 1 } else { 2 }), "{report:#}");
    }
}

/// Of everything that does not need what is broken, there is a word.
#[tokio::test]
async fn it_stops_at_nothing_that_can_still_be_told() {
    let trial = Trial::start(Emulator::builder()).await;
    trial.azure.identity().fault_all(Some(IdentityFault::WrongSecret));
    let report = in_time(trial.run()).await.json();
    for name in ["dns", "tcp", "tls"] {
        assert_eq!(step(&report, name)["state"], "ok", "{report:#}");
    }
    assert_eq!(step(&report, "auth")["state"], "not_reached");

    let mut trial = Trial::usual().await;
    trial.cache("cache..redis.azure.net", 10_000);
    let report = in_time(trial.run()).await.json();
    assert_eq!((&step(&report, "token")["state"], &step(&report, "dns")["state"]), (&"ok".into(), &"failed".into()));

    let trial = Trial::start(Emulator::builder().embedded_cluster(3)).await;
    trial.azure.cluster().unwrap().kill(2).await.unwrap();
    let report = in_time(trial.run()).await.json();
    for name in ["data", "latency", "reauth"] {
        assert_eq!(step(&report, name)["state"], "ok", "{report:#}");
    }
}

/// A cache on one endpoint, which answers this command late when it is asked first, and with an error: that shows if
/// the late answer is taken for the answer to another command.
async fn late(trial: &mut Trial, slow: &'static str) -> Scripted {
    let certificates = Certificates::for_name("localhost");
    let has_been = Arc::new(AtomicBool::new(false));
    let server = Scripted::start_as(&certificates, move |_, words| {
        let is_late = words[0] == slow && !has_been.swap(true, Relaxed);
        async move {
            if is_late {
                sleep(4 * SECOND).await;
                return Some(b"-ERR the late answer\r\n".to_vec());
            }
            let answer: &[u8] = match words[0].as_str() {
                "CLUSTER" => b"-ERR This instance has cluster support disabled\r\n",
                "GET" => b"$7\r\nwritten\r\n",
                "DEL" => b":1\r\n",
                "PING" => b"+PONG\r\n",
                _ => b"+OK\r\n",
            };
            Some(answer.to_vec())
        }
    });
    let server = server.await;
    trial.cache("localhost", server.port());
    trial.trust(&certificates.ca);
    server
}

/// What comes late is not taken for the next step's answer: a connection that was silent is not used any more.
#[tokio::test]
async fn after_a_silence_the_next_step_has_a_connection_of_its_own() {
    for (slow, failed, cause, unreached) in [
        ("CLUSTER", "topology", "topology_silent", Some("nodes")),
        ("SET", "data", "connection_lost", None),
        ("GET", "data", "connection_lost", None),
        ("PING", "latency", "connection_lost", None),
    ] {
        let mut trial = Trial::usual().await;
        let server = late(&mut trial, slow).await;
        let run = in_time(trial.run()).await;
        drop(server);
        let report = run.json();
        assert_schema(&report);
        assert!(!run.output.contains("the late answer"), "{report:#}");
        assert_eq!((run.code, &step(&report, failed)["cause"]), (Some(1), &Value::from(cause)), "{slow}: {report:#}");
        for step in report["steps"].as_array().unwrap() {
            let name = step["step"].as_str().unwrap();
            let expected = match name {
                name if name == failed => "failed",
                name if Some(name) == unreached => "not_reached",
                _ => "ok",
            };
            assert_eq!(step["state"], expected, "{slow}: {report:#}");
        }
    }
}

#[tokio::test]
async fn where_no_other_connection_can_be_had_the_rest_is_not_reached() {
    let certificates = Certificates::for_name("localhost");
    let asked = Arc::new(Notify::new());
    let told = Arc::clone(&asked);
    let server = Scripted::start_as(&certificates, move |_, _| {
        let told = Arc::clone(&told);
        async move {
            told.notify_one();
            std::future::pending().await
        }
    })
    .await;
    let mut trial = Trial::usual().await;
    trial.cache("localhost", server.port());
    trial.trust(&certificates.ca);
    let goes = async {
        within("the doctor asks for the topology", 30 * SECOND, asked.notified()).await;
        drop(server);
    };
    let (run, ()) = in_time(async { tokio::join!(trial.run(), goes) }).await;
    let report = run.json();
    assert_schema(&report);
    assert_eq!(step(&report, "topology")["cause"], "topology_silent", "{report:#}");
    for name in ["data", "latency", "reauth"] {
        assert_eq!(step(&report, name)["state"], "not_reached", "{report:#}");
        assert!(step(&report, name)["detail"].as_str().unwrap().contains("could not log in"), "{report:#}");
    }
}

/// No token is sent to whoever shows a certificate that is not trusted, or speaks without TLS.
#[tokio::test]
async fn a_token_goes_only_where_the_certificate_was_verified() {
    let mut trial = Trial::usual().await;
    let (_, other) = crate::ground::tls_server(&crate::ground::Shown::default());
    trial.trust(&other);
    in_time(trial.run()).await;
    let stats = trial.azure.redis_front().stats();
    assert_eq!((stats.accepted, stats.authentications, stats.rejected), (0, 0, 0));
}

/// Servers may quote what they were sent; the emulator's tokens and its secret are searched for in every output.
#[tokio::test]
async fn what_a_server_quotes_of_the_token_is_not_shown() {
    let trial = Trial::usual().await;
    let token = trial.azure.identity().issue_token().unwrap();
    let head: String = token.chars().take(40).collect();
    logs::forbid(&head);
    trial.azure.redis_front().without_hello(true);
    let said = in_time(trial.run()).await;
    assert!(said.output.contains("resp2_only") && !said.output.contains(&head[..12]), "{}", said.output);
}

#[cfg(unix)]
#[tokio::test]
async fn ctrl_c_ends_it_with_what_is_known() {
    use std::process::Stdio;
    let trial = Trial::usual().await;
    trial.azure.redis_front().auth_delay(Duration::from_secs(10));
    let mut command = tokio::process::Command::new(child::program("entra-redis"));
    command.args(trial.arguments()).env_clear().envs(trial.variables());
    let running = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let accepted = || (trial.azure.redis_front().stats().accepted > 0).then_some(());
    common::eventually("it has connected", 10 * common::SECOND, async || accepted()).await;
    let pid = running.id().unwrap().to_string();
    assert!(tokio::process::Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
    let output = common::within("its end", 5 * common::SECOND, running.wait_with_output()).await.unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_schema(&report);
    assert_eq!((output.status.code(), &report["verdict"]), (Some(2), &"unknown".into()), "{report:#}");
    assert_eq!(step(&report, "auth")["detail"], "not reached: interrupted");
}
