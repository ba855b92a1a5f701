//! Installer files: which are removed, which are knowingly left, and why.

use std::collections::BTreeSet;

use crate::fleet::{Desired, Observed, ObservedDevice};
use crate::name::DeviceId;
use crate::plan::check::{Case, Judged};
use crate::plan::{Action, Keeping};
use crate::policy::RemoveInstallers;
use crate::time::Timestamp;

/// What is done about every known installer file on the clinic's own devices, where policy wants them removed: first what goes.
pub(super) fn decide(desired: &Desired, observed: &Observed, judged: &[Judged<'_>], now: Timestamp) -> Vec<Action> {
    let Some(rule) = desired.installers.as_ref().filter(|rule| rule.remove == RemoveInstallers::AfterProof) else { return Vec::new() };
    if hearing(observed).all(|(_, device)| device.installers.is_empty()) {
        return Vec::new();
    }
    let safe = safe_devices(judged);
    let (mut removed, mut kept) = (Vec::new(), Vec::new());
    for (id, device) in hearing(observed) {
        for file in &device.installers {
            let keep = |because, until| Action::KeepInstaller { device: id.clone(), sha256: *file, because, until };
            match rule.exempt_until(&id.device, file, now) {
                Some(until) => kept.push(keep(Keeping::Exempt, Some(until))),
                None if device.removing.contains(file) => {}
                None if safe.contains(id) => removed.push(Action::RemoveInstaller { device: id.clone(), sha256: *file }),
                None => kept.push(keep(Keeping::NotSafe, None)),
            }
        }
    }
    removed.append(&mut kept);
    removed
}

fn hearing(observed: &Observed) -> impl Iterator<Item = (&DeviceId, &ObservedDevice)> {
    observed.devices.iter().filter(|(_, device)| !device.revoked)
}

/// The clinic's own devices that have slots, and whose newest certificate works in each and is where policy wants backups.
fn safe_devices<'a>(judged: &[Judged<'a>]) -> BTreeSet<&'a DeviceId> {
    let own = judged.iter().map(|judged| &judged.case).filter(|case| case.wanted.is_some() && case.slot.device.clinic == case.slot.clinic);
    let is_safe = |case: &&Case<'_>| case.newest().is_some_and(|newest| newest.is_valid_proof(case.now)) && case.backups().is_enough();
    let (safe, unsafe_yet): (Vec<_>, Vec<_>) = own.partition(is_safe);
    let unsafe_yet: BTreeSet<_> = unsafe_yet.into_iter().map(|case| &case.slot.device).collect();
    safe.into_iter().map(|case| &case.slot.device).filter(|device| !unsafe_yet.contains(device)).collect()
}
