//! What a person has found out by opening a copy with one of the clinic's own keys, which no server ever has.

use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_api::v1::backup::{DrillReport, Drilled};
use tegata_core::backup::Trouble;
use tegata_core::name::{ClinicId, SlotId, TargetName, TenantName};
use tegata_core::policy::BackupTarget;
use tegata_core::time::Timestamp;

use super::fetch::BackupError;
use super::order::record;
use crate::audit::Ledger;
use crate::bells::Bells;
use crate::store::backup::{BackupChange, CopyRow, Outcome};
use crate::store::{Batch, Change};

/// True if a copy was opened as lately as policy asks for. One that was just put there has as long as one that was just opened.
pub(crate) fn is_fresh(copy: &CopyRow, target: &BackupTarget, now: Timestamp) -> bool {
    let Some(every) = target.open_every else { return true };
    copy.opened_at.max(copy.stored_at).is_some_and(|at| now.since(at) <= every)
}

/// Puts on record what a drill has shown of one copy. One that is damaged is put there again; one that nobody can open, or that holds
/// something else, counts nowhere any more until the file is brought again.
///
/// # Errors
/// [`BackupError`]: among others, if there is no such copy of this slot in the target.
pub async fn note(
    ledger: &Ledger,
    bells: &Bells,
    tenant: &TenantName,
    slot: &SlotId,
    report: &DrillReport,
    (actor, now): (&str, Timestamp),
) -> Result<(), BackupError> {
    let copy = find(ledger, tenant, slot, report).await?;
    let (backup, target, place) = (copy.backup.id, copy.target.clone(), copy.place);
    let mut said = record(&copy.backup, Stage::Seen, "backup.drill", &copy.target, now);
    actor.clone_into(&mut said.actor);
    said.details["outcome"] = json!(report.outcome);
    let mut batch = Batch { records: vec![said], changes: vec![] };
    match report.outcome {
        Drilled::Opened => batch.changes.push(Change::Backup(BackupChange::Opened { backup, target, place, at: now })),
        Drilled::Altered => {
            batch.records.push(record(&copy.backup, Stage::Intended, "backup.store", &copy.target, now));
            let outcome = Outcome::Lost(Trouble::Altered);
            batch.changes.push(Change::Backup(BackupChange::End { backup, target, place, outcome, at: now }));
        }
        Drilled::Closed => batch.changes.push(Change::Backup(BackupChange::Useless { backup, because: Trouble::Closed })),
        Drilled::OtherContent => batch.changes.push(Change::Backup(BackupChange::Useless { backup, because: Trouble::OtherContent })),
    }
    let clinic = ClinicId { tenant: tenant.clone(), clinic: slot.clinic.clone() };
    batch.changes.push(Change::Nudge { clinic, at: now });
    ledger.record((), batch).await?;
    bells.ring_turn();
    bells.ring_carrier();
    Ok(())
}

async fn find(ledger: &Ledger, tenant: &TenantName, slot: &SlotId, report: &DrillReport) -> Result<CopyRow, BackupError> {
    let target: TargetName = report.target.parse().map_err(|_| BackupError::NotFound("target"))?;
    let all = ledger.store().backups(tenant, Some(&slot.clinic)).await?;
    let backed = all.into_iter().find(|backed| backed.backup.id.to_string() == report.id && backed.backup.slot == *slot);
    let copies = backed.ok_or(BackupError::NotFound("backup"))?.copies.into_iter();
    copies
        .filter(|copy| !copy.is_gone && copy.stored_at.is_some())
        .find(|copy| copy.target == target)
        .ok_or(BackupError::NotFound("backup"))
}
