//! When keys expire.

use super::{
    args::{Args, Outcome, Problem, SYNTAX},
    data::{Data, Entry, Moment, now},
};
use crate::emulator::resp::{Reply, decimal};

fn invalid(command: &str) -> Problem {
    format!("ERR invalid expire time in '{command}' command").into()
}

/// The moment `amount` units of `unit_ms` milliseconds from now.
pub(super) fn after(command: &str, amount: i64, unit_ms: i64) -> Result<Moment, Problem> {
    moment(command, amount, unit_ms, now())
}

fn moment(command: &str, amount: i64, unit_ms: i64, since: Moment) -> Result<Moment, Problem> {
    let millis = Some(amount).filter(|amount| *amount > 0).and_then(|amount| amount.checked_mul(unit_ms));
    millis.and_then(|millis| millis.checked_add(since)).ok_or_else(|| invalid(command))
}

/// What `SET` and `GETEX` say of the expiry.
#[derive(Clone, Copy)]
pub(super) enum Expiry<'a> {
    Keep,
    Persist,
    /// The option, and its argument, which is read later.
    At(&'static str, &'a [u8]),
}

/// The options of `SET` and `GETEX`, in any order; those that exclude each other are a syntax error.
#[derive(Default)]
pub(super) struct Options<'a> {
    pub(super) absent: bool,
    pub(super) present: bool,
    pub(super) get: bool,
    pub(super) expiry: Option<Expiry<'a>>,
}

impl<'a> Options<'a> {
    pub(super) fn of_set(args: Args<'a>, first: usize) -> Result<Self, Problem> {
        let mut options = Self::default();
        let mut at = first;
        while at < args.len() {
            match args.option(at).as_str() {
                "NX" if !options.present => options.absent = true,
                "XX" if !options.absent => options.present = true,
                "GET" => options.get = true,
                "KEEPTTL" if matches!(options.expiry, None | Some(Expiry::Keep)) => {
                    options.expiry = Some(Expiry::Keep);
                }
                option => {
                    options.take_moment(option, args, at)?;
                    at += 1;
                }
            }
            at += 1;
        }
        Ok(options)
    }

    pub(super) fn of_getex(args: Args<'a>, first: usize) -> Result<Self, Problem> {
        let mut options = Self::default();
        let mut at = first;
        while at < args.len() {
            match args.option(at).as_str() {
                "PERSIST" if matches!(options.expiry, None | Some(Expiry::Persist)) => {
                    options.expiry = Some(Expiry::Persist);
                }
                option => {
                    options.take_moment(option, args, at)?;
                    at += 1;
                }
            }
            at += 1;
        }
        Ok(options)
    }

    /// The same option may come again, and the last one counts.
    fn take_moment(&mut self, option: &str, args: Args<'a>, at: usize) -> Result<(), Problem> {
        let known = ["EX", "PX", "EXAT", "PXAT"].into_iter().find(|known| *known == option);
        let known = known.filter(|_| at + 1 < args.len()).ok_or(SYNTAX)?;
        match self.expiry {
            Some(Expiry::At(earlier, _)) if earlier == known => {}
            None => {}
            Some(_) => return Err(SYNTAX.into()),
        }
        self.expiry = Some(Expiry::At(known, args.at(at + 1)));
        Ok(())
    }

    pub(super) fn persists(&self) -> bool {
        matches!(self.expiry, Some(Expiry::Persist))
    }

    pub(super) fn moment(&self, command: &str) -> Result<Option<Moment>, Problem> {
        let Some(Expiry::At(option, amount)) = self.expiry else {
            return Ok(None);
        };
        let amount = decimal(amount).ok_or(super::args::NOT_AN_INTEGER)?;
        let unit_ms = if option.starts_with('E') { 1000 } else { 1 };
        let since = if option.ends_with("AT") { 0 } else { now() };
        moment(command, amount, unit_ms, since).map(Some)
    }
}

