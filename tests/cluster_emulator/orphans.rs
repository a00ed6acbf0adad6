//! A program that is killed leaves no servers and no files.

use common::{SECOND, child, eventually};
use std::{path::Path, process::Command};

fn children(pid: u32) -> Vec<(u32, String)> {
    let listed = Command::new("ps").args(["-o", "pid=,args=", "--ppid", &pid.to_string()]).output().unwrap();
    let text = String::from_utf8(listed.stdout).unwrap();
    let split = |line: &str| line.trim().split_once(' ').map(|(pid, args)| (pid.parse().unwrap(), args.to_owned()));
    text.lines().filter_map(split).collect()
}

#[tokio::test]
async fn a_killed_program_leaves_no_servers_behind() {
    let emulator = child::start(&["emulator", "--cluster", "3"], "# export AZURE_AUTHORITY_HOST=https://").await;
    let programs = children(std::process::id());
    let (pid, _) = programs.iter().find(|(_, args)| args.contains("--cluster")).expect("the program");
    let children = children(*pid);
    let servers: Vec<_> =
        children.iter().filter(|(_, args)| args.contains("redis-server")).map(|(pid, _)| *pid).collect();
    assert_eq!(servers.len(), 3, "{children:?}");
    let cwd = std::fs::read_link(format!("/proc/{}/cwd", servers[0])).unwrap();
    let directory = cwd.parent().unwrap().to_owned();
    assert!(directory.join("node.key").is_file());
    // It gets no chance to clean up.
    drop(emulator);
    for pid in servers {
        let gone = async || (!runs(pid)).then_some(());
        eventually("a redis-server has ended", 10 * SECOND, gone).await;
    }
    eventually("the directory is gone", 10 * SECOND, async || (!directory.exists()).then_some(())).await;
}

/// Whether the process is there and no zombie.
fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}
