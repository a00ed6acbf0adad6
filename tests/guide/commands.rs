//! Commands that are marked with `run` behind the language of their block are read out of the pages and run in bash, on
//! the programs that were built with these tests: `cargo` is played by a script that finds them.

use crate::page::{self, Block, Page, read};
use common::emulator;
use futures_util::{StreamExt, stream};
use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::process::Command;

/// Finds the program that the arguments of `cargo run` name, and becomes it, as Cargo does; without any, it is that of
/// the page on Azure, which the project must have by then. `cargo add` and `cargo new` are Cargo's.
const CARGO: &str = r#"#!/bin/sh
case $1 in
  add) exec "$CARGO" --offline "$@" ;;
  new) exec "$CARGO" "$@" --vcs none ;;
  run) ;;
  *) echo "cargo $1 is not tried" >&2; exit 2 ;;
esac
shift
program=entra-redis
if [ $# -eq 0 ]; then
  program=examples/first_service
  diff src/main.rs "../entra-redis/$program.rs" || exit
fi
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

/// The features that what it runs asks for, and whether they are here. Those of `cargo add` are another crate's.
fn features(block: &Block<'_>) -> Vec<(String, bool)> {
    let runs = block.text.lines().filter(|line| !line.starts_with("cargo add "));
    let asked = runs.filter_map(|line| line.split_once("--features ")?.1.split_whitespace().next());
    let is_here = |feature: &str| match feature {
        "metrics" => cfg!(feature = "metrics"),
        "emulator" => true,
        // Programs of a feature that these tests were built without are not there, or are those of another build.
        feature => programs().join("entra-redis").exists() && read("Cargo.toml").contains(&format!("\n{feature} = [")),
    };
    asked.map(|feature| (feature.to_owned(), is_here(feature))).collect()
}

/// Runs it in an empty project beside a clone of this repository, or in the directory of both.
async fn run(block: &Block<'_>, is_beside: bool, variables: &[(&str, String)]) {
    let place = block.place();
    let folder = tempfile::tempdir().unwrap();
    let (cargo, project) = (folder.path().join("cargo"), folder.path().join("project"));
    fs::write(&cargo, CARGO).unwrap();
    fs::create_dir_all(project.join("src")).unwrap();
    fs::write(project.join("Cargo.toml"), "[package]\nname = \"project\"\nedition = \"2024\"\n").unwrap();
    fs::write(project.join("src/main.rs"), "fn main() {}\n").unwrap();
    std::os::unix::fs::symlink(page::root(), folder.path().join("entra-redis")).unwrap();
    assert!(std::process::Command::new("chmod").arg("+x").arg(&cargo).status().unwrap().success());

    // `timeout` ends everything that the shell has started.
    let mut command = Command::new("timeout");
    command.args(["--kill-after", "5", "90", "bash", "-c", &format!("{PREAMBLE}{}", block.text)]);
    let path = format!("{}:{}", folder.path().display(), env::var("PATH").unwrap());
    command
        .current_dir(if is_beside { folder.path() } else { &project })
        .env("PATH", path)
        .env("PROGRAMS", programs())
        .kill_on_drop(true);
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
        let project = if is_beside { folder.path().join("my-service") } else { project };
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
    let pages = page::all();
    let mut runs = Vec::new();
    for page in &pages {
        for block in page.blocks() {
            let Some(on) = block.mark("run") else {
                continue;
            };
            if let Some((feature, _)) = features(&block).iter().find(|(_, is_here)| !is_here) {
                println!("{} needs the feature {feature}", block.place());
                continue;
            }
            let variables = match on {
                "" | "project" | "beside" => &[][..],
                "cache" => &cache,
                on => panic!("{}: run:{on}", block.place()),
            };
            let is_beside = on == "beside";
            runs.push(async move { run(&block, is_beside, variables).await });
        }
    }
    assert!(runs.len() >= 5, "only {} blocks are marked", runs.len());
    // They wait most of the time.
    stream::iter(runs).for_each_concurrent(4, |run| run).await;
}

/// Blocks of commands that no test runs as they are, by their page and the words that they begin with, and why.
const NOT_RUN: &[(&str, &str, &str)] = &[
    ("src/guide/azure_setup.md", "nslookup my-cache.", "the name must be that of a cache of yours"),
    (
        "src/guide/clusters.md",
        "cargo build --release",
        "minutes of an optimized build; tests/cluster/simulation.rs is shorter",
    ),
    (
        "src/guide/near_cache.md",
        "cargo run --example axum_cache",
        "a server; tests/near_cache/service.rs starts and uses it",
    ),
    (
        "src/guide/testing.md",
        "cargo run --release --features cli -- emulator --chaos --redis-server",
        "ten minutes; tests/emulator/soak.rs is shorter",
    ),
    (
        "src/guide/testing.md",
        "cargo run --release --features cli -- emulator --chaos --cluster",
        "ten minutes; tests/tool/soak.rs is shorter",
    ),
];

/// What a page says to type is run by a test, here or in `azure.rs`, or there is a reason why not.
#[test]
fn each_block_of_commands_is_run_or_there_is_a_reason() {
    let mut left = NOT_RUN.to_vec();
    for page in page::all() {
        for block in page.blocks() {
            let is_commands = matches!(block.language, "sh" | "bash" | "console" | "shell" | "powershell" | "");
            if !is_commands || block.mark("run").is_some() || block.mark("az").is_some() {
                continue;
            }
            let known = left.iter().position(|(path, begin, reason)| {
                block.path == Path::new(path) && block.text.starts_with(begin) && !reason.is_empty()
            });
            let known = known.unwrap_or_else(|| panic!("{}: nobody runs `{}`", block.place(), block.text));
            left.remove(known);
        }
    }
    assert!(left.is_empty(), "there are no such blocks any more: {left:?}");
}

/// Commands within a sentence, which begin with these words.
#[test]
fn commands_within_sentences_are_there() {
    let makefile = read("Makefile");
    let mut seen = 0;
    for page in page::all() {
        let prose: String = page.text.split("```").step_by(2).collect();
        let prose = prose.replace('\n', " ");
        for command in prose.split('`').skip(1).step_by(2) {
            let words: Vec<_> = command.split_whitespace().collect();
            let place = format!("{}: {command}", page.path.display());
            match words[..] {
                ["make", target, ..] => assert!(makefile.contains(&format!("\n{target}:")), "{place}"),
                ["cargo", "run", "--example", name, ..] => {
                    assert!(page::root().join(format!("examples/{name}.rs")).exists(), "{place}");
                }
                ["cargo", "run", "--features", "cli", "--", ref arguments @ ..]
                | ["entra-redis", ref arguments @ ..]
                    if !arguments.is_empty() =>
                {
                    asks_for_help(arguments, &place);
                }
                ["cargo", "bench", ..] => {
                    let bench = words.iter().skip_while(|word| **word != "--bench").nth(1);
                    let is_there = |name| page::root().join(format!("benches/{name}.rs")).exists();
                    assert!(bench.is_none_or(is_there), "{place}");
                }
                _ => continue,
            }
            seen += 1;
        }
    }
    assert!(seen > 10, "only {seen} were found");
}

/// Whether the tool knows these arguments: it refuses the first one that it does not know before it shows its help.
fn asks_for_help(arguments: &[&str], place: &str) {
    let program = programs().join("entra-redis");
    if !program.exists() {
        println!("{place}: the tool was not built with these tests");
        return;
    }
    let output = std::process::Command::new(program).args(arguments).arg("--help").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("Usage: entra-redis"), "{place}: {said}");
}

