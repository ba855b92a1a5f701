//! What agents report: facts, kept, and looked at only where planning depends on them.

mod strangers;

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_api::v1::device::{FOUND_MAX, FoundCertificate, InstallerSeen, Report, UNREAD_MAX};
use tegata_api::v1::diagnosis::Diagnosis;
use tegata_core::diagnosis::Cause;
use tegata_core::name::{ClinicId, Sha256, is_deceptive};
use tegata_core::plan::{CLOCK_TOLERANCE_SECONDS, SILENT_AFTER};
use tegata_core::time::Timestamp;

use crate::audit::Ledger;
use crate::bells::Bells;
use crate::installers::recognize;
use crate::store::installers::{InstallerChange, Tombstone};
use crate::store::{Batch, CertificateRow, Change, DeviceRow, NewRecord, StoreError};
use crate::turn::{TurnError, observe};

/// How exactly the moment when a device was last heard is kept: one write in this span is enough.
const HEARD_EVERY: Duration = Duration::from_secs(600);

/// The longest text about a found certificate: `CN=` and `O=` with 64 characters each (RFC 5280, appendix A.1) are below it.
const FOUND_TEXT_MAX: usize = 160;

/// How much is kept of the name of a place that was not looked at, in characters.
const PLACE_MAX: usize = 400;

/// Keeps a report, and has the clinics looked at that it could change something for.
pub async fn report(ledger: &Ledger, bells: &Bells, device: &DeviceRow, mut report: Report, now: Timestamp) -> Result<(), TurnError> {
    keep_few(&mut report.found);
    keep_each_once(report.diagnosis.as_mut());
    report.unread.truncate(UNREAD_MAX);
    report.absent.truncate(UNREAD_MAX);
    report.suspects.truncate(UNREAD_MAX);
    let places = report.unread.iter_mut().chain(&mut report.absent).chain(report.suspects.iter_mut().map(|suspect| &mut suspect.path));
    places.for_each(|place| *place = place.chars().take(PLACE_MAX).collect());
    let clock_offset = report.clock.saturating_sub(now.unix());
    let lost = misplaced(ledger, device, &report).await?;
    let back = returned(ledger, device, &report).await?;
    let recognized = recognize::recognized(ledger, device, &report).await?;
    let strangers = strangers::told(ledger, device, &report, now).await?;
    let matters = was_silent(device, now)
        || is_wrong(device.clock_offset) != is_wrong(clock_offset)
        || told_of_installers(&device.report) != told_of_installers(&report)
        || found(&device.report) != found(&report)
        || !lost.is_empty()
        || !recognized.is_empty();
    let put = Change::PutReport { tenant: device.tenant.clone(), device: device.device.clone(), report, clock_offset, at: now };
    let mut batch = Batch { records: strangers, changes: vec![put] };
    lost.iter().for_each(|row| ask_anew(device, row, now, &mut batch));
    recognized.iter().for_each(|file| recognize::note(device, file, now, &mut batch));
    back.iter().for_each(|tombstone| note_return(device, tombstone, now, &mut batch));
    keep(ledger, bells, device, batch, matters, now).await
}

/// Notes that a device was heard: to be called with every request that it makes. Writes seldom.
pub async fn heard(ledger: &Ledger, bells: &Bells, device: &DeviceRow, now: Timestamp) -> Result<(), TurnError> {
    if now.since(device.last_seen) < HEARD_EVERY {
        return Ok(());
    }
    let heard = Change::Heard { tenant: device.tenant.clone(), device: device.device.clone(), at: now };
    keep(ledger, bells, device, Batch { records: vec![], changes: vec![heard] }, was_silent(device, now), now).await
}

async fn keep(
    ledger: &Ledger,
    bells: &Bells,
    device: &DeviceRow,
    mut batch: Batch,
    matters: bool,
    now: Timestamp,
) -> Result<(), TurnError> {
    if matters {
        let policy = ledger.policy(&device.tenant).await?;
        let clinics = observe::concerned(ledger.store(), Some(&policy), &device.tenant, &device.device).await?;
        let clinics = clinics.into_iter().map(|clinic| ClinicId { tenant: device.tenant.clone(), clinic });
        batch.changes.extend(clinics.map(|clinic| Change::Nudge { clinic, at: now }));
    }
    ledger.note(batch).await?;
    if matters {
        bells.ring_turn();
    }
    Ok(())
}

