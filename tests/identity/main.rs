//! Each credential leads to a token, the refresh loop never dies, and what goes wrong is told in words that help.

mod assertion_wire;
mod credentials;
mod environment;
mod errors;
mod faults;
mod rates;
mod token_command;
mod token_requests;
