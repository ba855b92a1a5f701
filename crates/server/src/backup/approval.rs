//! Two people for one read, where a clinic's policy asks for that: one asks, another agrees, and within the hour the first may read once.

use std::time::Duration;

use data_encoding::BASE32_NOPAD;
use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_api::v1::backup::FetchRequest;
use tegata_core::name::{SlotId, TenantName};
use tegata_core::time::{MINUTE, Timestamp};
use tegata_pki::key::random;

use super::fetch::BackupError;
use crate::audit::Ledger;
use crate::store::backup::{BackupChange, Kind, ReadRow};
use crate::store::{Batch, Change, NewRecord, StoreError};
use crate::words;

/// How long somebody else has to agree, and the first to read.
const OPEN_FOR: Duration = MINUTE.saturating_mul(60);

/// Lets a read through, or asks for somebody else's word first. Gives what is committed with the read: the word is used up by a read, not by a
/// try.
///
/// # Errors
/// [`BackupError::NeedsApproval`], and the others.
pub async fn expect(
    ledger: &Ledger,
    tenant: &TenantName,
    slot: &SlotId,
    request: &FetchRequest,
    (actor, now): (&str, Timestamp),
) -> Result<Batch, BackupError> {
    let policy = ledger.policy(tenant).await?;
    if policy.clinics.get(&slot.clinic).is_none_or(|clinic| clinic.backup.approvals < 2) {
        return Ok(Batch::default());
    }
    let kind = request.kind.as_deref().map_or(Some(Kind::File), words::read_backup_kind).ok_or(BackupError::NotFound("backup"))?;
    ledger.store().newest_backup(tenant, slot, kind).await?.ok_or(BackupError::NotFound("backup"))?;
    let asked = ledger.store().reads_of(tenant, slot).await?;
    let mut own = asked.into_iter().filter(|row| row.asked_by == actor && is_open(row, now));
    match own.next() {
        Some(row) if row.approved_by.is_some() => {
            let record = said(&row, Stage::Done, actor, "backup.release", now);
            let used = Change::Backup(BackupChange::UseRead { id: row.id, at: now });
            Ok(Batch { records: vec![record], changes: vec![used] })
        }
        Some(row) => Err(BackupError::NeedsApproval(row.id)),
        None => Err(ask(ledger, tenant, slot, (actor, now)).await?),
    }
}

/// Puts on record what is asked for; gives what whoever asks is told.
async fn ask(ledger: &Ledger, tenant: &TenantName, slot: &SlotId, (actor, now): (&str, Timestamp)) -> Result<BackupError, StoreError> {
    let row = ReadRow {
        id: BASE32_NOPAD.encode(&random::<5>()),
        tenant: tenant.clone(),
        slot: slot.clone(),
        asked_by: actor.to_owned(),
        expires_at: now.after(OPEN_FOR),
        approved_by: None,
        used_at: None,
    };
    let record = said(&row, Stage::Intended, actor, "backup.ask", now);
    let asked = Change::Backup(BackupChange::AskRead(row.clone()));
    ledger.record((), Batch { records: vec![record], changes: vec![asked] }).await?;
    Ok(BackupError::NeedsApproval(row.id))
}

/// Agrees to what somebody else has asked for. Doing it again changes nothing.
///
/// # Errors
/// [`BackupError::NotFound`] if nobody of this tenant has asked, or the hour is over; [`BackupError::SamePerson`].
pub async fn approve(ledger: &Ledger, tenant: &TenantName, id: &str, (actor, now): (&str, Timestamp)) -> Result<SlotId, BackupError> {
    let row = ledger.store().read_asked(tenant, id).await?.filter(|row| is_open(row, now)).ok_or(BackupError::NotFound("request"))?;
    if row.asked_by == actor {
        return Err(BackupError::SamePerson);
    }
    if row.approved_by.is_none() {
        let record = said(&row, Stage::Done, actor, "backup.approve", now);
        let approved = Change::Backup(BackupChange::ApproveRead { id: row.id, by: actor.to_owned() });
        ledger.record((), Batch { records: vec![record], changes: vec![approved] }).await?;
    }
    Ok(row.slot)
}

fn is_open(row: &ReadRow, now: Timestamp) -> bool {
    row.used_at.is_none() && now <= row.expires_at
}

fn said(row: &ReadRow, stage: Stage, actor: &str, action: &'static str, at: Timestamp) -> NewRecord {
    let details = json!({ "request": row.id, "askedBy": row.asked_by, "expiresAt": row.expires_at.unix() });
    NewRecord { tenant: row.tenant.clone(), at, stage, actor: actor.to_owned(), action, object: row.slot.to_string(), details }
}
