//! What became of installer files, device by device: for people who have to show that none was left behind.

use std::collections::{BTreeMap, BTreeSet};

use tegata_api::v1::device::SuspectKind;
use tegata_api::v1::fleet::{HeldKey, Installer, InstallerState};
use tegata_core::fleet::KnownFrom;
use tegata_core::name::{ClinicName, DeviceId, Sha256, TenantName};
use tegata_core::policy::{InstallerRule, OnUnknown};
use tegata_core::time::Timestamp;

use crate::audit::Ledger;
use crate::fleet::{self, View};
use crate::store::DeviceRow;
use crate::store::installers::{Recognized, Tombstone};
use crate::turn::TurnError;

pub(crate) mod recognize;

/// Every installer file that lies, or lay, on the devices of these clinics, by device.
pub async fn list(ledger: &Ledger, tenant: &TenantName, clinic: Option<&ClinicName>, now: Timestamp) -> Result<Vec<Installer>, TurnError> {
    let views = fleet::views(ledger, tenant, &fleet::names(ledger, tenant, clinic).await?, now).await?;
    Ok(views.iter().flat_map(|view| of_clinic(view, now)).collect())
}

/// As [`list`], of a clinic that was read.
pub(crate) fn of_clinic(view: &View, now: Timestamp) -> Vec<Installer> {
    let rule = view.scene.policy.clinics.get(&view.name).map(|clinic| &clinic.installers);
    let own = view.scene.snapshot.devices.values().filter(|row| row.device.clinic == view.name && row.revoked_at.is_none());
    let own: Vec<&DeviceRow> = own.collect();
    let absent = absent(&own)
        .into_iter()
        .map(|folder| Installer { device: format!("{}/*", view.name), ..nothing(InstallerState::NotThere, folder) });
    own.iter().flat_map(|row| of_device(view, rule, row, now)).chain(absent).collect()
}

/// The folders of policy's that are on no device. Not every PC has each; what none has is likely misspelt.
fn absent<'a>(devices: &[&'a DeviceRow]) -> BTreeSet<&'a String> {
    let mut told = devices.iter().filter(|row| row.report.clock != 0).map(|row| row.report.absent.iter().collect::<BTreeSet<_>>());
    let first = told.next().unwrap_or_default();
    told.fold(first, |all, one| &all & &one)
}

fn of_device(view: &View, rule: Option<&InstallerRule>, row: &DeviceRow, now: Timestamp) -> Vec<Installer> {
    let snapshot = &view.scene.snapshot;
    let known: BTreeMap<&str, bool> = of(&row.device, &snapshot.installers).collect();
    let buried: BTreeMap<&str, &Tombstone> = snapshot
        .tombstones
        .iter()
        .filter(|tombstone| tombstone.device == row.device)
        .map(|tombstone| (&tombstone.file.sha256[..], tombstone))
        .collect();
    let recognized: BTreeMap<&str, &Recognized> =
        snapshot.recognized.iter().filter(|file| file.device == row.device).map(|file| (&file.file.sha256[..], file)).collect();
    let mut there: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for seen in &row.report.installers {
        there.entry(&seen.file.sha256).or_default().push(seen.path.clone());
    }
    // A copy that still lies about says more than one that was moved.
    let lies_about: BTreeSet<&str> =
        row.report.installers.iter().filter(|seen| !seen.quarantined).map(|seen| &seen.file.sha256[..]).collect();
    let moved: BTreeSet<&str> = there.keys().copied().filter(|sha256| !lies_about.contains(sha256)).collect();
    let gone = buried.iter().filter(|(sha256, _)| !there.contains_key(*sha256));
    let gone = gone.map(|(sha256, tombstone)| told(row, sha256, InstallerState::Removed, vec![tombstone.path.clone()], Some(tombstone)));
    let nameless = |state, path: &str| Installer { device: row.device.to_string(), ..nothing(state, path) };
    let unread = row.report.unread.iter().map(|place| nameless(InstallerState::NotLookedAt, place));
    let suspects = row.report.suspects.iter().map(|suspect| nameless(suspected(suspect.kind), &suspect.path));
    let present = there.iter().map(|(sha256, paths)| {
        let spared = rule.zip(sha256.parse().ok()).and_then(|(rule, sha256)| rule.exempt_until(&row.device.device, &sha256, now));
        let by_certificate = recognized.get(sha256).copied();
        let removing = known.get(sha256).copied().or(by_certificate.map(|file| file.removing));
        let quarantined = moved.contains(sha256);
        let on_unknown = rule.map(|rule| rule.on_unknown).unwrap_or_default();
        let restored = || sha256.parse().is_ok_and(|file| snapshot.restored.contains(&(row.device.clone(), file)));
        let state = match (removing, spared) {
            (None | Some(false), _) if quarantined => InstallerState::Quarantined,
            (None, _) if on_unknown == OnUnknown::Quarantine && restored() => InstallerState::Restored,
            (None, _) if on_unknown != OnUnknown::Ignore => InstallerState::Asked,
            (None, _) => InstallerState::Unknown,
            (Some(_), Some(_)) => InstallerState::Exempt,
            (Some(true), None) => InstallerState::Removing,
            (Some(false), None) => by_certificate.map_or(InstallerState::Present, recognized_as),
        };
        let exempt_until = spared.filter(|_| state == InstallerState::Exempt).map(Timestamp::unix);
        let certificates = by_certificate.map(|file| file.certificates.iter().map(|of| holding(file, of)).collect()).unwrap_or_default();
        Installer { exempt_until, certificates, ..told(row, sha256, state, paths.clone(), buried.get(sha256).copied()) }
    });
    present.chain(gone).chain(suspects).chain(unread).collect()
}

