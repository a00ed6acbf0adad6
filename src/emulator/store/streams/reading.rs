//! `XLEN`, `XRANGE` and `XREVRANGE`.

use super::{Id, Stream, shown};
use crate::emulator::{
    resp::Reply,
    store::{
        args::{Args, Outcome, Problem, SYNTAX},
        data::{Data, count},
    },
};

pub(in crate::emulator::store) fn xlen(data: &mut Data, args: Args<'_>) -> Outcome {
    Ok(count(data.get::<Stream>(args.at(0))?.map_or(0, |stream| stream.entries.len())))
}

/// `XRANGE key first last [COUNT count]`.
pub(in crate::emulator::store) fn xrange(data: &mut Data, args: Args<'_>) -> Outcome {
    let (first, last) = (Id::parse_start(args.at(1))?, Id::parse_end(args.at(2))?);
    let most = most(args.from(3))?;
    range(data, args, most, |stream| {
        stream.range(first, last).take(most).map(|(id, fields)| shown(id, fields)).collect()
    })
}

/// `XREVRANGE key last first [COUNT count]`.
pub(in crate::emulator::store) fn xrevrange(data: &mut Data, args: Args<'_>) -> Outcome {
    let (first, last) = (Id::parse_start(args.at(2))?, Id::parse_end(args.at(1))?);
    let most = most(args.from(3))?;
    range(data, args, most, |stream| {
        stream.range(first, last).rev().take(most).map(|(id, fields)| shown(id, fields)).collect()
    })
}

fn range(data: &mut Data, args: Args<'_>, most: usize, read: impl FnOnce(&Stream) -> Vec<Reply>) -> Outcome {
    Ok(match data.get::<Stream>(args.at(0))? {
        None => Reply::Array(Vec::new()),
        Some(_) if most == 0 => Reply::NullArray,
        Some(stream) => Reply::Array(read(stream)),
    })
}

/// How many entries are wanted at most: all, if it is not said.
fn most(options: Args<'_>) -> Result<usize, Problem> {
    let mut most = usize::MAX;
    for at in (0..options.len()).step_by(2) {
        if options.option(at) != "COUNT" || at + 1 == options.len() {
            return Err(SYNTAX.into());
        }
        most = usize::try_from(options.integer(at + 1)?.max(0)).unwrap_or(usize::MAX);
    }
    Ok(most)
}
