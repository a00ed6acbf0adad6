//! An engine without a view of the code: it changes what is in the corpus at random.

use crate::Target;
use std::{
    collections::hash_map::RandomState,
    fs,
    hash::{BuildHasher, Hasher},
    path::{Path, PathBuf},
    process,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

/// Inputs grow no longer than this.
const LONGEST: usize = 4096;

/// Whatever takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// The stack that a worker thread of the runtime has.
const STACK: usize = 2 << 20;

/// What parsers of numbers and lengths may be wrong about.
const INTERESTING: [&str; 14] = [
    "0",
    "-1",
    "1",
    "127",
    "128",
    "255",
    "65535",
    "65536",
    "2147483648",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "1e400",
];

/// A seed that nobody has chosen.
#[must_use]
pub fn fresh_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Runs the target on its corpus, then on changed inputs until `time` is over, and gives the number of executions.
///
/// # Errors
///
/// If the corpus cannot be read or is empty, or if the target panicked: the text says where the input is now.
pub fn run((name, target): Target, time: Duration, seed: u64) -> Result<u64, String> {
    let corpus = corpus(name)?;
    let current = Arc::new(Mutex::new(Vec::new()));
    let (progress, watched) = mpsc::channel();
    let running = Arc::clone(&current);
    let worker = move || work(target, &corpus, time, seed, &running, &progress);
    let worker = thread::Builder::new().stack_size(STACK).spawn(worker).map_err(|error| error.to_string())?;
    loop {
        match watched.recv_timeout(PATIENCE) {
            Ok(()) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                let input = current.lock().unwrap_or_else(PoisonError::into_inner);
                eprintln!("{name}: hangs on {}", keep(name, "timeout", &input)?.display());
                process::exit(1);
            }
        }
    }
    worker.join().map_err(|_| {
        let input = current.lock().unwrap_or_else(PoisonError::into_inner);
        match keep(name, "crash", &input) {
            Ok(path) => format!("panicked on {}", path.display()),
            Err(problem) => {
                format!("panicked on {:?}, which cannot be kept: {problem}", input.escape_ascii().to_string())
            }
        }
    })
}

fn work(
    target: fn(&[u8]),
    corpus: &[Vec<u8>],
    time: Duration,
    seed: u64,
    current: &Mutex<Vec<u8>>,
    progress: &mpsc::Sender<()>,
) -> u64 {
    let mut random = Random(seed);
    let mut executions = 0;
    let mut execute = |input: Vec<u8>| {
        current.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&input);
        target(&input);
        executions += 1;
        _ = progress.send(());
    };
    corpus.iter().cloned().for_each(&mut execute);
    let end = Instant::now() + time;
    while Instant::now() < end {
        execute(random.changed(corpus));
    }
    executions
}

fn corpus(name: &str) -> Result<Vec<Vec<u8>>, String> {
    let directory = root().join("corpus").join(name);
    let failed = |error: std::io::Error| format!("{}: {error}", directory.display());
    let mut paths: Vec<PathBuf> = fs::read_dir(&directory)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    // The same seed changes the same inputs, whatever the order that the file system has them in.
    paths.sort();
    let inputs: Vec<_> = paths.iter().map(fs::read).collect::<Result<_, _>>().map_err(failed)?;
    if inputs.is_empty() { Err(format!("{} is empty", directory.display())) } else { Ok(inputs) }
}

/// Writes the input to a file named by its content.
fn keep(name: &str, what: &str, input: &[u8]) -> Result<PathBuf, String> {
    let directory = root().join("artifacts").join(name);
    let hash = input
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    let path = directory.join(format!("{what}-{hash:016x}"));
    fs::create_dir_all(&directory).and_then(|()| fs::write(&path, input)).map_err(|error| error.to_string())?;
    Ok(path)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `SplitMix64`: the same numbers for the same seed, on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Less than `end`; 0 if that is 0.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 32).unwrap_or(0).checked_rem(end).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[7]
    }

    fn one_of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// One of the corpus, with one to eight changes.
    fn changed(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut input = self.one_of(corpus).clone();
        for _ in 0..=self.below(8) {
            self.change(&mut input, corpus);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let at = self.below(input.len());
        let end = at + self.below((input.len() - at).min(64) + 1);
        match self.below(9) {
            0 => {
                let bit = self.below(8);
                input.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << bit);
            }
            1 => {
                let byte = self.byte();
                input.get_mut(at).into_iter().for_each(|old| *old = byte);
            }
            2 => input.insert(at, self.byte()),
            3 => drop(input.drain(at..end)),
            4 => {
                let piece = input[at..end].to_vec();
                let to = self.below(input.len() + 1);
                input.splice(to..to, piece);
            }
            5 => input.truncate(at),
            6 => {
                // The head of this one, the tail of another.
                let other = self.one_of(corpus);
                let from = self.below(other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            7 => {
                let other = self.one_of(corpus);
                let from = self.below(other.len());
                let to = from + self.below((other.len() - from).min(64) + 1);
                input.splice(at..at, other[from..to].iter().copied());
            }
            _ => {
                // A number in the place of one, if one is near.
                let start = input[at..].iter().position(u8::is_ascii_digit).map_or(at, |near| at + near);
                let length = input[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                let number = self.one_of(&INTERESTING).bytes();
                input.splice(start..start + length, number);
            }
        }
    }
}
