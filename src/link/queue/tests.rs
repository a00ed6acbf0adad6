use super::{
    super::{
        reply::{Completion, Expect, Outcome, ReplyCell},
        spare::SPARE_CELLS,
    },
    *,
};
use crate::admission::Permit;
use futures_util::FutureExt;
use std::{cell::Cell, pin::pin, task::Wake};
use tokio::time::Instant;

fn queue() -> Queue {
    Queue::new(Admission::new(usize::MAX))
}

fn push(queue: &Queue, access: Access, text: &str) -> Option<PendingReply> {
    let alone = text == "AUTH";
    let request = NewRequest { deadline: None, expect: Expect::One, quiet: false, alone };
    let (reply, len) = queue.push(access, request, |bytes| bytes.extend_from_slice(text.as_bytes()))?;
    assert_eq!(len, text.len());
    Some(reply)
}

/// Looks at something whenever it is woken.
struct Rung<L> {
    rung: Arc<Mutex<Vec<bool>>>,
    look: L,
}

impl<L: Fn() -> bool + Send + Sync> Wake for Rung<L> {
    fn wake(self: Arc<Self>) {
        let seen = (self.look)();
        lock(&self.rung).push(seen);
    }
}

fn take(queue: &Queue, outstanding: &mut Outstanding, patience: bool) -> Taken {
    queue.take(outstanding, patience, &Context::from_waker(Waker::noop()))
}

/// The driver's part: the oldest so many are answered.
fn answer(queue: &Queue, outstanding: &mut Outstanding, count: usize) {
    let mut through = Through::default();
    for entry in outstanding.entries.drain(..count) {
        through.add(&entry);
        let cell = entry.cell.expect("somebody waits for it");
        _ = cell.fill(Completion { outcome: Outcome::Written, large: false, deadline: Instant::now() });
        outstanding.spent.push_back(cell);
    }
    queue.left(through);
}

#[test]
fn requests_are_taken_in_their_order_with_their_places_in_the_stream() {
    let queue = queue();
    let mut outstanding = Outstanding::default();
    assert_eq!(take(&queue, &mut outstanding, false), Taken::Nothing);
    let _replies = [push(&queue, Access::Open, "one"), push(&queue, Access::Own, "two")];
    assert_eq!(take(&queue, &mut outstanding, false), Taken::Something);
    // What has not been written yet is joined by what comes.
    let _third = push(&queue, Access::Open, "three");
    assert_eq!(take(&queue, &mut outstanding, false), Taken::Something);
    assert_eq!(outstanding.bytes, b"onetwothree");
    let places: Vec<_> = outstanding.entries.iter().map(|entry| (entry.begins, entry.ends, entry.counted)).collect();
    assert_eq!(places, [(0, 3, true), (3, 6, false), (6, 11, true)]);
    assert_eq!(queue.admission.stats().sent, 2, "the link's own are none of anybody's commands");
}

#[test]
fn commands_and_the_links_own_requests_are_counted_apart() {
    let queue = queue();
    let mut outstanding = Outstanding::default();
    assert_eq!((queue.in_flight(), queue.commands_queued()), (0, 0));
    let _replies = [push(&queue, Access::Open, "a"), push(&queue, Access::Own, "b"), push(&queue, Access::Own, "c")];
    assert_eq!((queue.in_flight(), queue.commands_queued()), (3, 1));
    take(&queue, &mut outstanding, false);
    answer(&queue, &mut outstanding, 2);
    assert_eq!((queue.in_flight(), queue.commands_queued()), (1, 1));
    answer(&queue, &mut outstanding, 1);
    assert_eq!((queue.in_flight(), queue.commands_queued()), (0, 1));
}

/// Other requests of the link's own come before it and after it.
#[test]
fn an_auth_is_what_is_waited_for_when_the_commands_before_it_are_answered() {
    let queue = queue();
    let mut outstanding = Outstanding::default();
    let look = || (queue.has_auth(), queue.awaits_auth());
    let _slots = push(&queue, Access::Own, "CLUSTER SLOTS");
    assert_eq!(look(), (false, false));
    let _before = push(&queue, Access::Open, "a");
    let _auth = push(&queue, Access::Own, "AUTH");
    let _behind = [push(&queue, Access::Open, "b"), push(&queue, Access::Own, "CLUSTER SLOTS")];
    take(&queue, &mut outstanding, false);
    answer(&queue, &mut outstanding, 1);
    assert_eq!(look(), (true, false), "the command before it is as late as any");
    answer(&queue, &mut outstanding, 1);
    assert_eq!(look(), (true, true));
    answer(&queue, &mut outstanding, 1);
    assert_eq!((look(), queue.in_flight()), ((false, false), 2));
}

