//! What became of installer files, device by device: for people who have to show that none was left behind.

use std::collections::BTreeMap;

use tegata_api::v1::device::SuspectKind;
use tegata_api::v1::fleet::{Installer, InstallerState};
use tegata_core::name::{ClinicName, DeviceId, TenantName};
use tegata_core::policy::InstallerRule;
use tegata_core::time::Timestamp;

use crate::audit::Ledger;
use crate::fleet::{self, View};
use crate::store::DeviceRow;
use crate::store::installers::Tombstone;
use crate::turn::TurnError;

/// Every installer file that lies, or lay, on the devices of these clinics, by device.
pub async fn list(ledger: &Ledger, tenant: &TenantName, clinic: Option<&ClinicName>, now: Timestamp) -> Result<Vec<Installer>, TurnError> {
    let views = fleet::views(ledger, tenant, &fleet::names(ledger, tenant, clinic).await?, now).await?;
    Ok(views.iter().flat_map(|view| of_clinic(view, now)).collect())
}

/// As [`list`], of a clinic that was read.
pub(crate) fn of_clinic(view: &View, now: Timestamp) -> Vec<Installer> {
    let rule = view.scene.policy.clinics.get(&view.name).map(|clinic| &clinic.installers);
    let own = view.scene.snapshot.devices.values().filter(|row| row.device.clinic == view.name && row.revoked_at.is_none());
    own.flat_map(|row| of_device(view, rule, row, now)).collect()
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
    let mut there: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for seen in &row.report.installers {
        there.entry(&seen.file.sha256).or_default().push(seen.path.clone());
    }
    let gone = buried.iter().filter(|(sha256, _)| !there.contains_key(*sha256));
    let gone = gone.map(|(sha256, tombstone)| told(row, sha256, InstallerState::Removed, vec![tombstone.path.clone()], Some(tombstone)));
    let nameless = |state, path: &str| Installer { sha256: None, ..told(row, "", state, vec![path.to_owned()], None) };
    let unread = row.report.unread.iter().map(|place| nameless(InstallerState::NotLookedAt, place));
    let suspects = row.report.suspects.iter().map(|suspect| nameless(suspected(suspect.kind), &suspect.path));
    let present = there.iter().map(|(sha256, paths)| {
        let spared = rule.zip(sha256.parse().ok()).and_then(|(rule, sha256)| rule.exempt_until(&row.device.device, &sha256, now));
        let state = match (known.get(sha256), spared) {
            (None, _) if rule.is_some_and(|rule| rule.asks) => InstallerState::Asked,
            (None, _) => InstallerState::Unknown,
            (Some(_), Some(_)) => InstallerState::Exempt,
            (Some(true), None) => InstallerState::Removing,
            (Some(false), None) => InstallerState::Present,
        };
        let exempt_until = spared.filter(|_| state == InstallerState::Exempt).map(Timestamp::unix);
        Installer { exempt_until, ..told(row, sha256, state, paths.clone(), buried.get(sha256).copied()) }
    });
    present.chain(gone).chain(suspects).chain(unread).collect()
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
    }
}

#[cfg(test)]
mod tests;
