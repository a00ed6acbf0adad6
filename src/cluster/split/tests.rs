use super::*;
use proptest::{collection::vec, prelude::*};

const KEYS: Layout = Layout { first: 1, step: 1, trailing: 0 };
const PAIRS: Layout = Layout { first: 1, step: 2, trailing: 0 };
const PATH: Layout = Layout { first: 1, step: 1, trailing: 1 };
const TRIPLES: Layout = Layout { first: 1, step: 3, trailing: 0 };

fn cmd(line: &str) -> Cmd {
    let mut cmd = Cmd::new();
    line.split(' ').for_each(|word| _ = cmd.arg(word));
    cmd
}

fn arguments(cmd: &Cmd) -> Vec<Vec<u8>> {
    let argument = |argument| match argument {
        Arg::Simple(argument) => <[u8]>::to_vec(argument),
        other => panic!("{other:?}"),
    };
    cmd.args_iter().map(argument).collect()
}

fn line(cmd: &Cmd) -> String {
    let words: Vec<_> = arguments(cmd).iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    words.join(" ")
}

/// The parts as lines with their keys' numbers; one line without numbers for a whole one.
fn parts(text: &str, layout: Layout) -> Vec<(String, Vec<usize>)> {
    match split(&cmd(text), layout) {
        Split::Whole(_) => vec![(text.to_owned(), vec![])],
        Split::Parts(parts) => {
            for part in &parts {
                let is_in_slot = |key: &usize| Slot::of(&arguments(&cmd(text))[layout.argument(*key)]) == part.slot;
                assert!(part.keys.iter().all(is_in_slot), "{part:?}");
            }
            parts.into_iter().map(|part| (line(&part.cmd), part.keys)).collect()
        }
    }
}

fn expected(parts: &[(&str, &[usize])]) -> Vec<(String, Vec<usize>)> {
    parts.iter().map(|(line, keys)| ((*line).to_owned(), keys.to_vec())).collect()
}

#[test]
fn commands_are_split_by_slot() {
    assert_eq!(
        parts("MGET {a}1 {b}1 {a}2 {c}1 {b}2", KEYS),
        expected(&[("MGET {a}1 {a}2", &[0, 2]), ("MGET {b}1 {b}2", &[1, 4]), ("MGET {c}1", &[3])])
    );
    assert_eq!(
        parts("MSET {a}1 x {b}1 y {a}2 z", PAIRS),
        expected(&[("MSET {a}1 x {a}2 z", &[0, 2]), ("MSET {b}1 y", &[1])])
    );
    assert_eq!(
        parts("JSON.MGET {a}1 {b}1 {a}2 $.p", PATH),
        expected(&[("JSON.MGET {a}1 {a}2 $.p", &[0, 2]), ("JSON.MGET {b}1 $.p", &[1])])
    );
    assert_eq!(
        parts("JSON.MSET {a}1 $ 1 {b}1 $ 2 {a}2 $ 3", TRIPLES),
        expected(&[("JSON.MSET {a}1 $ 1 {a}2 $ 3", &[0, 2]), ("JSON.MSET {b}1 $ 2", &[1])])
    );
    // The same key twice counts as often as it did, in its order.
    assert_eq!(parts("MSET a 1 b 2 a 3", PAIRS), expected(&[("MSET a 1 a 3", &[0, 2]), ("MSET b 2", &[1])]));
}

#[test]
fn what_needs_no_splitting_or_is_malformed_goes_as_it_is() {
    let whole = |text: &str, layout| match split(&cmd(text), layout) {
        Split::Whole(slot) => slot,
        Split::Parts(parts) => panic!("{parts:?}"),
    };
    let [a, b] = ["a", "b"].map(|key| Some(Slot::of(key.as_bytes())));
    assert_eq!(whole("MGET a", KEYS), a);
    assert_eq!(whole("DEL {a}1 {a}2 a", KEYS), a);
    assert_eq!(whole("MSET b 1 a 2 c", PAIRS), b);
    assert_eq!(whole("JSON.MSET b $ 1 a $ 2 c $", TRIPLES), b);
    assert_eq!(whole("JSON.MGET a $", PATH), a);
    assert_eq!(whole("JSON.MGET $", PATH), None);
    assert_eq!(whole("MGET", KEYS), None);
    assert_eq!(whole("MGET a", Layout { first: 5, step: 1, trailing: 9 }), None);
    assert_eq!(whole("MGET a b", Layout { first: 1, step: 0, trailing: 0 }), None);
    assert!(matches!(split(&Cmd::new(), KEYS), Split::Whole(None)));
    assert!(matches!(split(redis::cmd("SCAN").cursor_arg(0), KEYS), Split::Whole(None)));
}

