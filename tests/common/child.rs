//! The command-line tool and the compiled examples as processes with an environment of their own: that of the tests'
//! process is everybody's, and stays as it is.

use super::{SECOND, logs, within};
use entra_redis::emulator::Emulator;
use serde_json::Value;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, Command},
    task::JoinHandle,
};

/// Environment variables.
pub type Variables = Vec<(&'static str, String)>;

/// How a program ended, and what it printed.
pub struct Run {
    pub code: Option<i32>,
    pub output: String,
    pub complaint: String,
}

impl Run {
    /// The last line of its output, which is JSON.
    pub fn json(&self) -> Value {
        let line = self.output.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {} {}", self.output, self.complaint))
    }
}

/// Runs an example with these variables and no others.
pub async fn example(name: &str, arguments: &[&str], variables: &[(&str, String)]) -> Run {
    run(&program(&format!("examples/{name}")), arguments, variables).await
}

/// Runs the command-line tool with these variables and no others.
pub async fn tool(arguments: &[&str], variables: &[(&str, String)]) -> Run {
    run(&program(TOOL), arguments, variables).await
}

async fn run(program: &Path, arguments: &[&str], variables: &[(&str, String)]) -> Run {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().stdin(Stdio::null()).kill_on_drop(true);
    for (variable, value) in variables {
        command.env(variable, value);
    }
    let output = within("the program ends", 60 * SECOND, command.output()).await.unwrap();
    let run = Run {
        code: output.status.code(),
        output: String::from_utf8(output.stdout).unwrap(),
        complaint: String::from_utf8(output.stderr).unwrap(),
    };
    logs::check(&run.complaint);
    // The emulator prints its made-up secrets for whoever is to use them.
    if !arguments.contains(&"--show-token") && arguments.first() != Some(&"emulator") {
        logs::check(&run.output);
    }
    run
}

/// Runs the tool's `token`.
pub async fn token(arguments: &[&str], variables: &[(&str, String)]) -> Run {
    tool(&[&["token"], arguments].concat(), variables).await
}

/// Has the tool's `soak` send commands to the emulator's Redis for a second, with the credential that these variables
/// describe; returns its report. The test fails if a command did.
pub async fn soak(emulator: &Emulator, variables: &[(&str, String)]) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    fs::write(&ca_file, emulator.ca_pem()).unwrap();
    let mut all = vec![
        ("REDIS_HOST", emulator.host().to_owned()),
        ("REDIS_PORT", emulator.port().to_string()),
        ("REDIS_CA_CERT", ca_file.display().to_string()),
    ];
    all.extend(variables.iter().cloned());
    let run = tool(&["soak", "--seconds", "1", "--tasks", "2", "--json"], &all).await;
    assert_eq!(run.code, Some(0), "{variables:?}: {} {}", run.output, run.complaint);
    let report = run.json();
    assert!(report["commands"].as_u64() > Some(0), "{variables:?}: {report}");
    report
}

/// The tool, which runs until it is told to end.
pub struct Running {
    child: Child,
    /// What it printed first.
    pub lines: Vec<String>,
    /// What it prints afterwards.
    rest: JoinHandle<String>,
    complaint: JoinHandle<String>,
    /// What it has printed must show no secret: the emulator prints its made-up ones for whoever is to use them.
    is_checked: bool,
}

/// Starts the tool, and waits until it has printed a line that begins with `last`.
pub async fn start(arguments: &[&str], last: &str) -> Running {
    let mut command = Command::new(program(TOOL));
    command.args(arguments).env("RUST_LOG", "off");
    start_program(command, last, false).await
}

/// Starts an example without any variables, and waits until it has printed such a line.
pub async fn start_example(name: &str, last: &str) -> Running {
    let mut command = Command::new(program(&format!("examples/{name}")));
    command.env_clear();
    start_program(command, last, true).await
}

async fn start_program(mut command: Command, last: &str, is_checked: bool) -> Running {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut errors = child.stderr.take().unwrap();
    let complaint = tokio::spawn(async move {
        let mut text = String::new();
        errors.read_to_string(&mut text).await.unwrap();
        eprint!("{text}");
        text
    });
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut lines = Vec::new();
    while lines.last().is_none_or(|line: &String| !line.starts_with(last)) {
        let line = within("its next line", 30 * SECOND, output.next_line()).await.unwrap();
        lines.push(line.unwrap_or_else(|| panic!("it ended after {lines:?}")));
    }
    let rest = tokio::spawn(async move {
        let mut text = String::new();
        output.into_inner().read_to_string(&mut text).await.unwrap();
        text
    });
    Running { child, lines, rest, complaint, is_checked }
}

impl Running {
    /// What a shell makes of the lines that export variables.
    pub fn exported(&self) -> Variables {
        let variable = |line: &String| {
            let (name, value) = line.strip_prefix("export ")?.split_once('=')?;
            assert!(!value.contains(['\'', '"', ' ']), "it can be read without a shell: {line}");
            Some((String::leak(name.to_owned()) as &'static str, value.to_owned()))
        };
        self.lines.iter().filter_map(variable).collect()
    }

    /// Tells it to end, as Ctrl-C does, and returns its exit status.
    pub async fn interrupt(self) -> Option<i32> {
        self.end().await.code
    }

    /// The same with what it has printed.
    pub async fn end(mut self) -> Run {
        let pid = self.child.id().unwrap().to_string();
        let told = Command::new("kill").args(["-INT", &pid]).status().await.unwrap();
        assert!(told.success());
        let code = within("its end", 10 * SECOND, self.child.wait()).await.unwrap().code();
        let complaint = within("its last words", 10 * SECOND, self.complaint).await.unwrap();
        let rest = within("the rest of its output", 10 * SECOND, self.rest).await.unwrap();
        let output = format!("{}\n{rest}", self.lines.join("\n"));
        if self.is_checked {
            logs::check(&complaint);
            logs::check(&output);
        }
        Run { code, output, complaint }
    }
}

/// The command-line tool's file.
const TOOL: &str = "entra-redis";

/// Tests lie in `deps`, the programs that are built with them beside it, and the examples in `examples` there.
pub fn program(name: &str) -> PathBuf {
    let test = env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let program = profile.join(name).with_extension(env::consts::EXE_EXTENSION);
    assert!(program.is_file(), "{} is missing: it is built by `cargo test --all-features`", program.display());
    program
}
