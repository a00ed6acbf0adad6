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
    pub(super) fn refusal(self, request: &Request) -> Option<String> {
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
mod tests {
    use super::*;
    use crate::emulator::resp::parse_request;

    fn refusal(policy: Policy, line: &str) -> String {
        let request = parse_request(format!("{line}\r\n").as_bytes()).unwrap().unwrap();
        policy.refusal(&request).unwrap_or_default()
    }

    #[test]
    fn the_oss_cluster_policy_has_what_clients_may_ask_a_cluster_and_nothing_more() {
        let strict = |line: &str| refusal(Policy::AmrOssCluster, line);
        for line in ["GET key", "CLUSTER SLOTS", "cluster nodes", "CLUSTER INFO", "CLUSTER KEYSLOT key", "SELECT 0"] {
            assert_eq!(strict(line), "", "{line}");
        }
        assert_eq!(strict("READONLY"), "ERR unknown command 'READONLY'");
        assert_eq!(strict("asking"), "ERR unknown command 'asking'");
        assert_eq!(strict("CLUSTER MYID"), "ERR unknown subcommand 'MYID'");
        assert_eq!(strict("cluster shards"), "ERR unknown subcommand 'shards'");
        assert_eq!(strict("CLIENT REPLY OFF"), "ERR unknown subcommand 'REPLY'");
        assert_eq!(strict("CLIENT SETNAME me"), "");
        assert_eq!(strict("SELECT 1"), "ERR DB index is out of range");
        assert_eq!(strict("CLUSTER"), "ERR unknown subcommand ''");
    }

    #[test]
    fn the_enterprise_policy_hides_the_cluster() {
        for line in ["CLUSTER SLOTS", "CLUSTER INFO", "cluster keyslot key"] {
            assert_eq!(refusal(Policy::AmrEnterprise, line), "ERR command is not allowed", "{line}");
        }
        assert_eq!(refusal(Policy::AmrEnterprise, "ASKING"), "ERR unknown command 'ASKING'");
        assert_eq!(refusal(Policy::AmrEnterprise, "GET key"), "");
    }

    #[test]
    fn without_a_policy_everything_is_left_to_redis() {
        for line in ["CLUSTER MYID", "READONLY", "SELECT 7", "ASKING"] {
            assert_eq!(refusal(Policy::Open, line), "", "{line}");
        }
    }
}
