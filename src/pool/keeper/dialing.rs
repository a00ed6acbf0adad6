//! How links are opened.

use super::{Done, Keeper, LinkCounts};
use crate::{
    error::{Error, ErrorKind, Stage},
    link::Link,
    observe::trace::{outcome, target},
    pool::seat::Task,
};
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument, Span, field::Empty, info_span};

impl Keeper {
    /// Opens a link, if it is time, and gives up at `deadline`.
    pub(super) fn dial(&mut self, index: usize, counts: &mut LinkCounts, deadline: Option<Instant>) {
        // The first dial is made all the same: it is how `connect` learns why there is no token.
        let no_token = self.shared.tokens.is_dead() && self.first.is_none();
        let now = Instant::now();
        let newest = self.shared.tokens.live().map_or(0, |current| current.generation);
        let may = self.seats[index].may_dial(now, newest);
        if no_token || !may || self.first.is_some() && counts.dialing > 0 {
            return;
        }
        let Some(dialing) = self.shared.pace.admit(now, counts.dialing) else {
            self.paced_until = self.shared.pace.next(now, counts.dialing);
            return;
        };
        counts.dialing += 1;
        self.pool.dial_began();
        let setup = Arc::clone(&self.setup);
        let mut tokens = self.shared.tokens.clone();
        let (keeper, admission) = (Arc::clone(&self.pool.keeper), Arc::clone(&self.shared.admission));
        let pool = &*self.shared.journal.name();
        let span =
            info_span!(target: target::LINK, "dial", pool, node = &*self.setup.node, seat = index, outcome = Empty);
        let dial = async move {
            let mut generation = 0;
            let token = async {
                let current = tokens.current().await?;
                generation = current.generation;
                Ok(current)
            };
            let open = async {
                let open = Link::open(&setup, token, keeper, admission);
                match deadline {
                    None => open.await,
                    Some(deadline) => timeout_at(deadline, open).await.unwrap_or_else(|_| Err(too_late())),
                }
            };
            let result = open.await;
            Span::current().record("outcome", outcome(&result));
            drop(dialing);
            let result = result.map(|link| (link, now.elapsed()));
            Done::Dialed { seat: index, generation, result }
        };
        let seat = &mut self.seats[index];
        if seat.task == Task::None && seat.link.is_none() {
            seat.task = Task::Dial;
        } else {
            // The link in this place is looked after meanwhile.
            seat.opens_standby = true;
        }
        self.tasks.push(Box::pin(dial.instrument(span)));
    }
}

fn too_late() -> Error {
    Error::new(ErrorKind::Timeout(Stage::Connect), "no second connection came up in time to stand in for the only one")
}
