use super::*;
use crate::{
    admission::Admission,
    command::profile,
    exec::{
        lease::{
            Search,
            lonely::{ANYWHERE, Lonely},
        },
        scatter::ground::Ground,
    },
    pool::fixture::HOUR,
    timer::Timers,
};
use tokio::{
    io::{DuplexStream, duplex},
    runtime::Handle,
    time::advance,
};

const SECOND: Duration = Duration::from_secs(1);

/// A link whose server says nothing.
fn silent() -> (Link, DuplexStream) {
    let (near, far) = duplex(1 << 10);
    (Link::over(1, near, Admission::new(8), HOUR), far)
}

/// `BLPOP` for this long, by a caller who has said how long an answer may take.
fn blpop(seconds: u64) -> Cmd {
    let mut cmd = redis::cmd("BLPOP");
    cmd.arg("k").arg(seconds);
    cmd
}

fn slices<'a>(core: &'a Core, cmd: &'a Cmd, patience: Option<Duration>) -> Slices<'a> {
    Slices::new(core, cmd, profile(cmd).blocks(cmd), false, patience)
}

/// How long a slice over a link whose server says nothing takes, and whether the link has been doubted by then.
async fn takes(slices: &Slices<'_>) -> (Duration, bool) {
    let (link, _far) = silent();
    let began = Instant::now();
    let end = slices.next(&link, false);
    tokio::pin!(end);
    let mut is_doubted = false;
    let end = loop {
        match tokio::time::timeout(SECOND / 10, &mut end).await {
            Ok(end) => break end,
            Err(_) => is_doubted |= link.is_silent() || link.is_suspect(),
        }
    };
    assert!(matches!(end, End::TimedOut));
    (began.elapsed(), is_doubted)
}

fn is_about(took: Duration, millis: u64) -> bool {
    let expected = Duration::from_millis(millis);
    took >= expected && took < expected + SECOND / 10
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_take_as_long_as_its_caller_says_besides_its_own_time() {
    let mut core = Ground::quiet().core;
    core.command_timeout = 5 * SECOND;
    let cmd = blpop(1);
    for (patience, millis, is_doubted) in [
        (None, 6_000, true),
        (Some(SECOND / 2), 1_500, false),
        // Its caller has said so: the server's silence is no reason for doubt.
        (Some(20 * SECOND), 21_000, false),
    ] {
        let slices = slices(&core, &cmd, patience);
        assert_eq!(slices.deadline - Instant::now(), Duration::from_millis(millis));
        let (took, doubted) = takes(&slices).await;
        assert!(is_about(took, millis) && doubted == is_doubted, "{patience:?}: {took:?}, {doubted}");
    }
    // It is more than any clock can add.
    let forever = blpop(0);
    assert!(slices(&core, &forever, Some(Duration::MAX)).deadline > Instant::now() + FOR_EVER);
}

/// What comes before its first slice, as questions for ids, takes nothing away from anybody else.
#[tokio::test(start_paused = true)]
async fn a_slice_that_begins_late_ends_with_its_command() {
    let mut core = Ground::quiet().core;
    core.command_timeout = 5 * SECOND;
    let cmd = blpop(1);
    let slices = slices(&core, &cmd, None);
    advance(4 * SECOND).await;
    let (took, _) = takes(&slices).await;
    assert!(is_about(took, 2_000), "{took:?}");
}

/// Nobody looks for timers that are not there any more.
#[tokio::test]
async fn nothing_waits_for_a_token_when_the_runtime_has_ended() {
    let mut lonely = Lonely::new(1);
    lonely.core.tokens.clone().current().await.unwrap();
    let mut search = Search::leased();
    let soon = Instant::now() + SECOND / 100;
    assert!(lonely.core.lease_by(&mut search, &ANYWHERE, soon).await.is_err());
    lonely.open([1]);
    let found = lonely.core.lease_by(&mut search, &ANYWHERE, Instant::now() + HOUR).await;
    let (_, lease) = found.unwrap_or_else(|none| panic!("{}", none.error));
    let (timers, end) = Timers::of(Handle::current());
    lonely.core.timers = timers;
    drop(end);
    assert!(!is_current(&lonely.core, lease.link()));
    let began = Instant::now();
    make_way(&lonely.core, &lease, None, began + HOUR).await;
    assert!(began.elapsed() < PAUSE / 2, "{:?}", began.elapsed());
}
