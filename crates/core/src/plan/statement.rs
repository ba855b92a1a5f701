//! The quota ledger as people see it: what each account has, will need, and could give back.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::fleet::{Desired, Held, Observed, ObservedDevice};
use crate::name::{AccountName, Serial, SlotId};
use crate::plan::Reason;
use crate::plan::check::{Case, Judged, judge_all};
use crate::plan::pace::{SILENT_AFTER, needs_certificate, urgency};
use crate::plan::quota::{Bound, Ledger, Wish, is_alive};
use crate::policy::{Counting, Quota};
use crate::time::{DAY, Timestamp};

/// A bound is tight from this many hundredths of its limit on.
pub const TIGHT_FROM_PERCENT: u64 = 80;

/// A certificate that was not proven after so long never will be by itself.
const UNPROVEN_AFTER: Duration = DAY;

/// Where one account stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Each of its bounds.
    pub bounds: Vec<Standing>,
    /// Slots that are wanted under it and find no place, in the order in which they would be issued.
    pub short: Vec<Short>,
    /// Certificates whose revocation would free a place, the most useless first.
    pub spares: Vec<Spare>,
}

/// Where one bound stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The bound.
    pub quota: Quota,
    /// Places that are taken: by what was issued, and by open orders.
    pub used: u32,
    /// Places that what policy asks for already will need: slots without a certificate, and for a rolling bound every replacement that
    /// falls due within its span.
    pub reserved: u32,
    /// How close it is to its limit, reservations included.
    pub pressure: Pressure,
    /// When there is no place left for one more, as far as can be foreseen. For a rolling bound within its span.
    pub exhausted_at: Option<Timestamp>,
}

/// How close a bound is to its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// There is room.
    Ample,
    /// From [`TIGHT_FROM_PERCENT`] on.
    Tight,
    /// Everything is taken or spoken for.
    Full,
    /// More is asked for than there is.
    Short,
}

/// A slot that finds no place under its account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Short {
    /// The slot.
    pub slot: SlotId,
    /// The bound that says no.
    pub quota: Quota,
    /// The number that its certificate would have under that bound.
    pub number: u32,
    /// When there will be room, if time alone makes some.
    pub until: Option<Timestamp>,
}

/// A certificate whose revocation would free a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spare {
    /// Where it is, or was.
    pub slot: SlotId,
    /// The certificate.
    pub serial: Serial,
    /// Why it could go.
    pub because: Useless,
    /// Since when that is so, as far as it is known: what has been useless longest comes first.
    pub since: Option<Timestamp>,
}

/// Why a certificate could go. Ordered by how little it would be missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Useless {
    /// It is gone from its device and was never revoked.
    Gone,
    /// It has expired, and its issuer still counts it.
    Expired,
    /// A newer one in the same slot works.
    Duplicate,
    /// Policy does not want its slot any more.
    NotInPolicy,
    /// Its device's identity was revoked.
    DeviceRevoked,
    /// It was never proven. Its slot is still wanted: take its device out of policy, or it is issued anew.
    NeverProven,
    /// Its device has not been heard for a day or longer. Its slot is still wanted too.
    SilentDevice,
}

impl Useless {
    /// Every reason, the least missed first.
    pub const ALL: [Self; 7] =
        [Self::Gone, Self::Expired, Self::Duplicate, Self::NotInPolicy, Self::DeviceRevoked, Self::NeverProven, Self::SilentDevice];
}

/// The statement of every account that has a quota.
pub fn statements(desired: &Desired, observed: &Observed, now: Timestamp) -> BTreeMap<AccountName, Statement> {
    let judged = judge_all(desired, observed, now);
    let mut ledger = Ledger::open(desired, observed, now);
    for Judged { case, .. } in &judged {
        ledger.count(case, case.wanted.is_some() && case.device.is_none_or(|device| !device.revoked));
    }
    ledger.reserve(&judged);
    let wishes = wishes(&judged);
    let mut statements: BTreeMap<AccountName, Statement> = BTreeMap::new();
    for name in desired.quotas.keys() {
        let bounds = standings(&ledger, name, &wishes, now);
        let spares = spares(name, &desired.quotas[name], observed, &judged, now);
        statements.insert(name.clone(), Statement { bounds, short: Vec::new(), spares });
    }
    for Wanting { case, wish } in wishes {
        let Some(name) = case.wanted.and_then(|wanted| wanted.account.as_ref()) else { continue };
        match ledger.obstacle(case, wish) {
            None => ledger.take_for(case, Some(name), wish),
            Some(wait) => {
                let refusing = ledger.refusing(case, wish);
                let short = refusing.map(|(quota, number)| Short { slot: case.slot.clone(), quota, number, until: wait.until });
                statements.entry(name.clone()).and_modify(|statement| number(&mut statement.short, short));
            }
        }
    }
    for statement in statements.values_mut() {
        for short in &statement.short {
            statement.bounds.iter_mut().filter(|bound| bound.quota == short.quota).for_each(|bound| bound.pressure = Pressure::Short);
        }
    }
    statements
}

/// Adds one that finds no place, numbered after those before it under the same bound.
fn number(list: &mut Vec<Short>, short: Option<Short>) {
    let Some(mut short) = short else { return };
    let before = list.iter().filter(|other| other.quota == short.quota).count();
    short.number = short.number.saturating_add(u32::try_from(before).unwrap_or(u32::MAX));
    list.push(short);
}

/// A slot that wants a certificate, now or as soon as its device has enrolled.
struct Wanting<'a, 'b> {
    case: &'b Case<'a>,
    wish: Wish,
}

