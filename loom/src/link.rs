//! The parts of a link that share something between threads. Of the driver, that is how it hands answers over; its
//! socket is a model's.

#[path = "../../src/link/condition.rs"]
mod condition;
#[path = "../../src/link/confirm.rs"]
mod confirm;
#[path = "../../src/link/counts.rs"]
mod counts;
#[path = "../../src/link/departures.rs"]
mod departures;
mod driver;
#[path = "../../src/link/entry.rs"]
mod entry;
#[path = "../../src/link/multi.rs"]
mod multi;
#[path = "../../src/link/queue.rs"]
mod queue;
#[path = "../../src/link/reply.rs"]
mod reply;
#[path = "../../src/link/spare.rs"]
mod spare;

/// Here, because what they call is private to a link.
pub mod models {
    pub mod queue;
    pub mod reply;
}
