use super::*;
use crate::{
    exec::lease::lonely::Lonely,
    pool::fixture::{HOUR, ordered},
};
use std::time::Duration;

/// A dial may take longer than a command may, as while the service validates a token.
#[tokio::test(start_paused = true)]
async fn a_command_that_waits_for_its_link_for_long_has_one_opened() {
    let mut lonely = Lonely::new(8);
    lonely.core.command_timeout = Duration::from_secs(1);
    let (core, cmd) = (&lonely.core, redis::cmd("BLPOP").arg("k").arg(0).clone());
    let mut memory = Memory::default();
    let waits = command(core, &mut memory, &cmd, command::profile(&cmd));
    assert!(tokio::time::timeout(HOUR / 60, waits).await.is_err());
    assert_eq!(ordered(&lonely.roster).len(), 1);
}
