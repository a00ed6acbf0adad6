//! What a counter's transactions have left behind: each writes its name with the count, or does neither.

use std::collections::BTreeSet;

/// The transactions of one task on one counter, numbered from 0.
#[derive(Clone, Debug, Default)]
struct Task {
    next: u64,
    /// Those that may have run, and may yet.
    unknown: BTreeSet<u64>,
    /// Those that the log names, while it is read.
    found: BTreeSet<u64>,
}

/// What is known of the transactions on one counter.
#[derive(Debug)]
pub(crate) struct Log {
    tasks: Vec<Task>,
}

/// What does not agree with the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Disagreement {
    /// Committed, and not in the log.
    pub(crate) missing: u64,
    /// Once more in the log than they were committed.
    pub(crate) twice: u64,
    /// In the log, though nobody committed them.
    pub(crate) strange: u64,
}

impl Disagreement {
    pub(crate) fn total(self) -> u64 {
        self.missing + self.twice + self.strange
    }
}

impl Log {
    pub(crate) fn new(tasks: usize) -> Self {
        Self { tasks: vec![Task::default(); tasks] }
    }

    /// The number of a task's next transaction: the same again until it was committed, or may have been.
    pub(crate) fn next(&self, task: usize) -> u64 {
        self.tasks[task].next
    }

    pub(crate) fn committed(&mut self, task: usize) {
        self.tasks[task].next += 1;
    }

    pub(crate) fn perhaps_committed(&mut self, task: usize) {
        let task = &mut self.tasks[task];
        task.unknown.insert(task.next);
        task.next += 1;
    }

    /// Compares it with the names in the log on the server, each `task:number`.
    pub(crate) fn compare<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) -> Disagreement {
        let mut disagreement = Disagreement::default();
        for name in names {
            match self.find(name) {
                Some(true) => {}
                Some(false) => disagreement.twice += 1,
                None => disagreement.strange += 1,
            }
        }
        for task in &mut self.tasks {
            let found = std::mem::take(&mut task.found);
            let is_missing = |number: &u64| !found.contains(number) && !task.unknown.contains(number);
            disagreement.missing += (0..task.next).filter(is_missing).count() as u64;
        }
        disagreement
    }

    /// Whether this is the first time that it is found; none if there is no such transaction.
    fn find(&mut self, name: &str) -> Option<bool> {
        let (task, number) = name.split_once(':')?;
        let (task, number) = (task.parse::<usize>().ok()?, number.parse().ok()?);
        let task = self.tasks.get_mut(task)?;
        (number < task.next).then(|| task.found.insert(number))
    }
}
