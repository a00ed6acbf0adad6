//! Sets.

use super::{
    args::{Args, Outcome, Problem, SYNTAX},
    data::{Data, Set, count},
};
use crate::emulator::resp::Reply;

fn read(data: &mut Data, key: &[u8]) -> Result<Set, Problem> {
    Ok(data.get::<Set>(key)?.map_or_else(Set::new, |set| set.clone()))
}

fn reply(set: impl IntoIterator<Item = Vec<u8>>) -> Reply {
    Reply::Set(set.into_iter().map(Reply::Bulk).collect())
}

pub(super) fn sadd(data: &mut Data, args: Args<'_>) -> Outcome {
    let members = args.from(1).iter();
    data.update_some(args.at(0), |set: &mut Set| members.filter(|member| set.insert(member.to_vec())).count())
}

pub(super) fn srem(data: &mut Data, args: Args<'_>) -> Outcome {
    let members = args.from(1).iter();
    data.update_some(args.at(0), |set: &mut Set| members.filter(|member| set.remove(*member)).count())
}

pub(super) fn smembers(data: &mut Data, args: Args<'_>) -> Outcome {
    read(data, args.at(0)).map(reply)
}

pub(super) fn scard(data: &mut Data, args: Args<'_>) -> Outcome {
    read(data, args.at(0)).map(|set| count(set.len()))
}

pub(super) fn sismember(data: &mut Data, args: Args<'_>) -> Outcome {
    let set = read(data, args.at(0))?;
    Ok(Reply::Int(i64::from(set.contains(args.at(1)))))
}

pub(super) fn smismember(data: &mut Data, args: Args<'_>) -> Outcome {
    let set = read(data, args.at(0))?;
    let member = |member: &[u8]| Reply::Int(i64::from(set.contains(member)));
    Ok(Reply::Array(args.from(1).iter().map(member).collect()))
}

/// Without a count one member, or nil; with one, as many as there are at most.
pub(super) fn spop(data: &mut Data, args: Args<'_>) -> Outcome {
    let (wanted, many) = match args.len() {
        1 => (1, false),
        2 => (args.count(1)?, true),
        _ => return Err(SYNTAX.into()),
    };
    if wanted == 0 {
        return data.get::<Set>(args.at(0)).map(|_| reply(Vec::new()));
    }
    let popped: Vec<_> = data.update(args.at(0), |set: &mut Set| {
        let random = |set: &mut Set| {
            let member = set.iter().nth(fastrand::usize(..set.len()))?.clone();
            set.take(&member)
        };
        Ok((0..wanted.min(set.len())).filter_map(|_| random(set)).collect())
    })?;
    Ok(if many { reply(popped) } else { popped.into_iter().next().map_or(Reply::Nil, Reply::Bulk) })
}

fn combine(data: &mut Data, args: Args<'_>, step: impl Fn(&Set, &Set) -> Set) -> Outcome {
    let mut sets = args.iter().map(|key| read(data, key));
    let first = sets.next().unwrap_or_else(|| Ok(Set::new()))?;
    sets.try_fold(first, |all, set| set.map(|set| step(&all, &set))).map(reply)
}

pub(super) fn sinter(data: &mut Data, args: Args<'_>) -> Outcome {
    combine(data, args, |a, b| a & b)
}

pub(super) fn sunion(data: &mut Data, args: Args<'_>) -> Outcome {
    combine(data, args, |a, b| a | b)
}

pub(super) fn sdiff(data: &mut Data, args: Args<'_>) -> Outcome {
    combine(data, args, |a, b| a - b)
}
