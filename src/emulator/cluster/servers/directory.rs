//! The directory of a cluster's servers, and the process that cleans up after a program that has not ended by itself.

use crate::{lock::lock, uuid};
use std::{
    fs::{self, DirBuilder},
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::Mutex,
};

/// Reads which processes run, until its input ends, which it does when the program dies, however that happens. What
/// still runs then is killed, and the directory removed.
const GUARD: &str = r#"
trap '' HUP INT TERM
pids=' '
while read -r sign pid; do
  case $sign in
    +) pids="$pids$pid " ;;
    -) pids="${pids%% $pid *} ${pids#* $pid }" ;;
  esac
done
[ -z "${pids# }" ] || kill -9 $pids 2>/dev/null
rm -rf -- "$1"
"#;

/// A directory of this emulator's own, removed when dropped.
pub(super) struct Directory {
    path: PathBuf,
    guard: Child,
    processes: Mutex<Option<ChildStdin>>,
}

impl Directory {
    pub(super) fn new() -> io::Result<Self> {
        let name = uuid::random().map_err(|_| io::Error::other("no random numbers can be had"))?;
        let path = std::env::temp_dir().join(format!("entra-redis-cluster-{name}"));
        // It will hold private keys.
        private().create(&path)?;
        let mut command = Command::new("sh");
        command.args(["-c", GUARD, "sh"]).arg(&path).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let guard = apart(&mut command).spawn();
        let mut guard = guard.inspect_err(|_| _ = fs::remove_dir_all(&path))?;
        let processes = Mutex::new(guard.stdin.take());
        Ok(Self { path, guard, processes })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Says that this process is to end with the program.
    pub(super) fn began(&self, pid: u32) {
        self.tell(&format!("+ {pid}\n"));
    }

    /// Says that it has ended: its number may be another one's soon.
    pub(super) fn ended(&self, pid: u32) {
        self.tell(&format!("- {pid}\n"));
    }

    fn tell(&self, line: &str) {
        if let Some(input) = lock(&self.processes).as_mut() {
            // Without a guard, the servers end when they are dropped all the same.
            _ = input.write_all(line.as_bytes());
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        *lock(&self.processes) = None;
        _ = self.guard.wait();
        // Where there is no `rm`.
        _ = fs::remove_dir_all(&self.path);
    }
}

#[cfg(unix)]
fn private() -> DirBuilder {
    use std::os::unix::fs::DirBuilderExt;
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

#[cfg(not(unix))]
fn private() -> DirBuilder {
    DirBuilder::new()
}

/// A process that an interrupt from the terminal does not reach: it is for the program to end it.
pub(super) fn apart(command: &mut Command) -> &mut Command {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    command
}
