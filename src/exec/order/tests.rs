use super::*;
use crate::{
    admission::Admission,
    cluster::address::NodeAddress,
    pool::fixture::{HOUR, setup},
};
use futures_util::FutureExt;
use std::{pin::pin, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    time::sleep,
};

const SECOND: Duration = Duration::from_secs(1);

/// Each part begins with what the whole has: one that has sent nothing over a link must not undo what another one has
/// noted of it.
#[tokio::test]
async fn of_the_notes_about_one_link_the_newest_stays() {
    let (near, _far) = tokio::io::duplex(64);
    let link = Arc::new(Link::over(1, near, Admission::new(1), Duration::from_secs(60)));
    let memory = |through| Memory {
        unanswered: vec![Unanswered { node: Weak::new(), link: Arc::downgrade(&link), through, since: Instant::now() }],
        ..Memory::default()
    };
    let mut whole = memory(50);
    for part in [memory(60), memory(50)] {
        whole.join(part);
    }
    assert_eq!(whole.unanswered.iter().map(|note| note.through).collect::<Vec<_>>(), [60]);
}

fn link(id: u64) -> (Arc<Link>, DuplexStream) {
    let (near, far) = duplex(1 << 16);
    (Arc::new(Link::over(id, near, Admission::new(8), HOUR)), far)
}

/// A command on the first of two links that its caller has left, and the other link speaks all the time.
async fn left_behind(behind_auth: bool) -> usize {
    let (_, shared) = setup(8);
    let (pool, roster) = Pool::new(2, Arc::clone(&shared.availability), Arc::clone(&shared.leases));
    let ((slow, _server), (other, mut speaks)) = (link(1), link(2));
    roster.publish(vec![Arc::clone(&slow), Arc::clone(&other)], 2);
    let node = Node::without_keeper(NodeAddress::new("node", 1), pool);
    let current = shared.tokens.clone().current().await.unwrap();
    let mut auth = pin!(slow.reauthenticate(&current, HOUR));
    if behind_auth {
        assert!(auth.as_mut().now_or_never().is_none());
    }
    _ = slow.command(crate::link::Access::Open, redis::cmd("SET").arg("k").arg(1), None, false).unwrap();
    let mut memory = Memory::default();
    memory.leave_behind(&node, &slow);
    for _ in 0..20 {
        sleep(SECOND / 4).await;
        let (asked, _) = other.command(crate::link::Access::Open, &redis::cmd("PING"), None, false).unwrap();
        assert!(speaks.read(&mut [0; 64]).await.unwrap() > 0);
        speaks.write_all(b"+PONG\r\n").await.unwrap();
        asked.await;
    }
    memory.forget_answered();
    memory.unanswered.len()
}

/// It runs when the `AUTH` before it is answered, which may take seconds: the next command must not overtake it.
#[tokio::test(start_paused = true)]
async fn what_is_behind_an_auth_is_not_given_up() {
    assert_eq!(left_behind(false).await, 0, "that link is taken for dead");
    assert_eq!(left_behind(true).await, 1);
}
