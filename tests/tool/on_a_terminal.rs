//! What is drawn on a terminal, with colour and without, and what Ctrl-C does there.

use common::{Azure, SECOND, child, eventually, within};
use entra_redis::emulator::{Emulator, EmulatorBuilder};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    process::Stdio,
    sync::{Arc, Mutex},
    thread,
};
use tokio::process::{Child, Command};

const CYAN: &str = "\x1b[36m";

/// A program on a terminal of its own, and what it has drawn.
struct Drawn {
    child: Child,
    keyboard: File,
    screen: Arc<Mutex<String>>,
}

impl Drawn {
    fn start(arguments: &[&str], variables: &[(&str, String)]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let end = || Stdio::from(OpenOptions::new().read(true).write(true).open(&name).unwrap());
        // It gets Ctrl-C from the terminal that controls it.
        let mut command = Command::new("setsid");
        command.args(["--ctty", child::program("entra-redis").to_str().unwrap()]).args(arguments);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("TERM", "xterm");
        command.envs(variables.iter().cloned());
        let child = command.stdin(end()).stdout(end()).stderr(end()).kill_on_drop(true).spawn().unwrap();
        let keyboard = File::from(master);
        let (mut reader, screen) = (keyboard.try_clone().unwrap(), Arc::new(Mutex::new(String::new())));
        let shared = Arc::clone(&screen);
        // It ends with an error when the program has gone.
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = reader.read(&mut bytes) {
                shared.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..read]));
            }
        });
        Self { child, keyboard, screen }
    }

    fn screen(&self) -> String {
        self.screen.lock().unwrap().clone()
    }

    async fn shows(&self, text: &str) {
        eventually(text, 20 * SECOND, async || self.screen().contains(text).then_some(())).await;
    }

    async fn ends(&mut self) -> Option<i32> {
        within("its end", 40 * SECOND, self.child.wait()).await.unwrap().code()
    }

    async fn ctrl_c(&mut self) -> Option<i32> {
        self.keyboard.write_all(b"\x03").unwrap();
        self.ends().await
    }
}

async fn cache() -> (Azure, Vec<(&'static str, String)>, tempfile::TempDir) {
    cache_of(Emulator::builder()).await
}

async fn cache_of(emulator: EmulatorBuilder) -> (Azure, Vec<(&'static str, String)>, tempfile::TempDir) {
    let azure = common::start(emulator).await;
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    std::fs::write(&ca_file, azure.ca_pem()).unwrap();
    let mut variables = azure.env();
    variables.push(("REDIS_CA_CERT", ca_file.display().to_string()));
    (azure, variables, dir)
}

#[tokio::test]
async fn the_demo_redraws_a_line_for_each_connection() {
    let mut demo = Drawn::start(&["demo", "--rotations", "1"], &[]);
    assert_eq!(demo.ends().await, Some(0), "{}", demo.screen());
    // What it has drawn last comes a moment after its end.
    demo.shows("lost.").await;
    let screen = demo.screen();
    for link in 1..=4 {
        let line = format!("\x1b[2K  link {link} ");
        assert!(screen.matches(&line).count() > 5, "link {link}: {screen}");
    }
    assert!(screen.contains("\x1b[7A"), "it goes up by three lines and a line a link: {screen}");
    assert!(screen.contains("re-authenticated, in use all the while") && screen.contains(CYAN), "{screen}");
    assert!(screen.contains(": none failed."), "{screen}");
}

#[tokio::test]
async fn ctrl_c_ends_the_demo_with_its_sentences() {
    let mut demo = Drawn::start(&["demo", "--rotations", "1000"], &[]);
    demo.shows("link 4").await;
    assert_eq!(demo.ctrl_c().await, Some(0), "{}", demo.screen());
    demo.shows(": none failed.").await;
}

#[tokio::test]
async fn no_color_takes_the_colour_away_and_leaves_the_rest() {
    let (_azure, mut variables, _dir) = cache().await;
    for (value, is_coloured) in [(None, true), (Some(""), true), (Some("1"), false)] {
        variables.retain(|(name, _)| *name != "NO_COLOR");
        variables.extend(value.map(|value| ("NO_COLOR", value.to_owned())));
        let mut doctor = Drawn::start(&["doctor"], &variables);
        assert_eq!(doctor.ends().await, Some(0), "{}", doctor.screen());
        doctor.shows("All is well.").await;
        assert_eq!(doctor.screen().contains("\x1b[32m✓"), is_coloured, "{value:?}: {}", doctor.screen());
    }
    variables.push(("TERM", "dumb".to_owned()));
    let mut demo = Drawn::start(&["demo", "--rotations", "1"], &variables);
    assert_eq!(demo.ends().await, Some(0));
    demo.shows("lost.").await;
    assert!(!demo.screen().contains('\x1b'), "{}", demo.screen());
}

#[tokio::test]
async fn soak_draws_a_bar_and_ctrl_c_ends_it_with_its_report() {
    let (_azure, variables, _dir) = cache().await;
    let mut soak = Drawn::start(&["soak", "--seconds", "600", "--tasks", "2", "--json"], &variables);
    soak.shows("of 600 s").await;
    soak.shows("░").await;
    assert_eq!(soak.ctrl_c().await, Some(0), "{}", soak.screen());
    soak.shows("\"wrong_reads\":0}").await;
    let screen = soak.screen();
    let report = screen.lines().map(str::trim).rfind(|line| line.starts_with('{')).unwrap();
    let report: serde_json::Value = serde_json::from_str(report).unwrap();
    assert_eq!((&report["errors"], &report["wrong_reads"], &report["tasks_end"]), (&0.into(), &0.into(), &0.into()));
}

#[tokio::test]
async fn soak_shows_all_its_workloads_and_ctrl_c_ends_them_with_their_counts() {
    let (_azure, variables, _dir) = cache_of(Emulator::builder().redis_server()).await;
    let options = ["soak", "--seconds", "600", "--tasks", "2", "--pubsub", "--blocking", "--transactions", "--cached"];
    let mut soak = Drawn::start(&options, &variables);
    soak.shows("of 600 s").await;
    let begun = ["messages 1", "elements 1", "transactions 1", "cached reads 1"];
    eventually("all of them have begun", 20 * SECOND, async || {
        let screen = soak.screen();
        begun.iter().all(|count| screen.contains(count)).then_some(())
    })
    .await;
    soak.shows("faults 0").await;
    assert_eq!(soak.ctrl_c().await, Some(0), "{}", soak.screen());
    for sentence in [
        " messages were heard, with 0 gaps: 0 are missing",
        " elements were taken: 0 were lost, 0 came twice",
        " transactions were committed; 0 counts were wrong.",
        " of them were answered from memory; 0 were stale.",
        "\"tasks_end\": 0",
        "\"recovered\": true",
    ] {
        soak.shows(sentence).await;
    }
}

#[tokio::test]
async fn ctrl_c_ends_a_token_request_and_the_emulator() {
    let (azure, variables, _dir) = cache().await;
    azure.identity().fault_all(Some(entra_redis::emulator::IdentityFault::Hang));
    let mut token = Drawn::start(&["token", "--timeout", "60"], &variables);
    eventually("it has asked", 10 * SECOND, async || (azure.identity().requests() > 0).then_some(())).await;
    assert_eq!(token.ctrl_c().await, Some(1));
    token.shows("interrupted before there was a token").await;

    let mut emulator = Drawn::start(&["emulator"], &[]);
    emulator.shows("# export AZURE_AUTHORITY_HOST=https://").await;
    assert_eq!(emulator.ctrl_c().await, Some(0));
}
