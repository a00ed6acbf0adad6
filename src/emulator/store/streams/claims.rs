//! How a consumer takes over what another one has not acknowledged: `XCLAIM` and `XAUTOCLAIM`.

use super::{Delivery, Group, Id, Stream, in_group, shown};
use crate::emulator::{
    resp::Reply,
    store::{
        args::{Args, Outcome, Problem, SYNTAX},
        data::{Data, Moment, now},
    },
};

/// How many deliveries `XAUTOCLAIM` looks at for each that it may take.
const LOOKS: usize = 10;

/// As many as Redis has room for the ids of.
const MOST: usize = isize::MAX.unsigned_abs() / 16;

const WRONG_COUNT: &str = "ERR COUNT must be > 0";

/// How deliveries go over to another consumer.
struct Claim<'a> {
    consumer: &'a [u8],
    /// For how long the one who has them has done nothing, at least.
    idle: i64,
    now: Moment,
    /// When it counts as delivered.
    at: Moment,
    /// How often it counts as delivered from now on; otherwise once more than before.
    count: Option<i64>,
    ids_alone: bool,
}

impl Claim<'_> {
    fn is_idle(&self, delivery: &Delivery) -> bool {
        self.idle == 0 || self.now - delivery.at >= self.idle
    }

    fn take(&self, id: Id, delivery: &mut Delivery, stream: &Stream) -> Reply {
        delivery.consumer = self.consumer.to_vec();
        delivery.at = self.at;
        let once_more = delivery.count.wrapping_add(i64::from(!self.ids_alone));
        delivery.count = self.count.unwrap_or(once_more);
        match stream.entries.get(&id) {
            Some(fields) if !self.ids_alone => shown(id, fields),
            _ => id.reply(),
        }
    }
}

/// `XCLAIM key group consumer idle id … [IDLE milliseconds] [TIME moment] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID
/// id]`.
pub(in crate::emulator::store) fn xclaim(data: &mut Data, args: Args<'_>) -> Outcome {
    in_group(data, args.at(0), args.at(1), |_, _| ())?;
    let idle = args.integer_or(3, "ERR Invalid min-idle-time argument for XCLAIM")?.max(0);
    let ids: Vec<_> = args.from(4).iter().map_while(|id| Id::parse(id, 0).ok()).collect();
    let now = now();
    let mut claim = Claim { consumer: args.at(2), idle, now, at: now, count: None, ids_alone: false };
    let (force, last_id) = read_options(args.from(4 + ids.len()), &mut claim)?;
    in_group(data, args.at(0), args.at(1), |stream, group| {
        group.last_id = group.last_id.max(last_id);
        group.seen(claim.consumer, now);
        Reply::Array(ids.iter().filter_map(|id| group.claim(stream, *id, &claim, force)).collect())
    })
}

/// Whether entries are claimed that nobody has, and the last id that the group has read at least.
fn read_options(options: Args<'_>, claim: &mut Claim<'_>) -> Result<(bool, Id), Problem> {
    let (mut force, mut last_id) = (false, Id::LEAST);
    let mut at = 0;
    while at < options.len() {
        let option = options.option(at);
        let number = || options.integer_or(at + 1, &format!("ERR Invalid {option} option argument for XCLAIM"));
        let has_argument = at + 1 < options.len();
        at += match option.as_str() {
            "FORCE" => {
                force = true;
                1
            }
            "JUSTID" => {
                claim.ids_alone = true;
                1
            }
            "IDLE" if has_argument => {
                claim.at = claim.now.saturating_sub(number()?);
                2
            }
            "TIME" if has_argument => {
                claim.at = number()?;
                2
            }
            "RETRYCOUNT" if has_argument => {
                claim.count = Some(number()?).filter(|count| *count >= 0);
                2
            }
            "LASTID" if has_argument => {
                last_id = Id::parse(options.at(at + 1), 0)?;
                2
            }
            _ => return Err(Problem::quoting("ERR Unrecognized XCLAIM option '", options.at(at)).and("'")),
        };
    }
    // Nothing was delivered in the future.
    if !(0..=claim.now).contains(&claim.at) {
        claim.at = claim.now;
    }
    Ok((force, last_id))
}

impl Group {
    fn claim(&mut self, stream: &Stream, id: Id, claim: &Claim<'_>, force: bool) -> Option<Reply> {
        if !stream.entries.contains_key(&id) {
            // What has been deleted is nobody's any more.
            self.pending.remove(&id);
            return None;
        }
        if let Some(delivery) = self.pending.get_mut(&id) {
            return claim.is_idle(delivery).then(|| claim.take(id, delivery, stream));
        }
        let mut delivery = Delivery { consumer: Vec::new(), at: claim.now, count: 1 };
        let reply = force.then(|| claim.take(id, &mut delivery, stream))?;
        self.pending.insert(id, delivery);
        Some(reply)
    }
}

/// `XAUTOCLAIM key group consumer idle first [COUNT count] [JUSTID]`.
pub(in crate::emulator::store) fn xautoclaim(data: &mut Data, args: Args<'_>) -> Outcome {
    let idle = args.integer_or(3, "ERR Invalid min-idle-time argument for XAUTOCLAIM")?.max(0);
    let first = Id::parse_start(args.at(4))?;
    let now = now();
    let mut claim = Claim { consumer: args.at(2), idle, now, at: now, count: None, ids_alone: false };
    let (mut most, mut at) = (100, 5);
    while at < args.len() {
        match args.option(at).as_str() {
            "COUNT" if at + 1 < args.len() => {
                at += 1;
                let count = args.positive(at, WRONG_COUNT)?;
                most = Some(count).filter(|count| *count <= MOST).ok_or(WRONG_COUNT)?;
            }
            "JUSTID" => claim.ids_alone = true,
            _ => return Err(SYNTAX.into()),
        }
        at += 1;
    }
    in_group(data, args.at(0), args.at(1), |stream, group| {
        group.seen(claim.consumer, now);
        group.claim_idle(stream, first, most, &claim)
    })
}

impl Group {
    fn claim_idle(&mut self, stream: &Stream, first: Id, most: usize, claim: &Claim<'_>) -> Reply {
        let (mut claimed, mut deleted) = (Vec::new(), Vec::new());
        let mut ahead = self.pending.range_mut(first..);
        let mut looks = most.saturating_mul(LOOKS);
        let mut next = None;
        for (id, delivery) in ahead.by_ref() {
            if looks == 0 || claimed.len() + deleted.len() == most {
                next = Some(*id);
                break;
            }
            looks -= 1;
            if !stream.entries.contains_key(id) {
                deleted.push(*id);
            } else if claim.is_idle(delivery) {
                claimed.push(claim.take(*id, delivery, stream));
            }
        }
        for id in &deleted {
            self.pending.remove(id);
        }
        let deleted = deleted.into_iter().map(Id::reply).collect();
        Reply::Array(vec![next.unwrap_or_default().reply(), Reply::Array(claimed), Reply::Array(deleted)])
    }
}
