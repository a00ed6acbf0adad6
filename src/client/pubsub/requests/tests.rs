use super::*;

#[test]
fn a_thousand_channels_are_one_command_and_sharded_ones_one_for_each_slot() {
    let channels = (0..1_000).map(|number| Topic::Channel(format!("c{number}").into_bytes()));
    let patterns = [Topic::Pattern(b"p*".to_vec())];
    let sharded = ["{a}1", "{b}1", "{a}2"].map(|name| Topic::Sharded(name.into()));
    let all = batches(Change::Subscribe, channels.chain(patterns).chain(sharded));
    let sizes: Vec<_> = all.iter().map(|batch| (batch.confirmed_by.clone(), batch.topics.len())).collect();
    assert_eq!(sizes[..2], [(PushKind::Subscribe, 1_000), (PushKind::PSubscribe, 1)]);
    let mut sharded: Vec<_> = sizes[2..].iter().map(|(_, size)| *size).collect();
    sharded.sort_unstable();
    assert_eq!(sharded, [1, 2]);
    let more = (0..1_001).map(|number| Topic::Channel(format!("c{number}").into_bytes()));
    assert_eq!(batches(Change::Unsubscribe, more).len(), 2);
}