fn wishes<'a, 'b>(judged: &'b [Judged<'a>]) -> Vec<Wanting<'a, 'b>> {
    let is_wanting = |case: &Case<'_>, reason: Reason| {
        let will_be_ordered = reason == Reason::NotEnrolled && case.seen.order.is_none() && case.newest().is_none();
        needs_certificate(case, reason) || will_be_ordered
    };
    let wanting = judged.iter().filter_map(|judged| Some((judged.reason?, &judged.case)));
    let mut wanting: Vec<_> = wanting.filter(|(reason, case)| is_wanting(case, *reason)).collect();
    wanting.sort_by_key(|(reason, case)| (*reason == Reason::NotEnrolled, urgency(case, *reason)));
    wanting.into_iter().map(|(reason, case)| Wanting { case, wish: Wish::of(case, reason) }).collect()
}

fn standings(ledger: &Ledger<'_>, name: &AccountName, wishes: &[Wanting<'_, '_>], now: Timestamp) -> Vec<Standing> {
    let Some(account) = ledger.of(name) else { return Vec::new() };
    let own = |wanting: &&Wanting<'_, '_>| wanting.case.wanted.is_some_and(|wanted| wanted.account.as_ref() == Some(name));
    let others: Vec<&Wanting<'_, '_>> = wishes.iter().filter(own).filter(|wanting| wanting.wish != Wish::Due).collect();
    let standing = |(index, bound): (usize, &Bound)| {
        let firsts: i64 = others.iter().map(|wanting| bound.needs(wanting.case, Some(name), now)).sum();
        let to_come = bound.quota.per.map_or(0, |span| {
            let end = now.after(span);
            account.demands.iter().filter(|demand| demand.from < end).count() as i64
        });
        let (used, reserved) = (clamp(bound.used), clamp(bound.pending + firsts + to_come));
        let exhausted_at = match bound.quota.per {
            None => (u64::from(used) + u64::from(reserved) >= u64::from(bound.quota.certificates)).then_some(now),
            Some(span) => account.foresight(now).exhausted_at(index, clamp(firsts), span),
        };
        Standing { quota: bound.quota, used, reserved, pressure: pressure(bound.quota, used, reserved), exhausted_at }
    };
    account.bounds.iter().enumerate().map(standing).collect()
}

fn clamp(count: i64) -> u32 {
    u32::try_from(count.max(0)).unwrap_or(u32::MAX)
}

fn pressure(quota: Quota, used: u32, reserved: u32) -> Pressure {
    let (taken, limit) = (u64::from(used) + u64::from(reserved), u64::from(quota.certificates));
    if taken >= limit {
        Pressure::Full
    } else if taken * 100 >= limit * TIGHT_FROM_PERCENT {
        Pressure::Tight
    } else {
        Pressure::Ample
    }
}

/// Certificates of one account that could go, the most useless first.
fn spares(name: &AccountName, quotas: &[Quota], observed: &Observed, judged: &[Judged<'_>], now: Timestamp) -> Vec<Spare> {
    let counts_the_dead = quotas.iter().any(|quota| quota.counting == Counting::Unrevoked && quota.per.is_some());
    let counts_anything = quotas.iter().any(|quota| quota.per.is_none()) || counts_the_dead;
    if !counts_anything {
        // Only time frees a place of an issuer that counts what was revoked too.
        return Vec::new();
    }
    let mut spares = Vec::new();
    if counts_the_dead {
        let loose = observed.accounts.get(name).into_iter().flat_map(|account| &account.loose);
        spares.extend(loose.map(|loose| Spare { slot: loose.slot.clone(), serial: loose.serial, because: Useless::Gone, since: None }));
    }
    for Judged { case, .. } in judged {
        let own = case.seen.certificates.iter().filter(|held| held.account.as_ref() == Some(name) && !held.revoked);
        let counted = own.filter(|held| counts_the_dead || is_alive(held, now));
        spares.extend(counted.filter_map(|held| {
            let (because, since) = useless(case, held)?;
            Some(Spare { slot: case.slot.clone(), serial: held.serial, because, since })
        }));
    }
    spares.sort_by(|one, other| {
        (one.because, one.since, &one.slot, one.serial).cmp(&(other.because, other.since, &other.slot, other.serial))
    });
    spares
}

fn useless(case: &Case<'_>, held: &Held) -> Option<(Useless, Option<Timestamp>)> {
    let heard = |device: &ObservedDevice| device.last_seen;
    let is_silent = |device: &&ObservedDevice| case.now.since(device.last_seen) > SILENT_AFTER;
    let works = held.is_valid_proof(case.now);
    let is_old = case.now.since(held.not_before) > UNPROVEN_AFTER;
    if held.is_expired(case.now) {
        Some((Useless::Expired, Some(held.not_after)))
    } else if case.leftovers().any(|leftover| leftover.serial == held.serial) {
        Some((Useless::Duplicate, Some(held.not_before)))
    } else if case.wanted.is_none() {
        Some((Useless::NotInPolicy, case.device.map(heard)))
    } else if case.device.is_some_and(|device| device.revoked) {
        Some((Useless::DeviceRevoked, case.device.map(heard)))
    } else if !works && is_old {
        Some((Useless::NeverProven, Some(held.not_before)))
    } else {
        case.device.filter(is_silent).map(|device| (Useless::SilentDevice, Some(device.last_seen)))
    }
}

#[cfg(test)]
mod tests;
