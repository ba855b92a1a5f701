//! What will be wanted of an account, and whether its rolling quotas will have room for it then.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::fleet::DesiredSlot;
use crate::name::SlotId;
use crate::plan::check::Case;
use crate::plan::quota::Bound;
use crate::time::Timestamp;

/// One replacement that will be wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Demand<'a> {
    pub slot: &'a SlotId,
    /// When it falls due.
    pub from: Timestamp,
    /// Its last call: later, the old certificate may expire first.
    pub until: Timestamp,
    /// How long after a replacement the next one is wanted, at the earliest.
    pub cycle: Duration,
}

impl<'a> Demand<'a> {
    /// What a slot that has or awaits a certificate will want; its own due date and renewal rule say when.
    pub fn of(case: &Case<'a>) -> Option<Self> {
        let (wanted, turn) = (case.wanted?, case.turn?);
        let is_gone = case.seen.order.is_some() || case.newest().is_none_or(|newest| newest.revoked);
        (!is_gone).then_some(Self { slot: case.slot, from: turn.due, until: turn.last_call, cycle: cycle(wanted) })
    }
}

/// How long after it was issued a certificate is replaced at the earliest. Never before a third of its life is over.
pub(super) fn cycle(wanted: &DesiredSlot) -> Duration {
    let life = wanted.template.validity.as_secs();
    Duration::from_secs((life - wanted.renewal.window.as_secs().min(life / 3 * 2)).max(1))
}

/// The rolling quotas of one account at one moment, and what will be wanted of them.
pub(super) struct Rolling<'a> {
    pub bounds: &'a [Bound],
    /// By when they fall due.
    pub demands: &'a [Demand<'a>],
    /// The earliest of their last calls.
    pub first_call: Option<Timestamp>,
    pub now: Timestamp,
}

const SECOND: Duration = Duration::from_secs(1);

/// Whether one more certificate now leaves a place for every replacement to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Foresight {
    /// Whenever it is issued: nobody else will want any.
    Always,
    /// If it is issued before this moment.
    Until(Timestamp),
    /// However long one waits: only replacements that have been made can change that.
    Never,
}

impl Rolling<'_> {
    /// Lets one more certificate be issued now, then every replacement in the order in which they fall due.
    pub fn admits(&self) -> Foresight {
        let rolling = |bound: &&Bound| bound.quota.per.is_some();
        let is_ample = |bound: &Bound| bound.used + bound.pending + 1 + self.demands.len() as i64 <= bound.limit();
        let Some(first_call) = self.first_call else { return Foresight::Always };
        if self.bounds.iter().filter(rolling).all(is_ample) {
            return if first_call < self.now { Foresight::Never } else { Foresight::Until(first_call.after(SECOND)) };
        }
        let mut spans: Vec<Span> = self.bounds.iter().filter_map(Span::of).collect();
        spans.iter_mut().for_each(|span| span.spend(span.waiting + 1, self.now));
        let mut slack = Duration::MAX;
        for demand in self.demands {
            let Some(at) = place(&mut spans, demand.from.max(self.now)).filter(|at| *at <= demand.until) else { return Foresight::Never };
            slack = slack.min(demand.until.since(at));
        }
        Foresight::Until(self.now.after(slack).after(SECOND))
    }

    /// When the first of these bounds is full, if everything that is wanted is issued as soon as it is wanted and there is room:
    /// `now` if it is full now, `None` if that does not happen within `horizon`.
    pub fn exhausted_at(&self, bound: usize, firsts: u32, horizon: Duration) -> Option<Timestamp> {
        let mut spans: Vec<Span> = self.bounds.iter().filter_map(Span::of).collect();
        let mine = self.bounds[..bound].iter().filter(|bound| bound.quota.per.is_some()).count();
        spans.iter_mut().for_each(|span| span.spend(span.waiting + u64::from(firsts), self.now));
        if spans.get(mine)?.is_full(self.now) {
            return Some(self.now);
        }
        let end = self.now.after(horizon);
        let mut queue: BinaryHeap<_> = self.demands.iter().map(|demand| Reverse((demand.from.max(self.now), demand.cycle))).collect();
        while let Some(Reverse((from, cycle))) = queue.pop().filter(|Reverse((from, _))| *from <= end) {
            let at = place(&mut spans, from)?;
            if spans[mine].is_full(at) {
                return Some(at);
            }
            queue.push(Reverse((at.after(cycle), cycle)));
        }
        None
    }
}

/// A rolling bound while it is thought ahead.
struct Span {
    limit: usize,
    length: Duration,
    /// What waits for a place right now.
    waiting: u64,
    /// When something was or will be issued, oldest first.
    issued: Vec<Timestamp>,
}

impl Span {
    fn of(bound: &Bound) -> Option<Self> {
        let length = bound.quota.per?;
        let waiting = (bound.used - bound.history.len() as i64).max(0) + bound.pending.max(0);
        Some(Self { limit: bound.quota.certificates as usize, length, waiting: waiting.unsigned_abs(), issued: bound.history.clone() })
    }

    fn spend(&mut self, count: u64, now: Timestamp) {
        self.issued.extend((0..count).map(|_| now));
    }

    /// From when on it has room for one more; `None` if it never has.
    fn opens(&self) -> Option<Timestamp> {
        if self.limit == 0 {
            return None;
        }
        Some(match self.issued.len().checked_sub(self.limit) {
            Some(index) => self.issued[index].after(self.length),
            None => Timestamp::from_unix(i64::MIN),
        })
    }

    fn is_full(&self, at: Timestamp) -> bool {
        self.opens().is_none_or(|opens| opens > at)
    }
}

/// Issues one more as soon as all have room, and not before `from`.
fn place(spans: &mut [Span], from: Timestamp) -> Option<Timestamp> {
    let at = spans.iter().map(Span::opens).try_fold(from, |at, opens| Some(at.max(opens?)))?;
    spans.iter_mut().for_each(|span| span.issued.push(at));
    Some(at)
}
