use super::*;
use proptest::{collection::vec, prelude::*};

const INTERVAL: Duration = Duration::from_secs(30);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Requests at the given instants, refreshes that each take `took`: when refreshes started.
fn starts(begin: Instant, end: Duration, requests: &[Duration], took: Duration, is_ok: bool) -> Vec<Duration> {
    let mut pace = Pace::new(begin, INTERVAL);
    let (mut requests, mut now, mut running) = (requests.iter().peekable(), begin, None);
    let mut starts = Vec::new();
    while now <= begin + end {
        while requests.next_if(|at| begin + **at <= now).is_some() {
            pace.request();
        }
        if running.is_some_and(|ends| ends <= now) {
            running = None;
            pace.finish(now, is_ok);
        }
        if pace.start(now) {
            assert!(running.is_none(), "two at once");
            assert_eq!(pace.due(now), None);
            running = Some(now + took);
            starts.push(now - begin);
        }
        let next_request = requests.peek().map(|at| begin + **at);
        let next = [running, pace.due(now), next_request].into_iter().flatten().min().unwrap();
        now = next.max(now + Duration::from_micros(1));
    }
    starts
}

/// From each start to the next.
fn gaps(starts: &[Duration]) -> Vec<Duration> {
    starts.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect()
}

/// The most starts within any second.
fn most_in_a_second(starts: &[Duration]) -> usize {
    let within = |from: &Duration| starts.iter().filter(|at| (*from..=*from + ms(1000)).contains(*at)).count();
    starts.iter().map(within).max().unwrap_or(0)
}

#[test]
fn the_first_request_is_served_at_once() {
    assert_eq!(starts(Instant::now(), ms(5000), &[ms(700)], ms(1), true), [ms(700)]);
}

#[test]
fn ten_thousand_requests_in_a_second_make_few_refreshes() {
    let requests: Vec<_> = (0..10_000).map(|n| Duration::from_micros(n * 100)).collect();
    let starts = starts(Instant::now(), ms(2500), &requests, ms(1), true);
    assert!((3..=11).contains(&starts.len()), "{starts:?}");
    assert_eq!(starts[0], ms(0));
    assert!(starts[1] >= ms(100) && starts[1] <= ms(126), "{starts:?}");
    // The last request is served by one that started after it.
    assert!(*starts.last().unwrap() >= *requests.last().unwrap(), "{starts:?}");
}

#[test]
fn requests_that_go_on_are_served_each_second() {
    let requests: Vec<_> = (0..20_000).map(ms).collect();
    let starts = starts(Instant::now(), ms(20_000), &requests, ms(1), true);
    let gaps = gaps(&starts);
    for (index, gap) in [100, 200, 400, 800, 1000, 1000, 1000].into_iter().enumerate() {
        let drawn = gaps[index];
        assert!(drawn >= ms(gap) && drawn <= ms(gap * 5 / 4 + 2), "gap {index}: {drawn:?}");
    }
    assert!(starts.len() >= 16, "{}", starts.len());
}

#[test]
fn after_a_quiet_time_the_gap_is_short_again() {
    let busy: Vec<_> = (0..5000).map(ms).collect();
    let requests = [busy, vec![ms(9000), ms(9001)]].concat();
    let starts = starts(Instant::now(), ms(10_000), &requests, ms(1), true);
    let [.., before, last] = starts[..] else { panic!("{starts:?}") };
    assert_eq!(before, ms(9000));
    assert!(last >= ms(9100) && last <= ms(9126), "{starts:?}");
}

#[test]
fn without_requests_there_is_one_each_interval_give_or_take() {
    let mut all = Vec::new();
    for _ in 0..20 {
        let starts = starts(Instant::now(), Duration::from_secs(310), &[], ms(1), true);
        assert!((9..=11).contains(&starts.len()), "{starts:?}");
        all.extend(gaps(&starts));
    }
    assert!(all.iter().all(|gap| *gap >= ms(27_000) && *gap <= ms(33_002)), "{all:?}");
    assert!(all.iter().any(|gap| *gap < ms(29_000)) && all.iter().any(|gap| *gap > ms(31_000)), "{all:?}");
}

#[test]
fn a_failed_refresh_is_repeated_at_the_pace_of_requests() {
    let starts = starts(Instant::now(), ms(10_000), &[ms(0)], ms(1), false);
    assert!((9..=14).contains(&starts.len()), "{starts:?}");
    assert!(most_in_a_second(&starts) <= 11, "{starts:?}");
}

#[test]
fn a_request_while_one_runs_is_for_the_next() {
    let starts = starts(Instant::now(), ms(5000), &[ms(0), ms(10)], ms(400), true);
    assert_eq!(starts.len(), 2, "{starts:?}");
    assert!(starts[1] >= ms(400), "{starts:?}");
}

#[test]
fn a_short_interval_does_not_shorten_the_gap() {
    let begin = Instant::now();
    let mut pace = Pace::new(begin, ms(1));
    let mut starts = Vec::new();
    for at in (0..1000).map(|at| begin + ms(at)) {
        if pace.start(at) {
            pace.finish(at, true);
            starts.push(at - begin);
        }
    }
    assert!((8..=10).contains(&starts.len()), "{starts:?}");
}

#[test]
fn an_interval_beyond_all_clocks_is_never_over() {
    let now = Instant::now();
    let mut pace = Pace::new(now, Duration::MAX);
    assert!(pace.due(now).unwrap() > now + Duration::from_secs(1_000_000_000));
    pace.request();
    assert!(pace.start(now));
    pace.finish(now, true);
    assert!(pace.due(now).unwrap() > now + Duration::from_secs(1_000_000_000));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn refreshes_are_few_and_no_request_is_forgotten(
        pauses in vec(prop_oneof![5 => 0..5_u64, 2 => 0..300_u64, 1 => 0..4000_u64], 1..400),
        took in 0..600_u64,
        is_ok: bool,
    ) {
        let requests: Vec<_> = pauses.iter().scan(0, |at, pause| { *at += pause; Some(ms(*at)) }).collect();
        let last = *requests.last().unwrap();
        let starts = starts(Instant::now(), last + ms(3000), &requests, ms(took), is_ok);
        prop_assert!(most_in_a_second(&starts) <= 11, "{:?}", starts);
        for gap in gaps(&starts) {
            prop_assert!(gap >= SHORTEST_GAP.max(ms(took)), "{:?}", starts);
        }
        for request in requests {
            let served = starts.iter().find(|start| **start >= request);
            let longest = LONGEST_GAP.mul_f64(1.0 + GAP_JITTER) + ms(took + 1);
            prop_assert!(served.is_some_and(|start| *start <= request + longest), "{:?}: {:?}", request, starts);
        }
    }
}
