//! Runs a program without a shell, and keeps a bounded part of what it prints.

use futures_util::future::join;
use std::{
    env,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    pin::pin,
    process::Stdio,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    time::{sleep, timeout},
};
use zeroize::Zeroizing;

/// A token is a few kilobytes.
const USUAL_OUTPUT: usize = 16 << 10;
const LARGEST_OUTPUT: u64 = 1 << 20;

/// What a tool leaves running may hold its pipes for as long as it likes: they are not read for longer once it has
/// ended.
const GRACE: Duration = Duration::from_secs(1);

pub(super) struct Process {
    pub(super) program: &'static str,
    pub(super) arguments: Vec<String>,
    /// Where the program is looked for: the form of `PATH`.
    pub(super) path: Option<OsString>,
    /// Variables that are set for it, besides its own.
    pub(super) environment: &'static [(&'static str, &'static str)],
}

/// How a program ended, and what it printed.
pub(super) struct Finished {
    /// Its exit status; none if a signal ended it.
    pub(super) code: Option<i32>,
    pub(super) output: Zeroizing<Vec<u8>>,
    pub(super) complaint: Zeroizing<Vec<u8>>,
}

pub(super) enum Failure {
    /// There is no such program, or its interpreter is missing.
    NotFound,
    Io(io::Error),
}

impl Process {
    /// Runs it to its end. A program that nobody waits for any more is killed.
    pub(super) async fn run(&self) -> Result<Finished, Failure> {
        let program = self.find().ok_or(Failure::NotFound)?;
        self.finish(&program).await.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Failure::NotFound,
            _ => Failure::Io(error),
        })
    }

    /// Looks for the program in `PATH` only: on Windows the operating system would prefer the current directory.
    fn find(&self) -> Option<PathBuf> {
        let directories = env::split_paths(self.path.as_ref()?).filter(|directory| directory.is_absolute());
        directories.map(|directory| directory.join(self.program)).find(|file| is_executable(file))
    }

    async fn finish(&self, program: &Path) -> io::Result<Finished> {
        let mut child = self.start(program).await?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        // With room for all that is usual: a vector that grows leaves a copy of a token behind in memory.
        let mut output = Zeroizing::new(Vec::with_capacity(USUAL_OUTPUT));
        let mut complaint = Zeroizing::new(Vec::with_capacity(USUAL_OUTPUT));
        let status = {
            let mut reading = pin!(join(read(stdout, &mut output), read(stderr, &mut complaint)));
            let (status, read) = tokio::select! {
                status = child.wait() => (status?, timeout(GRACE, &mut reading).await.ok()),
                read = &mut reading => (child.wait().await?, Some(read)),
            };
            if let Some((output, complaint)) = read {
                output?;
                complaint?;
            }
            status
        };
        Ok(Finished { code: status.code(), output, complaint })
    }

    async fn start(&self, program: &Path) -> io::Result<Child> {
        let mut command = Command::new(program);
        command
            .args(&self.arguments)
            .envs(self.environment.iter().copied())
            // They ask for colours although nobody sees them.
            .env_remove("FORCE_COLOR")
            .env_remove("CLICOLOR_FORCE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        loop {
            match command.spawn() {
                // Somebody is writing the program just now, as an update does; that ends soon.
                Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                    sleep(Duration::from_millis(20)).await;
                }
                outcome => return outcome,
            }
        }
    }
}

/// Keeps what it has read when it is dropped before the end.
async fn read(pipe: Option<impl AsyncRead + Unpin>, bytes: &mut Vec<u8>) -> io::Result<()> {
    if let Some(pipe) = pipe {
        let mut bounded = pipe.take(LARGEST_OUTPUT);
        while bounded.read_buf(bytes).await? > 0 {}
    }
    Ok(())
}

/// As a shell has it, which looks past files that nobody may run.
#[cfg(unix)]
fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(file: &Path) -> bool {
    file.is_file()
}