/// Under which condition `EXPIRE` and its kind change anything.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    NeverExpires,
    Expires,
    Later,
    Earlier,
}

fn conditions(args: Args<'_>) -> Result<Vec<Condition>, Problem> {
    let condition = |at| match args.option(at).as_str() {
        "NX" => Ok(Condition::NeverExpires),
        "XX" => Ok(Condition::Expires),
        "GT" => Ok(Condition::Later),
        "LT" => Ok(Condition::Earlier),
        _ => Err(Problem::quoting("ERR Unsupported option ", args.at(at))),
    };
    let conditions: Vec<_> = (0..args.len()).map(condition).collect::<Result<_, _>>()?;
    let has = |condition| conditions.contains(&condition);
    if has(Condition::NeverExpires) && conditions.iter().any(|other| *other != Condition::NeverExpires) {
        return Err("ERR NX and XX, GT or LT options at the same time are not compatible".into());
    }
    if has(Condition::Later) && has(Condition::Earlier) {
        return Err("ERR GT and LT options at the same time are not compatible".into());
    }
    Ok(conditions)
}

impl Condition {
    /// Whether it allows the change. A key that does not expire lives longer than any.
    fn allows(self, new: Moment, current: Option<Moment>) -> bool {
        match self {
            Self::NeverExpires => current.is_none(),
            Self::Expires => current.is_some(),
            Self::Later => current.is_some_and(|current| new > current),
            Self::Earlier => current.is_none_or(|current| new < current),
        }
    }
}

fn change(data: &mut Data, args: Args<'_>, command: &str, unit_ms: i64, since: Moment) -> Outcome {
    let conditions = conditions(args.from(2))?;
    let millis = args.integer(1)?.checked_mul(unit_ms);
    let at = millis.and_then(|millis| millis.checked_add(since)).ok_or_else(|| invalid(command))?;
    let allowed = |entry: &&mut Entry| conditions.iter().all(|condition| condition.allows(at, entry.expires));
    let Some(entry) = data.entry(args.at(0)).filter(allowed) else {
        return Ok(Reply::Int(0));
    };
    entry.expires = Some(at);
    data.touch(args.at(0));
    // A moment that is over deletes the key.
    if at <= now() {
        data.remove(args.at(0));
    }
    Ok(Reply::Int(1))
}

pub(super) fn expire(data: &mut Data, args: Args<'_>) -> Outcome {
    change(data, args, "expire", 1000, now())
}

pub(super) fn pexpire(data: &mut Data, args: Args<'_>) -> Outcome {
    change(data, args, "pexpire", 1, now())
}

pub(super) fn expireat(data: &mut Data, args: Args<'_>) -> Outcome {
    change(data, args, "expireat", 1000, 0)
}

pub(super) fn pexpireat(data: &mut Data, args: Args<'_>) -> Outcome {
    change(data, args, "pexpireat", 1, 0)
}

fn time_left(data: &mut Data, args: Args<'_>, in_units: fn(i64) -> i64) -> Outcome {
    Ok(Reply::Int(match data.entry(args.at(0)).map(|entry| entry.expires) {
        None => -2,
        Some(None) => -1,
        Some(Some(at)) => in_units(at.saturating_sub(now()).max(0)),
    }))
}

pub(super) fn ttl(data: &mut Data, args: Args<'_>) -> Outcome {
    // Rounded to the nearest second, as in Redis.
    time_left(data, args, |millis| millis.saturating_add(500) / 1000)
}

pub(super) fn pttl(data: &mut Data, args: Args<'_>) -> Outcome {
    time_left(data, args, |millis| millis)
}

pub(super) fn persist(data: &mut Data, args: Args<'_>) -> Outcome {
    let expiry = data.entry(args.at(0)).and_then(|entry| entry.expires.take());
    if expiry.is_some() {
        data.touch(args.at(0));
    }
    Ok(Reply::Int(i64::from(expiry.is_some())))
}
