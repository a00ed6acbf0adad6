//! Commands that are marked with `run` behind the language of their block are read out of the pages and run in bash, on
//! the programs that were built with these tests: `cargo` is played by a script that finds them.

use crate::page::{self, Block, read};
use common::emulator;
use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::process::Command;

/// Finds the program that the arguments of `cargo run` name, and becomes it, as Cargo does. `cargo add` is Cargo's.
const CARGO: &str = r#"#!/bin/sh
[ "$1" != add ] || exec "$CARGO" --offline "$@"
[ "$1" = run ] || { echo "cargo $1 is not tried" >&2; exit 2; }
shift
program=entra-redis
while [ $# -gt 0 ]; do
  case $1 in
    --release) ;;
    --features) shift ;;
    --example) shift; program=examples/$1 ;;
    --) shift; break ;;
    *) echo "cargo run $1 is not known here" >&2; exit 2 ;;
  esac
  shift
done
exec "$PROGRAMS/$program" "$@"
"#;

/// What ends with the shell, however it ends.
const PREAMBLE: &str = "set -eu -o pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n";

/// Tests lie in `deps`, the programs that are built with them beside it.
fn programs() -> PathBuf {
    env::current_exe().unwrap().parent().and_then(Path::parent).unwrap().to_owned()
}

/// The features that its `cargo` commands ask for, and whether they are here.
fn features(block: &Block<'_>) -> Vec<(String, bool)> {
    let asked = block.text.split("--features ").skip(1).filter_map(|rest| rest.split_whitespace().next());
    let is_here = |feature: &str| match feature {
        "metrics" => cfg!(feature = "metrics"),
        "emulator" => true,
        // Programs of a feature that these tests were built without are not there, or are those of another build.
        feature => programs().join("entra-redis").exists() && read("Cargo.toml").contains(&format!("\n{feature} = [")),
    };
    asked.map(|feature| (feature.to_owned(), is_here(feature))).collect()
}

async fn run(block: &Block<'_>, variables: &[(&str, String)]) {
    let place = block.place();
    let folder = tempfile::tempdir().unwrap();
    let (cargo, project) = (folder.path().join("cargo"), folder.path().join("project"));
    fs::write(&cargo, CARGO).unwrap();
    // An empty one, beside a clone of this repository.
    fs::create_dir_all(project.join("src")).unwrap();
    fs::write(project.join("Cargo.toml"), "[package]\nname = \"project\"\nedition = \"2024\"\n").unwrap();
    fs::write(project.join("src/main.rs"), "fn main() {}\n").unwrap();
    std::os::unix::fs::symlink(page::root(), folder.path().join("entra-redis")).unwrap();
    assert!(std::process::Command::new("chmod").arg("+x").arg(&cargo).status().unwrap().success());

    // `timeout` ends everything that the shell has started.
    let mut command = Command::new("timeout");
    command.args(["--kill-after", "5", "90", "bash", "-c", &format!("{PREAMBLE}{}", block.text)]);
    let path = format!("{}:{}", folder.path().display(), env::var("PATH").unwrap());
    command.current_dir(&project).env("PATH", path).env("PROGRAMS", programs()).kill_on_drop(true);
    command.env("CARGO", env!("CARGO"));
    for (name, _) in env::vars().filter(|(name, _)| name.starts_with("AZURE_") || name.starts_with("REDIS_")) {
        command.env_remove(name);
    }
    for (name, value) in variables {
        command.env(name, value);
    }
    let output = command.output().await.unwrap();
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{place}: {}\n{}\n{said}\n{complained}", output.status, block.text);
    if block.text.contains("cargo add ") {
        let manifest = fs::read_to_string(project.join("Cargo.toml")).unwrap();
        for line in block.text.lines().filter_map(|line| line.strip_prefix("cargo add ")) {
            let name = line.trim_start_matches("--path ../").split(['@', ' ']).next().unwrap();
            assert!(manifest.contains(&format!("\n{name} = ")), "{place}: {manifest}");
        }
    }
}

#[tokio::test]
async fn the_commands_of_the_pages_run() {
    let azure = common::start(emulator(Duration::from_secs(60))).await;
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    fs::write(&ca_file, azure.ca_pem()).unwrap();
    // As on a machine with a managed identity.
    let cache = [
        ("REDIS_HOST", azure.host().to_owned()),
        ("REDIS_PORT", azure.port().to_string()),
        ("REDIS_CA_CERT", ca_file.display().to_string()),
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST", azure.imds_host()),
    ];
    let mut tried = 0;
    for page in page::all() {
        for block in page.blocks() {
            let Some(on) = block.mark("run") else {
                continue;
            };
            if let Some((feature, _)) = features(&block).iter().find(|(_, is_here)| !is_here) {
                println!("{} needs the feature {feature}", block.place());
                continue;
            }
            let variables = match on {
                "" | "project" => &[][..],
                "cache" => &cache,
                on => panic!("{}: run:{on}", block.place()),
            };
            run(&block, variables).await;
            tried += 1;
        }
    }
    assert!(tried >= 5, "only {tried} blocks are marked");
}

/// Cargo refuses an example without the features that it needs.
#[test]
fn examples_are_named_with_the_features_that_they_need() {
    let manifest = read("Cargo.toml");
    for table in manifest.split("[[example]]").skip(1) {
        let value = |key: &str| {
            let line = table.lines().find_map(|line| line.strip_prefix(key)?.trim().strip_prefix('='));
            line.unwrap_or_default().trim_matches([' ', '[', ']', '"'])
        };
        let (name, needed) = (value("name"), value("required-features"));
        for page in page::all() {
            for line in page.text.lines().filter(|line| line.contains(&format!("cargo run --example {name} "))) {
                assert!(line.contains(&format!("--features {needed}")), "{}: {line}", page.path.display());
            }
        }
    }
}
