//! What a counter's transactions have left behind: each writes its name with the count, or does neither.

use std::{collections::BTreeSet, mem, time::Instant};

/// The transactions of one task on one counter, numbered from 0.
#[derive(Clone, Debug, Default)]
struct Task {
    next: u64,
    /// Those that may have run, and may yet: anywhere in the log, once, or not at all.
    unknown: BTreeSet<u64>,
    /// When each was over, one way or the other.
    ended: Vec<Instant>,
}

/// What is known of the transactions on one counter.
#[derive(Debug)]
pub(crate) struct Log {
    tasks: Vec<Task>,
}

/// What does not agree with the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Disagreement {
    /// Committed, and not in the log, or behind later ones of its task.
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
        let task = &mut self.tasks[task];
        task.ended.push(Instant::now());
        task.next += 1;
    }

    pub(crate) fn perhaps_committed(&mut self, task: usize) {
        let task = &mut self.tasks[task];
        task.unknown.insert(task.next);
        task.ended.push(Instant::now());
        task.next += 1;
    }

    /// Begins to compare it with what is on the server.
    pub(crate) fn comparison(&self) -> Comparison {
        let reading = |task: &Task| Reading { of: task.clone(), expected: 0, unseen: task.unknown.clone() };
        Comparison {
            tasks: self.tasks.iter().map(reading).collect(),
            disagreement: Disagreement::default(),
            missing: Vec::new(),
        }
    }
}

/// How far one task's transactions have been found. A task commits one after the other, so they are in order.
#[derive(Debug)]
struct Reading {
    of: Task,
    /// The next that is not one of the unknown.
    expected: u64,
    /// Those of the unknown that have not been found.
    unseen: BTreeSet<u64>,
}

/// The names in the log on the server, in their order, against what is known.
#[derive(Debug)]
pub(crate) struct Comparison {
    tasks: Vec<Reading>,
    disagreement: Disagreement,
    /// When those that are missing were committed.
    missing: Vec<Instant>,
}

impl Comparison {
    /// The next name in the log, `task:number`.
    pub(crate) fn name(&mut self, name: &str) {
        if self.find(name).is_none() {
            self.disagreement.strange += 1;
        }
    }

    fn find(&mut self, name: &str) -> Option<()> {
        let (task, number) = name.split_once(':')?;
        let (task, number) = (task.parse::<usize>().ok()?, number.parse::<u64>().ok()?);
        let task = self.tasks.get_mut(task)?;
        if number >= task.of.next {
            return None;
        }
        let is_again = if task.of.unknown.contains(&number) {
            !task.unseen.remove(&number)
        } else if number < task.expected {
            true
        } else {
            self.missing.extend(task.pass(number));
            task.expected += 1;
            false
        };
        self.disagreement.twice += u64::from(is_again);
        Some(())
    }

    /// There is no more; and when those that are missing were committed.
    pub(crate) fn end(mut self) -> (Disagreement, Vec<Instant>) {
        for mut task in mem::take(&mut self.tasks) {
            self.missing.extend(task.pass(task.of.next));
        }
        self.disagreement.missing = self.missing.len() as u64;
        (self.disagreement, self.missing)
    }
}

impl Reading {
    /// Goes on to this number; returns when those were committed that are passed over and should have been there.
    fn pass(&mut self, number: u64) -> Vec<Instant> {
        let passed = mem::replace(&mut self.expected, number)..number;
        let is_due = |number: &u64| !self.of.unknown.contains(number);
        let ended = |number: u64| usize::try_from(number).ok().and_then(|at| self.of.ended.get(at)).copied();
        passed.filter(is_due).filter_map(ended).collect()
    }
}