/// Rust that is not compiled may be wrong.
#[test]
fn all_rust_of_the_pages_is_compiled() {
    for page in page::all() {
        for block in page.blocks().iter().filter(|block| block.language == "rust") {
            assert!(!block.marks.contains(&"ignore"), "{} is not compiled", block.place());
        }
    }
}

/// What a page shows of an example is all of it, but for the comment at its head.
#[test]
fn programs_of_the_pages_are_the_examples() {
    let mut seen = 0;
    for page in page::all() {
        for block in page.blocks() {
            let Some(name) = block.mark("example") else {
                continue;
            };
            let file = read(format!("examples/{name}.rs"));
            let (_, program) = file.split_once("\n\n").unwrap();
            assert_eq!(block.text, program, "{}", block.place());
            seen += 1;
        }
    }
    assert!(seen > 0);
}

/// Each example is shown or named by a page, with the command that runs it.
#[test]
fn each_example_is_under_a_page() {
    let pages: Vec<_> = page::all().into_iter().filter(|page| page.path.starts_with("src/guide")).collect();
    for entry in fs::read_dir(page::root().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let is_named = |page: &Page| {
            page.text
                .lines()
                .any(|line| line.contains(&format!("--example {name}")) || line.contains(&format!("example:{name}")))
        };
        assert!(pages.iter().any(is_named), "no page of the guide has {name}");
    }
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
                let needed = needed.replace("\", \"", ",");
                assert!(line.contains(&format!("--features {needed}")), "{}: {line}", page.path.display());
            }
        }
    }
}
