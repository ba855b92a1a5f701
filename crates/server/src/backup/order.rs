//! Finds out what is to lie where, and puts that on record before anything is carried.

use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_core::name::{ClinicId, TargetName};
use tegata_core::policy::BackupTarget;
use tegata_core::time::Timestamp;

use super::{opens, place, terms};
use crate::audit::{Ledger, TEGATA};
use crate::bells::Bells;
use crate::store::backup::{Backed, BackupChange, BackupRow};
use crate::store::{Batch, Change, NewRecord, StoreError};
use crate::turn::observe::Scene;

/// Orders every copy that policy asks for and that was not ordered yet, and forgets those that it asks for no more.
pub(crate) async fn order(ledger: &Ledger, bells: &Bells, clinic: &ClinicId, scene: &Scene, now: Timestamp) -> Result<(), StoreError> {
    let targets = targets(scene, clinic);
    let mut batch = Batch::default();
    for backed in scene.snapshot.backups.iter() {
        for target in targets.iter().filter(|target| is_lacking(backed, target, now)) {
            let moved = backed.copies.iter().find(|copy| copy.target == target.name && !copy.is_gone);
            batch.records.extend(moved.map(|copy| record(&backed.backup, Stage::Done, "backup.forget", &copy.target, now)));
            order_one(&backed.backup, target, now, &mut batch);
        }
        for copy in backed.copies.iter().filter(|copy| !targets.iter().any(|target| target.name == copy.target)) {
            batch.records.push(record(&backed.backup, Stage::Done, "backup.forget", &copy.target, now));
            let forget = BackupChange::Forget { backup: backed.backup.id, target: copy.target.clone(), place: copy.place };
            batch.changes.push(Change::Backup(forget));
        }
    }
    if batch.records.is_empty() {
        return Ok(());
    }
    ledger.record((), batch).await?;
    bells.ring_carrier();
    Ok(())
}

/// The targets that policy names for a clinic.
fn targets<'a>(scene: &'a Scene, clinic: &ClinicId) -> Vec<&'a BackupTarget> {
    let named = scene.policy.clinics.get(&clinic.clinic).into_iter().flat_map(|clinic| &clinic.backup.targets);
    named.filter_map(|name| scene.policy.targets.get(name)).collect()
}

/// True if it is not even on its way there, could be opened there, and its time is not over.
fn is_lacking(backed: &Backed, target: &BackupTarget, now: Timestamp) -> bool {
    let is_ordered = backed.copies.iter().any(|copy| copy.target == target.name && copy.place == place(&target.place));
    !is_ordered
        && !backed.backup.is_emptied
        && opens(&backed.backup, target)
        && now <= backed.backup.not_after.after(terms(target).retention)
}

fn order_one(backup: &BackupRow, target: &BackupTarget, at: Timestamp, batch: &mut Batch) {
    batch.records.push(record(backup, Stage::Intended, "backup.store", &target.name, at));
    let order = BackupChange::Order { backup: backup.id, target: target.name.clone(), place: place(&target.place), at };
    batch.changes.push(Change::Backup(order));
}

/// What the log says about a copy.
pub(super) fn record(backup: &BackupRow, stage: Stage, action: &'static str, target: &TargetName, at: Timestamp) -> NewRecord {
    let mut record = about(backup, stage, action, at);
    record.details["target"] = json!(target.as_str());
    record
}

/// What the log says about a backup that lies nowhere and is forgotten.
pub(super) fn nowhere(backup: &BackupRow, at: Timestamp) -> NewRecord {
    about(backup, Stage::Done, "backup.drop", at)
}

fn about(backup: &BackupRow, stage: Stage, action: &'static str, at: Timestamp) -> NewRecord {
    let details =
        json!({ "backup": backup.id.to_string(), "order": backup.order.to_string(), "fingerprint": backup.fingerprint.to_string() });
    let (tenant, actor, object) = (backup.tenant.clone(), TEGATA.to_owned(), backup.slot.to_string());
    NewRecord { tenant, at, stage, actor, action, object, details }
}
