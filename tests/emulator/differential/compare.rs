//! What counts as the same reply.

use super::reply::Reply;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// To the last byte.
    Exact,
    /// In any order: Redis promises none for what is in a set or in a hash, nor for keys.
    Unordered,
    /// The same, of pairs.
    UnorderedPairs,
    /// A cursor, and keys in any order.
    Scan,
    /// So many milliseconds or seconds may lie between the two: each of them looks at the clock when the command is its
    /// turn.
    Time(i64),
    /// Only what it is: which member `SPOP` takes, and which number a connection has, is not for a client to know.
    Kind,
    /// All fields but these: one of the two may not have them, or tells of itself by them.
    Fields(&'static [&'static str]),
    /// Of entries that are not acknowledged: since when is a time.
    Pending,
    /// Of a transaction, each by its own rule.
    Each(Vec<Rule>),
}

/// What may lie between the two, in milliseconds: as long as a batch may take on a busy machine. All times in the
/// stream are much longer than that, and differ by more.
const TOLERANCE_MS: i64 = 60_000;

impl Rule {
    /// The rule for the command, which is kept for later if it has been queued.
    pub(super) fn of(command: &[Vec<u8>], queued: &mut Vec<Self>, reply: &Reply) -> Self {
        let rule = Self::of_command(command);
        match command[0].to_ascii_uppercase().as_slice() {
            b"EXEC" if reply.kind == b'*' => Self::Each(std::mem::take(queued)),
            b"MULTI" | b"DISCARD" | b"EXEC" if !reply.is_error() || reply.text.starts_with(b"EXECABORT") => {
                queued.clear();
                rule
            }
            _ if reply.text == b"QUEUED" && reply.kind == b'+' => {
                queued.push(rule);
                Self::Exact
            }
            _ => rule,
        }
    }

    fn of_command(command: &[Vec<u8>]) -> Self {
        let word = |at: usize| command.get(at).map_or_else(Vec::new, |word| word.to_ascii_uppercase());
        match word(0).as_slice() {
            b"SMEMBERS" | b"SINTER" | b"SUNION" | b"SDIFF" | b"KEYS" | b"HKEYS" | b"HVALS" => Self::Unordered,
            b"HGETALL" => Self::UnorderedPairs,
            b"TTL" => Self::Time(TOLERANCE_MS / 1000),
            b"PTTL" => Self::Time(TOLERANCE_MS),
            b"CLIENT" if word(1) == b"ID" => Self::Kind,
            b"XINFO" if word(1) == b"STREAM" => Self::Fields(&["radix-tree-keys", "radix-tree-nodes"]),
            // Since version 7.2, consumers are there with their first request; before, with the first that finds
            // something.
            b"XINFO" if word(1) == b"GROUPS" => Self::Fields(&["consumers"]),
            b"XINFO" if word(1) == b"CONSUMERS" => Self::Kind,
            b"XGROUP" if word(1) == b"CREATECONSUMER" => Self::Kind,
            b"XPENDING" if command.len() > 3 => Self::Pending,
            // Only a step over all keys finds the same ones in both.
            b"SCAN" if word(1) == b"0" && command.ends_with(&[b"COUNT".to_vec(), b"1000000".to_vec()]) => Self::Scan,
            b"SPOP" | b"SCAN" => Self::Kind,
            _ => Self::Exact,
        }
    }
}

pub(super) fn same(rule: &Rule, ours: &Reply, theirs: &Reply) -> bool {
    if ours == theirs {
        return true;
    }
    // An error is the same error, by every rule; but what neither has, the store refuses in its own words.
    if ours.kind != theirs.kind || ours.is_error() {
        return [ours, theirs].iter().all(|reply| reply.text.starts_with(b"ERR unknown subcommand '"));
    }
    match rule {
        Rule::Exact => false,
        Rule::Unordered => sorted(&ours.items) == sorted(&theirs.items),
        Rule::UnorderedPairs => pairs(&ours.items) == pairs(&theirs.items),
        Rule::Scan => {
            ours.items[0] == theirs.items[0] && sorted(&ours.items[1].items) == sorted(&theirs.items[1].items)
        }
        Rule::Time(tolerance) => ours
            .number()
            .zip(theirs.number())
            .is_some_and(|(ours, theirs)| ours >= 0 && theirs >= 0 && (ours - theirs).abs() <= *tolerance),
        Rule::Kind => true,
        Rule::Fields(others) => without(others, ours) == without(others, theirs),
        Rule::Pending => {
            let pairs = || ours.items.iter().zip(&theirs.items);
            let same_entry = |(ours, theirs): (&Reply, &Reply)| {
                let is_time = |reply: &Reply| reply.items[2].number() >= Some(0);
                is_time(ours) && is_time(theirs) && [0, 1, 3].iter().all(|at| ours.items[*at] == theirs.items[*at])
            };
            ours.items.len() == theirs.items.len() && pairs().all(same_entry)
        }
        Rule::Each(rules) => {
            let each = rules.iter().zip(&ours.items).zip(&theirs.items);
            let all = [rules.len(), ours.items.len(), theirs.items.len()];
            all.iter().all(|len| *len == all[0])
                && each.into_iter().all(|((rule, ours), theirs)| same(rule, ours, theirs))
        }
    }
}

fn sorted(items: &[Reply]) -> Vec<&Reply> {
    let mut items: Vec<_> = items.iter().collect();
    items.sort();
    items
}

fn pairs(items: &[Reply]) -> Vec<&[Reply]> {
    let mut pairs: Vec<_> = items.chunks(2).collect();
    pairs.sort();
    pairs
}

/// The fields of a map, or of an array of maps, but for these.
fn without(others: &[&str], reply: &Reply) -> Vec<Reply> {
    if reply.items.iter().all(|item| !item.items.is_empty()) {
        return reply.items.iter().flat_map(|map| without(others, map)).collect();
    }
    let is_wanted = |pair: &&[Reply]| !others.contains(&pair[0].text().as_str());
    reply.items.chunks(2).filter(is_wanted).flatten().cloned().collect()
}
