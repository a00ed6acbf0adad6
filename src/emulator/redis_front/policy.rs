//! What a cache refuses by its cluster policy, in Redis Enterprise's words as far as they are known.

use crate::emulator::resp::Request;

/// Which commands a front lets through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::emulator) enum Policy {
    /// Whatever the Redis behind it has.
    #[default]
    Open,
    /// What Azure Managed Redis has under the OSS cluster policy.
    AmrOssCluster,
    /// What it has under the Enterprise policy, where a cluster is not to be seen.
    AmrEnterprise,
}

/// Commands that Redis Enterprise does not have: the ❌ of its compatibility tables.
const MISSING: &[&str] = &[
    "ASKING",
    "BGREWRITEAOF",
    "BGSAVE",
    "DEBUG",
    "FAILOVER",
    "LASTSAVE",
    "MIGRATE",
    "MOVE",
    "PSYNC",
    "READONLY",
    "READWRITE",
    "REPLCONF",
    "REPLICAOF",
    "RESTORE-ASKING",
    "ROLE",
    "SAVE",
    "SHUTDOWN",
    "SLAVEOF",
    "SWAPDB",
    "SYNC",
];

/// The same of subcommands, and of CLIENT REPLY, which is Azure's.
const MISSING_SUBCOMMANDS: &[(&str, &[&str])] = &[
    ("ACL", &["DELUSER", "GENPASS", "LOAD", "LOG", "SAVE", "SETUSER"]),
    ("CLIENT", &["GETREDIR", "NO-EVICT", "PAUSE", "REPLY", "TRACKINGINFO", "UNPAUSE"]),
    ("LATENCY", &["DOCTOR", "GRAPH", "HISTORY", "LATEST", "RESET"]),
    ("MODULE", &["LOAD", "LOADEX", "UNLOAD"]),
];

/// The only ones of CLUSTER that it has, under the OSS cluster policy.
const OF_CLUSTER: &[&str] = &["HELP", "INFO", "KEYSLOT", "NODES", "SLOTS"];

impl Policy {
    /// The error that the request is answered with instead of being passed on.
    pub(super) fn blocked(self, request: &Request) -> Option<String> {
        if self == Self::Open {
            return None;
        }
        let name = request.name();
        let word = |index: usize| request.arg(index).map(|word| String::from_utf8_lossy(word).into_owned());
        let subcommand = word(1).unwrap_or_default();
        let is = |known: &&str| subcommand.eq_ignore_ascii_case(known);
        let unknown_subcommand = || format!("ERR unknown subcommand '{subcommand}'");
        match name.as_str() {
            // Redis Enterprise says this for all of them where the database has no OSS cluster API.
            "CLUSTER" if self == Self::AmrEnterprise => Some("ERR command is not allowed".to_owned()),
            "CLUSTER" => (!OF_CLUSTER.iter().any(is)).then(unknown_subcommand),
            // There is the database 0 alone, under every policy.
            "SELECT" => (subcommand != "0").then(|| "ERR DB index is out of range".to_owned()),
            name if MISSING.contains(&name) => Some(format!("ERR unknown command '{}'", word(0).unwrap_or_default())),
            name => {
                let (_, missing) = MISSING_SUBCOMMANDS.iter().find(|(container, _)| *container == name)?;
                missing.iter().any(is).then(unknown_subcommand)
            }
        }
    }
}

#[cfg(test)]
mod tests;
