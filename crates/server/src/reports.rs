//! What agents report: facts, kept, and looked at only where planning depends on them.

use std::collections::BTreeSet;
use std::time::Duration;

use tegata_api::v1::device::Report;
use tegata_core::name::ClinicId;
use tegata_core::plan::{CLOCK_TOLERANCE_SECONDS, SILENT_AFTER};
use tegata_core::time::Timestamp;

use crate::audit::Ledger;
use crate::bells::Bells;
use crate::store::{Batch, Change, DeviceRow};
use crate::turn::{TurnError, observe};

/// How exactly the moment when a device was last heard is kept: one write in this span is enough.
const HEARD_EVERY: Duration = Duration::from_secs(600);

/// Keeps a report, and has the clinics looked at that it could change something for.
pub async fn report(ledger: &Ledger, bells: &Bells, device: &DeviceRow, report: Report, now: Timestamp) -> Result<(), TurnError> {
    let clock_offset = report.clock.saturating_sub(now.unix());
    let matters = was_silent(device, now)
        || is_wrong(device.clock_offset) != is_wrong(clock_offset)
        || installers(&device.report) != installers(&report);
    let put = Change::PutReport { tenant: device.tenant.clone(), device: device.device.clone(), report, clock_offset, at: now };
    keep(ledger, bells, device, put, matters, now).await
}

/// Notes that a device was heard: to be called with every request that it makes. Writes seldom.
pub async fn heard(ledger: &Ledger, bells: &Bells, device: &DeviceRow, now: Timestamp) -> Result<(), TurnError> {
    if now.since(device.last_seen) < HEARD_EVERY {
        return Ok(());
    }
    let heard = Change::Heard { tenant: device.tenant.clone(), device: device.device.clone(), at: now };
    keep(ledger, bells, device, heard, was_silent(device, now), now).await
}

async fn keep(ledger: &Ledger, bells: &Bells, device: &DeviceRow, change: Change, matters: bool, now: Timestamp) -> Result<(), TurnError> {
    let mut changes = vec![change];
    if matters {
        let policy = ledger.policy(&device.tenant).await?;
        let clinics = observe::concerned(ledger.store(), Some(&policy), &device.tenant, &device.device).await?;
        let clinics = clinics.into_iter().map(|clinic| ClinicId { tenant: device.tenant.clone(), clinic });
        changes.extend(clinics.map(|clinic| Change::Nudge { clinic, at: now }));
    }
    ledger.note(Batch { records: vec![], changes }).await?;
    if matters {
        bells.ring_turn();
    }
    Ok(())
}

fn was_silent(device: &DeviceRow, now: Timestamp) -> bool {
    now.since(device.last_seen) > SILENT_AFTER
}

fn is_wrong(clock_offset: i64) -> bool {
    clock_offset.unsigned_abs() > CLOCK_TOLERANCE_SECONDS
}

fn installers(report: &Report) -> BTreeSet<&str> {
    report.installers.iter().map(|seen| &seen.file.sha256[..]).collect()
}

#[cfg(test)]
mod tests;