/// What is dropped with an answer may take long, and may ring others.
#[test]
fn answers_that_nobody_has_read_are_dropped_while_the_queue_is_free() {
    let queue = Arc::new(Queue::new(Admission::new(1)));
    let mut outstanding = Outstanding::default();
    assert!(queue.admission.try_acquire());
    let (free, rung) = (Arc::clone(&queue), Arc::new(Mutex::new(Vec::new())));
    let waker = Waker::from(Arc::new(Rung { rung: Arc::clone(&rung), look: move || free.inner.try_lock().is_ok() }));
    let mut waiting = pin!(queue.admission.acquire());
    assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let kept = Outcome::Unsent(Some(Permit::acquired(&queue.admission)));
    let cell = Arc::new(ReplyCell::default());
    _ = cell.fill(Completion { outcome: kept, large: false, deadline: Instant::now() });
    outstanding.spent.push_back(cell);
    take(&queue, &mut outstanding, false);
    assert_eq!(*lock(&rung), [true], "whoever waits for room is rung");
    assert_eq!((outstanding.unread.capacity(), lock(&queue.inner).spare.len()), (0, 0));
}

#[test]
fn a_lone_request_is_not_kept_waiting_for_others_to_join_it() {
    let queue = queue();
    let mut outstanding = Outstanding::default();
    let _first = push(&queue, Access::Open, "a");
    assert_eq!(take(&queue, &mut outstanding, true), Taken::Something);
    let _second = push(&queue, Access::Open, "b");
    assert_eq!(take(&queue, &mut outstanding, true), Taken::Deferred, "the first one is on its way");
    assert_eq!(outstanding.entries.len(), 1);
    assert_eq!(take(&queue, &mut outstanding, false), Taken::Something);
}

#[test]
fn a_buffer_that_was_very_large_is_given_back() {
    for (len, kept) in [(LARGEST_IDLE_BUFFER, true), (LARGEST_IDLE_BUFFER + 1, false)] {
        let queue = queue();
        lock(&queue.inner).bytes = Vec::with_capacity(len);
        let mut outstanding = Outstanding::default();
        let _first = push(&queue, Access::Open, "a");
        take(&queue, &mut outstanding, false);
        assert!(lock(&queue.inner).bytes.capacity() == 0 && outstanding.bytes.capacity() == len);
        // The two buffers change places once the driver is through with its own.
        outstanding.bytes.clear();
        let _second = push(&queue, Access::Open, "b");
        take(&queue, &mut outstanding, false);
        assert_eq!(lock(&queue.inner).bytes.capacity() == len, kept, "{len}");
    }
}

#[test]
fn what_is_taken_depends_on_what_the_link_is_good_for() {
    let queue = queue();
    let takes = |access| push(&queue, access, "a").is_some();
    assert!(takes(Access::Open) && !takes(Access::Reauthenticating) && takes(Access::Own));
    queue.swap(Condition::Reauthenticating, Condition::Down("another one"));
    assert!(queue.is_open() && !queue.is_reauthenticating());
    queue.swap(Condition::Open, Condition::Reauthenticating);
    assert!(!queue.is_open() && queue.is_reauthenticating());
    assert!(!takes(Access::Open) && takes(Access::Reauthenticating) && takes(Access::Own));
    queue.set(Condition::Down("first"));
    queue.set(Condition::Open);
    assert_eq!(queue.condition(), Condition::Down("first"), "it is for ever, and keeps its reason");
    assert!(!queue.is_open() && !queue.is_reauthenticating() && !queue.has_ended());
    assert!(!takes(Access::Open) && !takes(Access::Reauthenticating) && takes(Access::Own));
    assert_eq!(queue.end("later").len(), 5);
    assert!(queue.has_ended() && !takes(Access::Own));
    assert_eq!(queue.condition(), Condition::Down("first"));
}

#[test]
fn a_large_reply_on_its_way_is_noted_until_it_is_through() {
    let queue = queue();
    assert!(!queue.is_congested());
    queue.set_congested(true);
    queue.set_congested(true);
    assert!(queue.is_congested());
    queue.set_congested(false);
    assert!(!queue.is_congested());
}

/// A handle waits for its own last command, whatever comes behind it.
#[test]
fn the_first_so_many_are_answered_when_all_of_these_are() {
    let queue = queue();
    let mut outstanding = Outstanding::default();
    assert!(queue.has_answered(0));
    let _replies: Vec<_> = (0..3).map(|_| push(&queue, Access::Open, "a")).collect();
    take(&queue, &mut outstanding, false);
    assert!(queue.has_answered(0) && !queue.has_answered(1) && !queue.has_answered(3));
    answer(&queue, &mut outstanding, 2);
    assert!(queue.has_answered(2) && !queue.has_answered(3));
    // Given back, it is as if it had never been queued.
    let _late = push(&queue, Access::Open, "late");
    let _own = push(&queue, Access::Own, "own");
    assert_eq!(queue.commands_queued(), 4);
    let given_back = queue.give_back("a test");
    assert_eq!((given_back.len(), queue.commands_queued(), lock(&queue.inner).offset), (2, 3, 3));
    assert!(lock(&queue.inner).bytes.is_empty());
    let mut through = Through::default();
    for entry in &given_back {
        through.add(entry);
    }
    queue.left(through);
    assert!(queue.has_answered(2) && !queue.has_answered(3));
    answer(&queue, &mut outstanding, 1);
    assert!(queue.has_answered(3) && queue.has_answered(4), "the fourth will never be");
}

