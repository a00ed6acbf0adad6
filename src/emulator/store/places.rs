//! Where the keys of a command stand.

use super::{
    args::Args,
    commands::{Known, Runner},
};

/// The keys of a command, which has as many arguments as it takes. What is not understood has none, and is refused
/// wherever it is run.
pub(super) fn keys<'a>(name: &str, known: &Known, args: Args<'a>) -> Vec<&'a [u8]> {
    let after = |first, count| args.from(first).iter().take(count).collect();
    match name {
        "WATCH" | "DEL" | "UNLINK" | "EXISTS" | "MGET" | "SINTER" | "SUNION" | "SDIFF" => args.iter().collect(),
        "ECHO" | "DBSIZE" | "FLUSHALL" | "FLUSHDB" | "KEYS" | "SCAN" | "WAIT" => Vec::new(),
        _ if matches!(known.runner, Runner::OfConnection) => Vec::new(),
        "MSET" => args.iter().step_by(2).collect(),
        "RENAME" | "LMOVE" | "RPOPLPUSH" | "BLMOVE" | "BRPOPLPUSH" => after(0, 2),
        "BLPOP" | "BRPOP" => after(0, args.len().saturating_sub(1)),
        "LMPOP" => after(1, number(args, 0)),
        "BLMPOP" => after(2, number(args, 1)),
        "XREAD" | "XREADGROUP" => {
            let first = (0..args.len()).find(|at| args.option(*at) == "STREAMS").map_or(args.len(), |at| at + 1);
            after(first, args.len().saturating_sub(first) / 2)
        }
        "XGROUP" | "XINFO" => after(1, 1),
        _ => after(0, 1),
    }
}

fn number(args: Args<'_>, at: usize) -> usize {
    args.integer(at).ok().and_then(|number| usize::try_from(number).ok()).unwrap_or_default()
}
