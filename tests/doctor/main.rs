//! `entra-redis doctor` finds out what is wrong with a set-up, and says the right next thing to do: broken set-ups as
//! data, each played by the emulator, by a real redis-server or by raw sockets.

mod ground;
mod promises;
// It plays firewalls on addresses of this machine that other systems do not have.
#[cfg(target_os = "linux")]
mod set_ups;

use ground::Trial;
