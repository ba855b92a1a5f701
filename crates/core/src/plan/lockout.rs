//! Who could no longer sign in tomorrow: asked before a change of policy is applied.

use std::collections::BTreeSet;

use crate::fleet::{Desired, Observed};
use crate::name::{DeviceId, SlotId};
use crate::plan::check::judge_all;
use crate::time::{DAY, Timestamp};

/// The devices that can sign in to a system of this clinic now, and could not within a day, were `after` applied instead of `before`.
///
/// A device counts once, however many of its slots are lost, and also if others of its slots still work: the chart is no comfort to who
/// has to read the insurance card. What would be lost under `before` too, such as by expiry, does not count; nor does a certificate that
/// is replaced, for it stays until its successor is proven.
pub fn locked_out(before: &Desired, after: &Desired, observed: &Observed, now: Timestamp) -> BTreeSet<DeviceId> {
    let kept = working_tomorrow(after, observed, now);
    working_tomorrow(before, observed, now).difference(&kept).map(|slot| slot.device.clone()).collect()
}

/// The slots with a certificate that works now, that a plan for `desired` leaves in place, and that is valid in a day.
pub(super) fn working_tomorrow<'a>(desired: &'a Desired, observed: &'a Observed, now: Timestamp) -> BTreeSet<&'a SlotId> {
    let tomorrow = now.after(DAY);
    let cases = judge_all(desired, observed, now).into_iter().map(|judged| judged.case);
    let cases = cases.filter(|case| case.wanted.is_some() && case.device.is_none_or(|device| !device.revoked));
    let working = cases.filter(|case| case.stays().any(|held| held.is_valid_proof(now) && held.is_valid_proof(tomorrow)));
    working.map(|case| case.slot).collect()
}
