//! Reads that are under way: one for each command and key, however many wait for it.

use super::{
    clock::Moment,
    coverage::Coverage,
    form::{Form, Query},
    kept::Kept,
    store::Store,
};
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared, WeakShared},
};
use redis::Value;
use std::{collections::HashMap, sync::Arc, time::Duration};

/// What the server has answered to a read over the connection that covers it.
pub(crate) struct Came {
    pub(crate) value: Value,
    /// How long the key lives yet; none if it does not expire.
    pub(crate) life: Option<Duration>,
    /// Whether there is no such key, and it may come to be on another server, of which this one does not tell: in a
    /// cluster, while its slot is on its way.
    pub(crate) may_come_elsewhere: bool,
}

/// A read under way. Whoever polls it drives it; when nobody waits for it any more it is given up. None if the server
/// has not answered with a value.
pub(crate) type Flight = Shared<BoxFuture<'static, Option<Arc<Value>>>>;

/// A read that others may join, and that an invalidation takes out.
pub(super) struct Entered {
    form: Form,
    number: u64,
    coverage: Arc<Coverage>,
    sent: Moment,
    flight: WeakShared<BoxFuture<'static, Option<Arc<Value>>>>,
}

/// Those of a part of the keys. A read whose key is invalidated is taken out: its value is given to those who have
/// waited for it, but is not kept, and nobody joins it any more.
#[derive(Default)]
pub(super) struct Flights {
    by_key: HashMap<Box<[u8]>, Vec<Entered>>,
    next: u64,
}

impl Flights {
    /// The read under way that answers `query` as well as a new one, if there is one.
    pub(super) fn find(&self, query: Query<'_>, now: Moment, max_staleness: Duration) -> Option<Flight> {
        let is_of_use = |entered: &&Entered| {
            entered.form.is_of(query) && !entered.coverage.is_lost() && now < entered.sent.after(max_staleness)
        };
        // Only what is returned is upgraded: the last owner of a read must not drop it while this is locked.
        self.by_key.get(query.key)?.iter().find(is_of_use)?.flight.upgrade()
    }

    /// Enters a read that has just been sent; `came` is what becomes of it.
    pub(super) fn enter(
        &mut self,
        store: &Arc<Store>,
        query: Query<'_>,
        coverage: &Arc<Coverage>,
        sent: Moment,
        came: impl Future<Output = Option<Came>> + Send + 'static,
    ) -> Flight {
        self.next += 1;
        let (number, form) = (self.next, query.form());
        let mut landing = Landing { store: Arc::clone(store), key: query.key.into(), number, has_landed: false };
        let flight = async move { landing.land(came.await) }.boxed().shared();
        if let Some(weak) = flight.downgrade() {
            let entered = Entered { form, number, coverage: Arc::clone(coverage), sent, flight: weak };
            self.by_key.entry(query.key.into()).or_default().push(entered);
        }
        flight
    }

    /// Takes out all reads of a key.
    pub(super) fn remove(&mut self, key: &[u8]) {
        self.by_key.remove(key);
    }

    /// Takes out one read; none if it has been taken out before.
    fn take(&mut self, key: &[u8], number: u64) -> Option<Entered> {
        let of_key = self.by_key.get_mut(key)?;
        let at = of_key.iter().position(|entered| entered.number == number)?;
        let entered = of_key.swap_remove(at);
        if of_key.is_empty() {
            self.by_key.remove(key);
        }
        Some(entered)
    }
}

/// The end of a read.
struct Landing {
    store: Arc<Store>,
    key: Box<[u8]>,
    number: u64,
    has_landed: bool,
}

impl Landing {
    fn land(&mut self, came: Option<Came>) -> Option<Arc<Value>> {
        self.has_landed = true;
        let store = &*self.store;
        let mut flights = store.flights(&self.key);
        let entered = flights.take(&self.key, self.number);
        let came = came?;
        let value = Arc::new(came.value);
        // Under the lock, so that no invalidation falls between the look and the keeping.
        if let Some(Entered { form, coverage, sent, .. }) = entered
            && let Some(life) = store.limits().life(came.life, came.may_come_elsewhere)
            && !coverage.is_lost()
        {
            let kept = Kept { form, value: Arc::clone(&value), coverage, until: sent.after(life) };
            store.keep(&self.key, kept);
        }
        Some(value)
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if !self.has_landed {
            self.store.flights(&self.key).take(&self.key, self.number);
        }
    }
}
