//! Installer files: which are removed, which are knowingly left, and why.

use std::collections::{BTreeMap, BTreeSet};

use crate::fleet::{Desired, Held, KnownFrom, Observed, ObservedDevice};
use crate::name::{DeviceId, Sha256, SlotId};
use crate::plan::check::{Case, Judged};
use crate::plan::{Action, Keeping};
use crate::policy::{KeyOrigin, OnUnknown, RemoveInstallers};
use crate::time::Timestamp;

/// What is done about every installer file on the clinic's own devices, where policy wants them removed, or out of the way: first what goes.
pub(super) fn decide(desired: &Desired, observed: &Observed, judged: &[Judged<'_>], now: Timestamp) -> Vec<Action> {
    let Some(rule) = desired.installers.as_ref() else { return Vec::new() };
    let (removes, moves) = (rule.remove == RemoveInstallers::AfterProof, rule.on_unknown == OnUnknown::Quarantine);
    let is_nothing = |device: &ObservedDevice| {
        (!removes || device.installers.is_empty() && device.recognized.is_empty()) && (!moves || device.unknown.is_empty())
    };
    if hearing(observed).all(|(_, device)| is_nothing(device)) {
        return Vec::new();
    }
    let clinic = Clinic::of(judged);
    let (mut going, mut kept) = (Vec::new(), Vec::new());
    for (id, device) in hearing(observed) {
        let known: BTreeSet<&Sha256> = device.installers.iter().chain(device.recognized.keys()).collect();
        let known = known.into_iter().filter(|_| removes).map(|file| File {
            sha256: file,
            is_ordered: device.removing.contains(file),
            keeping: clinic.keeps(id, device, file),
            action: Action::RemoveInstaller { device: id.clone(), sha256: *file },
        });
        let unknown = device.unknown.iter().filter(|_| moves).map(|file| File {
            sha256: file,
            is_ordered: device.quarantining.contains(file),
            keeping: clinic.leaves(id),
            action: Action::QuarantineInstaller { device: id.clone(), sha256: *file },
        });
        for file in known.chain(unknown) {
            let keep = |because, until| Action::KeepInstaller { device: id.clone(), sha256: *file.sha256, because, until };
            match (rule.exempt_until(&id.device, file.sha256, now), file.keeping) {
                (Some(until), _) => kept.push(keep(Keeping::Exempt, Some(until))),
                (None, _) if file.is_ordered => {}
                (None, Some(because)) => kept.push(keep(because, None)),
                (None, None) => going.push(file.action),
            }
        }
    }
    going.append(&mut kept);
    going
}

/// A file, what would be done about it, and what speaks against that.
struct File<'a> {
    sha256: &'a Sha256,
    /// True if that was ordered before.
    is_ordered: bool,
    keeping: Option<Keeping>,
    action: Action,
}

fn hearing(observed: &Observed) -> impl Iterator<Item = (&DeviceId, &ObservedDevice)> {
    observed.devices.iter().filter(|(_, device)| !device.revoked)
}

/// What the clinic's slots say about files.
struct Clinic<'a> {
    cases: BTreeMap<&'a SlotId, &'a Case<'a>>,
    safe: BTreeSet<&'a DeviceId>,
}

impl<'a> Clinic<'a> {
    fn of(judged: &'a [Judged<'a>]) -> Self {
        let wanted = judged.iter().map(|judged| &judged.case).filter(|case| case.wanted.is_some());
        Self { cases: wanted.map(|case| (case.slot, case)).collect(), safe: safe_devices(judged) }
    }

    /// Why a file stays for now; nothing if it goes.
    fn keeps(&self, id: &DeviceId, device: &ObservedDevice, file: &Sha256) -> Option<Keeping> {
        if !self.safe.contains(id) {
            return Some(Keeping::NotSafe);
        }
        if device.installers.contains(file) {
            return None;
        }
        // A file that nobody has put on record may be the only one of its kind: each key in it has to be accounted for.
        let certificates = device.recognized.get(file).map(Vec::as_slice).unwrap_or_default();
        let is_needed = |known: &Vec<KnownFrom>| !known.iter().any(|known| self.is_spent(id, known));
        let is_elsewhere = |known: &Vec<KnownFrom>| known.iter().all(|known| known.slot.clinic != id.clinic);
        if certificates.iter().any(is_elsewhere) {
            return Some(Keeping::OtherClinic);
        }
        (certificates.is_empty() || certificates.iter().any(is_needed)).then_some(Keeping::Needed)
    }

    /// Why files that nobody has put on record are left alone for now; nothing if they are moved.
    fn leaves(&self, id: &DeviceId) -> Option<Keeping> {
        let awaits = |case: &&Case<'_>| case.slot.device == *id && case.seen.order.is_some() && case.waits_for_person();
        match self.cases.values().copied().find(awaits) {
            Some(_) => Some(Keeping::Awaited),
            None => (!self.safe.contains(id)).then_some(Keeping::NotSafe),
        }
    }

    /// True if a slot of this clinic proves that nobody needs this certificate's file any more: it works in that slot and is where policy
    /// wants backups, or it has worked there and what works now lives longer. A file may have been brought for another slot: none on the
    /// device that it could be for has something older.
    fn is_spent(&self, device: &DeviceId, known: &KnownFrom) -> bool {
        let Some(case) = self.cases.get(&known.slot).filter(|case| is_safe(case)) else { return false };
        let Some(newest) = case.newest() else { return false };
        let is_it = newest.fingerprint == known.fingerprint;
        let is_over = known.proven && known.not_before <= newest.not_before && known.not_after <= newest.not_after;
        let is_older = |newest: &Held| newest.fingerprint != known.fingerprint && newest.not_after < known.not_after;
        let mut beside = self.cases.values().filter(|case| case.slot.device == *device && case.slot.profile == known.slot.profile);
        (is_it && has_a_copy(case, newest) || !is_it && is_over) && !beside.any(|case| case.newest().is_none_or(is_older))
    }
}

/// Where policy wants backups of what a vendor made, there has to be one: a certificate that was found on the device has none.
fn has_a_copy(case: &Case<'_>, newest: &Held) -> bool {
    let wants_one = newest.template.key == KeyOrigin::Vendor && case.wanted.is_some_and(|wanted| !wanted.backups.is_empty());
    !wants_one || newest.backed_up.is_some()
}

/// True if the newest certificate works and is where policy wants backups.
fn is_safe(case: &Case<'_>) -> bool {
    case.newest().is_some_and(|newest| newest.is_valid_proof(case.now)) && case.backups().is_enough()
}

/// The clinic's own devices that have slots, and whose newest certificate works in each and is where policy wants backups.
fn safe_devices<'a>(judged: &'a [Judged<'a>]) -> BTreeSet<&'a DeviceId> {
    let own = judged.iter().map(|judged| &judged.case).filter(|case| case.wanted.is_some() && case.slot.device.clinic == case.slot.clinic);
    let (safe, unsafe_yet): (Vec<_>, Vec<_>) = own.partition(|case| is_safe(case));
    let unsafe_yet: BTreeSet<_> = unsafe_yet.into_iter().map(|case| &case.slot.device).collect();
    safe.into_iter().map(|case| &case.slot.device).filter(|device| !unsafe_yet.contains(device)).collect()
}
