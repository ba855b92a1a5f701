//! Installer files that nobody has put on record, and that hold keys of certificates on record.
//!
//! What lies open in a file is the word of the device that it lies on, so it counts there and nowhere else. Whether such a file goes is
//! decided by the plan.

use std::collections::BTreeSet;

use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_api::v1::device::{FileHash, InstallerSeen, Report};
use tegata_core::name::Sha256;
use tegata_core::time::Timestamp;

use crate::audit::Ledger;
use crate::store::installers::InstallerChange;
use crate::store::{Batch, Change, DeviceRow, NewRecord, Personal, StoreError};

/// How many files of one report are compared with what is on record; the next report goes on.
const FILES_MAX: usize = 50;

/// How many keys an installer file holds at most. Vendors put one into each; a keystore of a program is something else.
const KEYS_MAX: usize = 8;

/// A file, and the certificates that it is known by.
pub(crate) struct Recognized {
    seen: InstallerSeen,
    certificates: BTreeSet<Sha256>,
}

/// The files of a report that are not on record, and in which every key belongs to a certificate of the tenant.
pub(crate) async fn recognized(ledger: &Ledger, device: &DeviceRow, report: &Report) -> Result<Vec<Recognized>, StoreError> {
    let candidates: Vec<(Sha256, Recognized)> = report.installers.iter().filter_map(candidate).collect();
    if candidates.is_empty() {
        return Ok(vec![]);
    }
    let files: Vec<Sha256> = candidates.iter().map(|(file, _)| *file).collect();
    let mut known = ledger.store().files_on_record(&device.tenant, &device.device, &files).await?;
    let mut recognized = Vec::new();
    for (_, candidate) in candidates.into_iter().filter(|(file, _)| known.insert(*file)).take(FILES_MAX) {
        if are_on_record(ledger, device, &candidate.certificates).await? {
            recognized.push(candidate);
        }
    }
    Ok(recognized)
}

/// Nothing, unless it is known of everything in the file what would be lost with it.
fn candidate(seen: &InstallerSeen) -> Option<(Sha256, Recognized)> {
    let inside = seen.inside.as_ref().filter(|inside| inside.whole && inside.keys > 0)?;
    let certificates = inside.certificates.iter().map(|text| text.parse().ok()).collect::<Option<BTreeSet<Sha256>>>()?;
    let are_few = (1..=KEYS_MAX).contains(&certificates.len());
    let known = || Some((seen.file.sha256.parse().ok()?, Recognized { seen: seen.clone(), certificates }));
    are_few.then(known)?
}

async fn are_on_record(ledger: &Ledger, device: &DeviceRow, certificates: &BTreeSet<Sha256>) -> Result<bool, StoreError> {
    for fingerprint in certificates {
        if ledger.store().certificates_by_fingerprint(&device.tenant, fingerprint).await?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Puts on record that it was recognised, and by what.
pub(crate) fn note(device: &DeviceRow, recognized: &Recognized, now: Timestamp, batch: &mut Batch) {
    let Recognized { seen, certificates } = recognized;
    let by: Vec<String> = certificates.iter().map(ToString::to_string).collect();
    batch.records.push(NewRecord {
        tenant: device.tenant.clone(),
        at: now,
        stage: Stage::Seen,
        actor: format!("device:{}", device.device),
        action: "installer.recognize",
        object: device.device.to_string(),
        details: json!({ "sha256": seen.file.sha256, "size": seen.file.size, "path": Personal(&seen.path), "certificates": by }),
    });
    let (tenant, device, file) = (device.tenant.clone(), device.device.clone(), FileHash::clone(&seen.file));
    batch.changes.push(Change::Installer(InstallerChange::Recognized {
        tenant,
        device,
        file,
        certificates: certificates.clone(),
        at: now,
    }));
}

#[cfg(test)]
mod tests;