#[tokio::test]
async fn who_waits_is_woken_when_what_he_waits_for_is_answered() {
    let queue = queue();
    let mut outstanding = Outstanding::default();
    let _replies: Vec<_> = (0..3).map(|_| push(&queue, Access::Open, "a")).collect();
    let _own = push(&queue, Access::Own, "never answered");
    take(&queue, &mut outstanding, false);
    let (mut two, mut all) = (pin!(queue.answered(2)), pin!(queue.drained()));
    answer(&queue, &mut outstanding, 1);
    assert!(two.as_mut().now_or_never().is_none() && all.as_mut().now_or_never().is_none());
    answer(&queue, &mut outstanding, 1);
    assert!(two.as_mut().now_or_never().is_some() && all.as_mut().now_or_never().is_none());
    assert_eq!(queue.departures.awaited(), 1, "nobody is rung for who does not wait any more");
    answer(&queue, &mut outstanding, 1);
    assert!(all.as_mut().now_or_never().is_some());
    assert_eq!(queue.departures.awaited(), 0);
}

/// The end of one of the link's own requests wakes nobody.
#[test]
fn only_departures_of_commands_ring() {
    let queue = queue();
    let mut outstanding = Outstanding::default();
    let _own = push(&queue, Access::Own, "own");
    let _command = push(&queue, Access::Open, "a");
    take(&queue, &mut outstanding, false);
    let looks = Cell::new(0);
    let mut looking = pin!(queue.departures.until(|| {
        looks.set(looks.get() + 1);
        false
    }));
    assert!(looking.as_mut().now_or_never().is_none());
    answer(&queue, &mut outstanding, 1);
    assert!(looking.as_mut().now_or_never().is_none());
    assert_eq!(looks.get(), 1);
    answer(&queue, &mut outstanding, 1);
    assert!(looking.as_mut().now_or_never().is_none());
    assert_eq!(looks.get(), 2);
}

#[test]
fn slots_are_used_again_when_their_callers_are_through_with_them() {
    let queue = queue();
    let mut outstanding = Outstanding::default();
    let (kept, dropped) = (push(&queue, Access::Open, "a"), push(&queue, Access::Open, "b"));
    drop(dropped);
    take(&queue, &mut outstanding, false);
    answer(&queue, &mut outstanding, 2);
    take(&queue, &mut outstanding, false);
    assert_eq!((outstanding.spent.len(), lock(&queue.inner).spare.len()), (2, 0), "the first one's has not run yet");
    drop(kept);
    take(&queue, &mut outstanding, false);
    assert_eq!((outstanding.spent.len(), lock(&queue.inner).spare.len()), (0, 0), "they were left without being read");
    let read = push(&queue, Access::Open, "c").unwrap();
    take(&queue, &mut outstanding, false);
    answer(&queue, &mut outstanding, 1);
    assert!(read.now_or_never().is_some());
    take(&queue, &mut outstanding, false);
    assert_eq!((outstanding.spent.len(), lock(&queue.inner).spare.len()), (0, 1));
    let next = push(&queue, Access::Open, "d").unwrap();
    assert_eq!(lock(&queue.inner).spare.len(), 0);
    assert!(next.now_or_never().is_none(), "it is empty");
}

/// Memory of one crowd is not kept for ever.
#[test]
fn no_more_slots_are_kept_than_may_be_of_use() {
    let queue = queue();
    let mut outstanding = Outstanding::default();
    let cell = || Arc::new(ReplyCell::default());
    outstanding.spent = (0..SPARE_CELLS + 10).map(|_| cell()).collect();
    take(&queue, &mut outstanding, false);
    assert_eq!((outstanding.spent.len(), lock(&queue.inner).spare.len()), (0, SPARE_CELLS));
    // Nor are more looked at than that behind one whose caller sleeps.
    let held = cell();
    outstanding.spent = std::iter::once(Arc::clone(&held)).chain((0..SPARE_CELLS).map(|_| cell())).collect();
    take(&queue, &mut outstanding, false);
    assert_eq!(outstanding.spent.len(), 0, "its caller has it alone now");
    outstanding.spent = std::iter::once(Arc::clone(&held)).chain((1..SPARE_CELLS).map(|_| cell())).collect();
    take(&queue, &mut outstanding, false);
    assert_eq!(outstanding.spent.len(), SPARE_CELLS, "those behind it hardly will have run");
}