#[test]
fn parts_want_their_replies_whether_the_command_does_or_not() {
    let mut cmd = cmd("DEL a b");
    cmd.set_no_response(true);
    let Split::Parts(parts) = split(&cmd, KEYS) else { panic!() };
    assert!(parts.iter().all(|part| !part.cmd.is_no_response()));
}

#[test]
fn replies_come_back_in_order_or_are_an_error() {
    let values = |numbers: &[i64]| numbers.iter().copied().map(Value::Int).collect::<Vec<_>>();
    let merged = merge(4, [(&[1, 3][..], values(&[11, 13])), (&[0, 2], values(&[10, 12]))]).unwrap();
    assert_eq!(merged, values(&[10, 11, 12, 13]));
    assert_eq!(merge(0, []).unwrap(), []);
    for (count, items, replies) in
        [(2, &[0_usize, 1][..], &[1][..]), (2, &[0], &[1, 2]), (2, &[0], &[1]), (1, &[1], &[1])]
    {
        let error = merge(count, [(items, values(replies))]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedReturnType);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn every_argument_is_in_one_part_and_every_reply_in_its_place(
        keys in vec(vec(any::<u8>(), 0..4), 1..60), step in 1..4_usize, trailing in 0..2_usize
    ) {
        let mut cmd = redis::cmd("X");
        for (index, key) in keys.iter().enumerate() {
            cmd.arg(key);
            (1..step).for_each(|n| _ = cmd.arg(index * 10 + n));
        }
        (0..trailing).for_each(|_| _ = cmd.arg("end"));
        let Split::Parts(parts) = split(&cmd, Layout { first: 1, step, trailing }) else {
            prop_assert!(keys.iter().all(|key| Slot::of(key) == Slot::of(&keys[0])));
            return Ok(());
        };
        // Each part answers with its own keys and what follows them.
        let answer = |part: &Part| {
            let arguments = arguments(&part.cmd);
            assert_eq!(arguments.len(), 1 + part.keys.len() * step + trailing);
            let body = &arguments[1..arguments.len() - trailing];
            body.chunks(step).map(|unit| Value::BulkString(unit.concat())).collect::<Vec<_>>()
        };
        let merged = merge(keys.len(), parts.iter().map(|part| (&part.keys[..], answer(part)))).unwrap();
        for (index, (key, value)) in keys.iter().zip(merged).enumerate() {
            let rest = (1..step).map(|n| (index * 10 + n).to_string()).collect::<String>();
            prop_assert_eq!(value, Value::BulkString([key, rest.as_bytes()].concat()));
        }
        let mut slots: Vec<_> = parts.iter().map(|part| part.slot).collect();
        slots.sort_unstable();
        slots.dedup();
        prop_assert_eq!(slots.len(), parts.len());
    }

    #[test]
    fn groups_keep_the_order_of_their_items(targets in vec(0..5_u8, 0..50)) {
        let groups = groups(targets.iter().copied());
        let mut seen = vec![false; targets.len()];
        for group in &groups {
            prop_assert!(group.items.is_sorted());
            for item in &group.items {
                prop_assert_eq!(targets[*item], group.target);
                prop_assert!(!std::mem::replace(&mut seen[*item], true));
            }
        }
        prop_assert!(seen.iter().all(|seen| *seen));
        prop_assert!(groups.windows(2).all(|pair| pair[0].items[0] < pair[1].items[0]));
    }
}
