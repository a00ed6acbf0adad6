//! `XADD`, `XTRIM` and `XDEL`.

use super::{Id, Stream};
use crate::emulator::{
    hello::c_string,
    resp::Reply,
    store::{
        args::{Args, Outcome, Problem, SYNTAX},
        commands::wrong_number,
        data::{Bytes, Data, count, now},
    },
};

/// What a stream is cut down to. `~` allows to keep more, and nothing more is kept.
#[derive(Clone, Copy)]
enum Limit {
    Length(usize),
    From(Id),
}

#[derive(Clone, Copy)]
struct Trim {
    limit: Limit,
    /// How many entries may be removed.
    most: usize,
}

/// The id of a new entry, and whether its number is given.
type NewId = (Id, bool);

/// What stands between the key and the fields.
struct Options {
    trim: Option<Trim>,
    makes_stream: bool,
    id: Option<NewId>,
    /// Where the id stands, or the end if there is none.
    id_at: usize,
}

impl Options {
    fn read(args: Args<'_>, adds: bool) -> Result<Self, Problem> {
        let (mut limit, mut approximate, mut most) = (None, false, None);
        let mut options = Self { trim: None, makes_stream: true, id: None, id_at: args.len() };
        let mut at = 1;
        while at < args.len() {
            let more = args.len() - at - 1;
            match args.option(at).as_str() {
                "*" if adds => {
                    options.id_at = at;
                    break;
                }
                option @ ("MAXLEN" | "MINID") if more > 0 => {
                    if limit.is_some() {
                        let problem = "MAXLEN and MINID options at the same time are not compatible";
                        return Err(format!("{SYNTAX}, {problem}").into());
                    }
                    let sign = c_string(args.at(at + 1));
                    approximate = more > 1 && sign == b"~";
                    at += 1 + usize::from(approximate || more > 1 && sign == b"=");
                    limit = Some(limit_of(option, args, at)?);
                }
                "LIMIT" if more > 0 => {
                    at += 1;
                    most = Some(not_negative(args, at, "LIMIT")?);
                }
                "NOMKSTREAM" if adds => options.makes_stream = false,
                _ if adds => {
                    options.id = Some(Id::parse_new(args.at(at))?);
                    options.id_at = at;
                    break;
                }
                _ => return Err(SYNTAX.into()),
            }
            at += 1;
        }
        let problem = match (limit, most) {
            (None, Some(1..)) => "LIMIT cannot be used without specifying a trimming strategy",
            (None, _) if !adds => "XTRIM must be called with a trimming strategy",
            (_, Some(_)) if !approximate => "LIMIT cannot be used without the special ~ option",
            _ => {
                let most = most.filter(|most| *most > 0).unwrap_or(usize::MAX);
                options.trim = limit.map(|limit| Trim { limit, most });
                return Ok(options);
            }
        };
        Err(format!("{SYNTAX}, {problem}").into())
    }
}

fn limit_of(option: &str, args: Args<'_>, at: usize) -> Result<Limit, Problem> {
    Ok(match option {
        "MAXLEN" => Limit::Length(not_negative(args, at, option)?),
        _ => Limit::From(Id::parse(args.at(at), 0)?),
    })
}

fn not_negative(args: Args<'_>, at: usize, option: &str) -> Result<usize, Problem> {
    let number = usize::try_from(args.integer(at)?);
    number.map_err(|_| format!("ERR The {option} argument must be >= 0.").into())
}

impl Stream {
    fn new_id(&self, wanted: Option<NewId>) -> Result<Id, Problem> {
        if self.last_id == Id::GREATEST {
            return Err("ERR The stream has exhausted the last possible ID, unable to add more items".into());
        }
        let after_last = Id { seq: self.last_id.seq.saturating_add(1), ..self.last_id };
        let id = match wanted {
            // A clock that goes back leads to no smaller id.
            None => {
                let now = Id { ms: now().unsigned_abs(), seq: 0 };
                Some(now).filter(|now| now.ms > self.last_id.ms).or_else(|| self.last_id.next()).unwrap_or(now)
            }
            Some((id, false)) if id.ms == self.last_id.ms => after_last,
            Some((id, _)) => id,
        };
        if id <= self.last_id {
            return Err("ERR The ID specified in XADD is equal or smaller than the target stream top item".into());
        }
        Ok(id)
    }

    fn add(&mut self, id: Id, fields: Vec<Bytes>) {
        self.entries.insert(id, fields);
        self.last_id = id;
        self.added += 1;
    }

    /// Removes the oldest entries; returns how many.
    fn trim(&mut self, Trim { limit, most }: Trim) -> usize {
        let goes = |stream: &Self| match limit {
            Limit::Length(len) => stream.entries.len() > len,
            Limit::From(id) => stream.entries.keys().next().is_some_and(|first| *first < id),
        };
        let mut removed = 0;
        while removed < most && goes(self) {
            self.entries.pop_first();
            removed += 1;
        }
        removed
    }

    fn delete(&mut self, id: Id) -> bool {
        let deleted = self.entries.remove(&id).is_some();
        if deleted {
            self.max_deleted = self.max_deleted.max(id);
        }
        deleted
    }
}

/// `XADD key [NOMKSTREAM] [MAXLEN | MINID [~ | =] limit [LIMIT count]] id field value …`.
pub(in crate::emulator::store) fn xadd(data: &mut Data, args: Args<'_>) -> Outcome {
    let options = Options::read(args, true)?;
    let fields = args.from(options.id_at.saturating_add(1));
    if fields.len() < 2 || fields.len() % 2 == 1 {
        return Err(wrong_number("xadd"));
    }
    if options.id == Some((Id::LEAST, true)) {
        return Err("ERR The ID specified in XADD must be greater than 0-0".into());
    }
    if data.get::<Stream>(args.at(0))?.is_none() && !options.makes_stream {
        return Ok(Reply::Nil);
    }
    data.update(args.at(0), |stream: &mut Stream| {
        let id = stream.new_id(options.id)?;
        stream.add(id, fields.0.to_vec());
        options.trim.map(|trim| stream.trim(trim));
        Ok(id.reply())
    })
}

/// `XTRIM key MAXLEN | MINID [~ | =] limit [LIMIT count]`.
pub(in crate::emulator::store) fn xtrim(data: &mut Data, args: Args<'_>) -> Outcome {
    let options = Options::read(args, false)?;
    if data.get::<Stream>(args.at(0))?.is_none() {
        return Ok(count(0));
    }
    data.update_some(args.at(0), |stream: &mut Stream| options.trim.map_or(0, |trim| stream.trim(trim)))
}

/// `XDEL key id …`.
pub(in crate::emulator::store) fn xdel(data: &mut Data, args: Args<'_>) -> Outcome {
    if data.get::<Stream>(args.at(0))?.is_none() {
        return Ok(count(0));
    }
    let ids: Vec<_> = args.from(1).iter().map(|id| Id::parse(id, 0)).collect::<Result<_, _>>()?;
    data.update_some(args.at(0), |stream: &mut Stream| ids.iter().filter(|id| stream.delete(**id)).count())
}
