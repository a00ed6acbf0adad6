use super::*;
use crate::cluster::topology::tests::topology_of as topology;

fn address(host: &str) -> NodeAddress {
    NodeAddress::new(host, 1)
}

fn slot(number: u16) -> Slot {
    Slot::new(number).unwrap()
}

/// A map, what is known besides, and a clock.
struct World {
    map: SlotMap<()>,
    knowledge: Knowledge,
    now: Instant,
}

impl World {
    fn new(ranges: &[(u16, u16, &str)]) -> Self {
        let map = SlotMap::empty().rebuilt(&topology(ranges), &[], |_| ());
        Self { map, knowledge: Knowledge::default(), now: Instant::now() }
    }

    fn wait(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
    }

    fn moved(&mut self, number: u16, to: &str) {
        self.knowledge.moved(slot(number), address(to), self.now);
        self.map = self.map.with_moved([(slot(number), &address(to))], |_| ()).unwrap();
    }

    fn answer(&mut self, by: &str, ranges: &[(u16, u16, &str)]) -> Judged {
        let (topology, by) = (topology(ranges), address(by));
        let judged = self.knowledge.judge(&self.map, TopologyAnswer { topology: &topology, by: &by, at: self.now });
        self.map = self.map.rebuilt(&judged.topology, &judged.gone, |_| ());
        judged
    }

    fn owner(&self, number: u16) -> Option<&str> {
        self.map.owner(slot(number)).map(|owner| owner.address.host())
    }
}

#[test]
fn an_answer_that_contradicts_nothing_is_taken_as_it_is() {
    let mut world = World::new(&[(0, 99, "a"), (100, 199, "b")]);
    let answer = [(0, 49, "c"), (50, 199, "b"), (200, 300, "a")];
    let judged = world.answer("a", &answer);
    assert_eq!(judged, Judged { topology: topology(&answer), gone: Vec::new(), doubtful: false });
}

#[test]
fn a_fresh_hint_stands_against_a_node_that_lags() {
    let mut world = World::new(&[(0, 99, "a"), (100, 199, "b")]);
    world.moved(5, "b");
    world.wait(30);
    let judged = world.answer("a", &[(0, 99, "a"), (100, 199, "b")]);
    assert!(judged.doubtful);
    assert_eq!((world.owner(5), world.owner(6)), (Some("b"), Some("a")));
    // Also where the node that lags knows of no owner at all, and no other node is asked.
    world.answer("a", &[(6, 99, "a"), (100, 199, "b")]);
    assert_eq!(world.owner(5), Some("b"));
    world.wait(2000);
    assert!(!world.answer("a", &[(0, 99, "a"), (100, 199, "b")]).doubtful);
    assert_eq!(world.owner(5), Some("a"));
}

#[test]
fn the_node_that_a_hint_names_knows_better() {
    let mut world = World::new(&[(0, 99, "a"), (100, 199, "b")]);
    world.moved(5, "b");
    assert!(!world.answer("b", &[(0, 99, "a"), (100, 199, "b")]).doubtful);
    assert_eq!(world.owner(5), Some("a"));
}

#[test]
fn a_hint_that_leads_to_a_dead_node_is_dropped() {
    let mut world = World::new(&[(0, 99, "a"), (100, 199, "b")]);
    world.moved(5, "c");
    world.moved(6, "b");
    world.knowledge.unreachable(&address("c"));
    world.answer("a", &[(0, 99, "a"), (100, 199, "b")]);
    assert_eq!((world.owner(5), world.owner(6)), (Some("a"), Some("b")));
}

#[test]
fn an_answer_that_agrees_with_a_hint_settles_it() {
    let mut world = World::new(&[(0, 99, "a"), (100, 199, "b")]);
    world.moved(5, "b");
    assert!(!world.answer("a", &[(0, 4, "a"), (5, 5, "b"), (6, 99, "a"), (100, 199, "b")]).doubtful);
    // So the slot may go back at once, when the next answer says so.
    assert!(!world.answer("a", &[(0, 99, "a"), (100, 199, "b")]).doubtful);
    assert_eq!(world.owner(5), Some("a"));
}

#[test]
fn a_node_that_knows_nobody_takes_no_owner_away() {
    let mut world = World::new(&[(0, 99, "a"), (100, 199, "b")]);
    for _ in 0..3 {
        assert!(world.answer("b", &[]).doubtful);
        assert_eq!((world.owner(5), world.owner(150)), (Some("a"), Some("b")));
    }
    // After a whole answer it begins from the start.
    assert!(!world.answer("a", &[(0, 99, "a"), (100, 199, "b")]).doubtful);
    assert!(world.answer("c", &[]).doubtful);
    assert_eq!(world.owner(5), Some("a"));
    // Another node agrees.
    world.answer("a", &[(0, 99, "a")]);
    assert_eq!((world.owner(5), world.owner(150)), (Some("a"), None));
}

#[test]
fn a_node_that_says_so_long_enough_is_believed() {
    let mut world = World::new(&[(0, 99, "a")]);
    assert!(world.answer("a", &[(0, 49, "a")]).doubtful);
    world.wait(1999);
    assert!(world.answer("a", &[(0, 49, "a")]).doubtful);
    world.wait(1);
    assert!(!world.answer("a", &[(0, 49, "a")]).doubtful);
    assert_eq!(world.owner(50), None);
}

#[test]
fn a_node_is_gone_when_two_answers_in_a_row_say_so() {
    let mut world = World::new(&[(0, 99, "a"), (100, 199, "b")]);
    let (with, without) = ([(0, 99, "a"), (100, 199, "b")], [(0, 199, "a")]);
    let mut judged = |by: &str, ranges: &[_]| {
        let judged = world.answer(by, ranges);
        (judged.gone, judged.doubtful, world.map.members().len())
    };
    assert_eq!(judged("a", &without), (vec![], true, 2));
    assert_eq!(judged("a", &with), (vec![], false, 2));
    assert_eq!(judged("a", &without), (vec![], true, 2));
    assert_eq!(judged("b", &without), (vec![address("b")], false, 1));
    assert_eq!(judged("a", &without), (vec![], false, 1));
}

#[test]
fn a_node_that_only_a_fresh_hint_names_is_not_gone() {
    let mut world = World::new(&[(0, 99, "a")]);
    world.moved(5, "b");
    for _ in 0..5 {
        assert_eq!(world.answer("a", &[(0, 99, "a")]).gone, []);
    }
    assert_eq!(world.owner(5), Some("b"));
}