/// Certificates that were where they belong when the device reported last, and are not any more.
async fn misplaced(ledger: &Ledger, device: &DeviceRow, report: &Report) -> Result<Vec<CertificateRow>, StoreError> {
    let known: BTreeSet<_> = device.report.slots.iter().filter(|slot| slot.misplaced).map(|slot| &slot.order).collect();
    let mut lost = Vec::new();
    for slot in report.slots.iter().filter(|slot| slot.misplaced && !known.contains(&slot.order)) {
        let Ok(order) = slot.order.parse() else { continue };
        let row = ledger.store().certificate_of_order(&order).await?;
        lost.extend(row.filter(|row| row.tenant == device.tenant && row.slot.device == device.device && row.retired_at.is_none()));
    }
    Ok(lost)
}

fn ask_anew(device: &DeviceRow, row: &CertificateRow, now: Timestamp, batch: &mut Batch) {
    batch.records.push(NewRecord {
        tenant: row.tenant.clone(),
        at: now,
        stage: Stage::Seen,
        actor: format!("device:{}", device.device),
        action: "certificate.misplaced",
        object: row.slot.to_string(),
        details: json!({ "serial": row.serial.to_string() }),
    });
    batch.changes.push(Change::AskRenewal { tenant: row.tenant.clone(), slot: row.slot.clone() });
}

/// Installer files that were removed from the device, were not there when it reported last, and are now.
async fn returned(ledger: &Ledger, device: &DeviceRow, report: &Report) -> Result<Vec<Tombstone>, StoreError> {
    let (before, now) = (installers(&device.report), installers(report));
    if now.is_subset(&before) {
        return Ok(vec![]);
    }
    let tombstones = ledger.store().tombstones(&device.tenant, &device.device).await?;
    let is_back = |tombstone: &Tombstone| now.contains(&tombstone.file.sha256[..]) && !before.contains(&tombstone.file.sha256[..]);
    Ok(tombstones.into_iter().filter(is_back).collect())
}

fn note_return(device: &DeviceRow, tombstone: &Tombstone, now: Timestamp, batch: &mut Batch) {
    let Ok(sha256) = tombstone.file.sha256.parse() else { return };
    batch.records.push(NewRecord {
        tenant: device.tenant.clone(),
        at: now,
        stage: Stage::Seen,
        actor: format!("device:{}", device.device),
        action: "installer.returned",
        object: device.device.to_string(),
        details: json!({ "sha256": tombstone.file.sha256, "removedAt": tombstone.removed_at.unix(), "returns": tombstone.returns + 1 }),
    });
    let (tenant, device) = (device.tenant.clone(), device.device.clone());
    batch.changes.push(Change::Installer(InstallerChange::Returned { tenant, device, sha256, at: now }));
}

fn was_silent(device: &DeviceRow, now: Timestamp) -> bool {
    now.since(device.last_seen) > SILENT_AFTER
}

fn is_wrong(clock_offset: i64) -> bool {
    clock_offset.unsigned_abs() > CLOCK_TOLERANCE_SECONDS
}

/// Not more than an agent may say, and no text that people would take for something else: some of it stands in letters.
fn keep_few(found: &mut Vec<FoundCertificate>) {
    found.retain(|one| one.fingerprint.parse::<Sha256>().is_ok());
    found.sort_by_key(|one| Reverse(one.not_after));
    found.truncate(FOUND_MAX);
    for one in found {
        for text in [&mut one.store, &mut one.subject, &mut one.issuer, &mut one.serial] {
            *text = text.chars().filter(|c| !is_deceptive(*c)).take(FOUND_TEXT_MAX).collect();
        }
    }
}

/// An honest doctor names each cause once.
fn keep_each_once(diagnosis: Option<&mut Diagnosis>) {
    let Some(Diagnosis { findings, unchecked, .. }) = diagnosis else { return };
    findings.truncate(Cause::ALL.len());
    unchecked.truncate(Cause::ALL.len());
}

/// What is told of them.
fn found(report: &Report) -> BTreeSet<(&str, i64)> {
    report.found.iter().map(|one| (&one.fingerprint[..], one.not_after)).collect()
}

/// What planning depends on: which files there are, which of them were moved, and which hold a private key.
fn told_of_installers(report: &Report) -> BTreeSet<(&str, bool, bool)> {
    let has_key = |seen: &InstallerSeen| seen.inside.as_ref().is_some_and(|inside| inside.keys > 0);
    report.installers.iter().map(|seen| (&seen.file.sha256[..], seen.quarantined, has_key(seen))).collect()
}

fn installers(report: &Report) -> BTreeSet<&str> {
    report.installers.iter().map(|seen| &seen.file.sha256[..]).collect()
}

#[cfg(test)]
mod tests;
