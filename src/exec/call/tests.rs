use super::*;
use crate::{exec::request::CommandRequest, observe::metrics::Stopwatch};

/// One cache line, and the moment of its beginning for those who want to know how long it took.
#[test]
fn what_every_command_allocates_is_small() {
    assert!(size_of::<Call<'_, CommandRequest<'_>>>() <= 64 + size_of::<Stopwatch>());
}
