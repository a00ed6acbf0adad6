use super::*;
use crate::emulator::resp::parse_request;

fn refusal(policy: Policy, line: &str) -> String {
    let request = parse_request(format!("{line}\r\n").as_bytes()).unwrap().unwrap();
    policy.blocked(&request).unwrap_or_default()
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
