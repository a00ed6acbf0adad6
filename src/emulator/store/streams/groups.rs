//! `XGROUP`.

use super::{Group, Id, Stream};
use crate::emulator::{
    hello::c_string,
    resp::Reply,
    store::{
        args::{Args, Outcome, Problem},
        data::{Data, count, now},
    },
};

const NO_STREAM: &str = "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use \
                         the MKSTREAM option to create an empty stream automatically.";

/// What stands behind the id.
#[derive(Default)]
struct Options {
    makes_stream: bool,
    read: Option<i64>,
}

impl Options {
    fn read(args: Args<'_>) -> Result<Self, Problem> {
        let mut options = Self::default();
        let creates = args.option(0) == "CREATE";
        let mut at = 4;
        while at < args.len() {
            match args.option(at).as_str() {
                "MKSTREAM" if creates => options.makes_stream = true,
                "ENTRIESREAD" if at + 1 < args.len() => {
                    at += 1;
                    options.read = match args.integer(at)? {
                        -1 => None,
                        read if read >= 0 => Some(read),
                        _ => return Err("ERR value for ENTRIESREAD must be positive or -1".into()),
                    };
                }
                _ => return Err(wrong_syntax("XGROUP", args)),
            }
            at += 1;
        }
        Ok(options)
    }
}

pub(super) fn wrong_syntax(command: &str, args: Args<'_>) -> Problem {
    let problem = Problem::quoting("ERR unknown subcommand or wrong number of arguments for '", args.at(0));
    problem.and(&format!("'. Try {command} HELP."))
}

/// `XGROUP subcommand key group …`.
pub(in crate::emulator::store) fn xgroup(data: &mut Data, args: Args<'_>) -> Outcome {
    let (subcommand, key, name) = (args.option(0), args.at(1), args.at(2));
    let with_options = matches!(subcommand.as_str(), "CREATE" | "SETID");
    let options = if with_options { Options::read(args)? } else { Options::default() };
    let stream = data.get::<Stream>(key)?;
    if !options.makes_stream {
        let stream = stream.as_ref().ok_or(NO_STREAM)?;
        if !stream.groups.contains_key(name) && !matches!(subcommand.as_str(), "CREATE" | "DESTROY") {
            return Err(no_such_group(key, name));
        }
    }
    let id = || match c_string(args.at(3)) {
        b"$" => Ok(stream.as_ref().map_or(Id::LEAST, |stream| stream.last_id)),
        _ if subcommand == "SETID" => Id::parse_or_end(args.at(3), 0),
        _ => Id::parse(args.at(3), 0),
    };
    match subcommand.as_str() {
        "CREATE" if args.len() > 7 => Err(wrong_syntax("XGROUP", args)),
        "SETID" if !matches!(args.len(), 4 | 6) => Err(wrong_syntax("XGROUP", args)),
        "CREATE" => {
            let group = Group { last_id: id()?, read: options.read, ..Group::default() };
            if stream.is_none() {
                data.update(key, |_: &mut Stream| Ok(()))?;
            }
            create(data, key, name, group)
        }
        "SETID" => {
            let last_id = id()?;
            let set = |_: &Stream, group: &mut Group| (group.last_id, group.read) = (last_id, options.read);
            stream.and_then(|stream| stream.with_group(name, set));
            Ok(Reply::OK)
        }
        "DESTROY" => {
            let destroyed = stream.and_then(|stream| stream.groups.remove(name)).is_some();
            if destroyed {
                data.waiting.touch(key);
            }
            Ok(count(usize::from(destroyed)))
        }
        "CREATECONSUMER" => {
            let create = |_: &Stream, group: &mut Group| {
                let before = group.consumers.len();
                group.seen(args.at(3), now());
                group.consumers.len() - before
            };
            Ok(count(stream.and_then(|stream| stream.with_group(name, create)).unwrap_or_default()))
        }
        // All that `commands` knows beside these.
        _ => {
            let delete = |_: &Stream, group: &mut Group| {
                let pending = group.pending_of(args.at(3)).count();
                group.pending.retain(|_, delivery| delivery.consumer != args.at(3));
                group.consumers.remove(args.at(3));
                pending
            };
            Ok(count(stream.and_then(|stream| stream.with_group(name, delete)).unwrap_or_default()))
        }
    }
}

fn create(data: &mut Data, key: &[u8], name: &[u8], group: Group) -> Outcome {
    match data.get::<Stream>(key)? {
        Some(stream) if !stream.groups.contains_key(name) => {
            stream.groups.insert(name.to_vec(), group);
            Ok(Reply::OK)
        }
        _ => Err("BUSYGROUP Consumer Group name already exists".into()),
    }
}

pub(super) fn no_such_group(key: &[u8], group: &[u8]) -> Problem {
    let problem = Problem::quoting("NOGROUP No such consumer group '", group);
    problem.and("' for key name '").and_quoting(key).and("'")
}