/// What is no file that anybody reads.
fn nothing(state: InstallerState, path: &str) -> Installer {
    Installer {
        device: String::new(),
        sha256: None,
        state,
        paths: vec![path.to_owned()],
        removed_at: None,
        returns: 0,
        returned_at: None,
        exempt_until: None,
        certificates: vec![],
    }
}

/// A file with a key that only another clinic has on record is told and stays.
fn recognized_as(file: &Recognized) -> InstallerState {
    let is_ours = |(_, known): &(Sha256, Vec<KnownFrom>)| known.iter().any(|known| known.slot.clinic == file.device.clinic);
    if file.certificates.iter().all(is_ours) { InstallerState::Recognized } else { InstallerState::OtherClinic }
}

/// What another clinic has in which slot is not this one's business.
fn holding(file: &Recognized, (fingerprint, known): &(Sha256, Vec<KnownFrom>)) -> HeldKey {
    let own = known.iter().filter(|known| known.slot.clinic == file.device.clinic);
    HeldKey { fingerprint: fingerprint.to_string(), slots: own.map(|known| known.slot.to_string()).collect() }
}

fn suspected(kind: SuspectKind) -> InstallerState {
    match kind {
        SuspectKind::PasswordNote => InstallerState::PasswordNote,
        SuspectKind::OpenPassword => InstallerState::OpenPassword,
    }
}

/// Files on record that a device has reported, and whether they were ordered away.
fn of<'a>(device: &'a DeviceId, seen: &'a [(DeviceId, tegata_api::v1::device::FileHash, bool)]) -> impl Iterator<Item = (&'a str, bool)> {
    seen.iter().filter(move |(on, ..)| on == device).map(|(_, file, removing)| (&file.sha256[..], *removing))
}

fn told(row: &DeviceRow, sha256: &str, state: InstallerState, paths: Vec<String>, buried: Option<&Tombstone>) -> Installer {
    Installer {
        device: row.device.to_string(),
        sha256: Some(sha256.to_owned()),
        state,
        paths,
        removed_at: buried.map(|tombstone| tombstone.removed_at.unix()),
        returns: buried.map_or(0, |tombstone| tombstone.returns),
        returned_at: buried.and_then(|tombstone| tombstone.returned_at).map(Timestamp::unix),
        exempt_until: None,
        certificates: vec![],
    }
}

#[cfg(test)]
mod tests;
