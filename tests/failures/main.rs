//! When a connection dies, only commands in flight on it may fail; nothing runs twice, and no command waits past its
//! deadline, whatever the server, the network or the callers do.

mod cancellation;
mod failover;
mod iteration;
mod many_clients;
mod overload;
mod retries;
mod server_faults;
mod server_states;
