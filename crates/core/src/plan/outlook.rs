//! What lies ahead of each certificate: when it is replaced, and whether its clinic is closed when it expires.

use std::collections::BTreeMap;

use crate::calendar::Closing;
use crate::fleet::{Desired, Observed};
use crate::name::{Serial, SlotId};
use crate::plan::Backups;
use crate::plan::check::{Case, judge_all};
use crate::time::Timestamp;

/// What lies ahead of the newest certificate of one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlook {
    /// The certificate.
    pub serial: Serial,
    /// Last moment of validity.
    pub not_after: Timestamp,
    /// When it is replaced: from this moment on.
    pub due: Timestamp,
    /// From when on it is replaced without regard to others.
    pub last_call: Timestamp,
    /// Set if it expires on a day on which its clinic is closed.
    pub closing: Option<Closing>,
    /// On how many open days its replacement can be tried, from when it is due, or from now, to the last open day before it expires.
    pub attempts: u32,
    /// In how many targets a backup of its file is; all zero if there is no file, or policy wants none.
    pub backups: Backups,
}

/// What lies ahead of every slot that is wanted and has a certificate that still lives.
pub fn outlooks(desired: &Desired, observed: &Observed, now: Timestamp) -> BTreeMap<SlotId, Outlook> {
    let judged = judge_all(desired, observed, now);
    let of = |case: &Case<'_>| {
        let (newest, turn) = (case.newest().filter(|newest| !newest.revoked && !newest.is_expired(now))?, case.turn?);
        let closing = desired.hours.closing_at(newest.not_after);
        let last_chance = closing.map_or(newest.not_after, |closing| closing.last_moment);
        Some(Outlook {
            serial: newest.serial,
            not_after: newest.not_after,
            due: turn.due,
            last_call: turn.last_call,
            closing,
            attempts: desired.hours.open_days_between(turn.due.max(now), last_chance),
            backups: case.backups(),
        })
    };
    judged.iter().filter_map(|judged| Some((judged.case.slot.clone(), of(&judged.case)?))).collect()
}
