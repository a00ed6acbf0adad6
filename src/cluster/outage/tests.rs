use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// How often the name is asked in this time, with each question answered at once.
fn asked(outage: &mut Outage, now: &mut Instant, time: Duration) -> u32 {
    let end = *now + time;
    let mut count = 0;
    while *now < end {
        if outage.wants_seed(*now) {
            count += 1;
            outage.asked_seed(*now);
        }
        *now += SECOND / 100;
    }
    count
}

#[test]
fn a_dead_node_has_the_name_asked_after_two_seconds_and_then_ever_less_often() {
    let mut now = Instant::now();
    let mut outage = Outage::new(now);
    let dead = NodeAddress::new("dead", 1);
    outage.look([&dead].into_iter(), now);
    assert_eq!(asked(&mut outage, &mut now, DEAD_AFTER), 0);
    outage.look([&dead].into_iter(), now);
    assert_eq!(asked(&mut outage, &mut now, SECOND / 10), 1);
    let in_a_minute = asked(&mut outage, &mut now, 60 * SECOND);
    assert!((2..=30).contains(&in_a_minute), "{in_a_minute} questions in a minute");
    let in_an_hour = asked(&mut outage, &mut now, 3600 * SECOND);
    assert!((120..=500).contains(&in_an_hour), "{in_an_hour} questions in an hour");
    outage.look(std::iter::empty(), now);
    assert_eq!(asked(&mut outage, &mut now, 3600 * SECOND), 0, "it is back");
}

#[test]
fn when_nobody_answers_the_name_is_asked_at_once() {
    let mut now = Instant::now();
    let mut outage = Outage::new(now);
    let dead = NodeAddress::new("dead", 1);
    outage.look([&dead].into_iter(), now);
    now += DEAD_AFTER;
    // What was asked about one node says nothing of all of them.
    asked(&mut outage, &mut now, 600 * SECOND);
    outage.asked_nodes(false, now);
    assert!(outage.wants_seed(now));
    let in_a_minute = asked(&mut outage, &mut now, 60 * SECOND);
    assert!((30..=200).contains(&in_a_minute), "{in_a_minute} questions in a minute");
    outage.asked_nodes(true, now);
    outage.look(std::iter::empty(), now);
    assert_eq!(asked(&mut outage, &mut now, 60 * SECOND), 0);
}
