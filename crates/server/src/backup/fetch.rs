//! Hands a sealed backup to whoever restores it, and takes in what a device seals of its own files.

use data_encoding::BASE64;
use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_api::v1::backup::{FetchRequest, Fetched, KeepRequest};
use tegata_core::backup::Trouble;
use tegata_core::name::{ClinicId, SlotId, TargetName, TenantName};
use tegata_core::policy::{KeyOrigin, Store};
use tegata_core::time::{MINUTE, Timestamp};

use super::carrier::on_a_thread;
use super::keep::{Of, keep};
use super::target::{Access, Part, open};
use super::{AGE, SEALED_MAX, manifest, object};
use crate::audit::Ledger;
use crate::bells::Bells;
use crate::manifest::recipients;
use crate::policy::PolicyError;
use crate::store::backup::{BackupRow, Kind};
use crate::store::{Batch, CertificateFilter, Change, DeviceRow, NewRecord, StoreError};
use crate::words;

/// How often a device may send another backup of the same slot at most.
const DEVICE_PAUSE: std::time::Duration = MINUTE.saturating_mul(10);

/// Why a backup is not handed out, or not taken in.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is no such backup or target in this tenant, or no such slot on this device.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The target does not give it.
    #[error("the target does not give the backup")]
    Target(Trouble),
    /// Something in the request cannot be read.
    #[error("{0}")]
    Malformed(&'static str),
    /// It was sealed to others than policy says.
    #[error("it is not sealed to those whom policy names now")]
    SealedToOthers,
    /// Policy wants two people, and only one has spoken yet. Names the request.
    #[error("somebody else has to agree to {0}")]
    NeedsApproval(String),
    /// It takes two people.
    #[error("another account than the one that asked has to agree")]
    SamePerson,
    /// The device sent one a moment ago.
    #[error("a backup of this slot came a moment ago")]
    TooOften,
    /// The policy cannot be had.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The database failed, or the state changed meanwhile.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Hands out the newest backup of a slot. That is on record before it is done.
///
/// # Errors
/// [`BackupError`]: among others, if the named target does not give it.
pub async fn fetch(
    ledger: &Ledger,
    access: &Access,
    tenant: &TenantName,
    slot: &SlotId,
    request: &FetchRequest,
    (actor, now): (&str, Timestamp),
) -> Result<Fetched, BackupError> {
    let kind = request.kind.as_deref().map_or(Some(Kind::File), words::read_backup_kind).ok_or(BackupError::NotFound("backup"))?;
    let backup = match &request.id {
        Some(id) => by_id(ledger, tenant, slot, kind, id).await?,
        None => ledger.store().newest_backup(tenant, slot, kind).await?,
    };
    let backup = backup.ok_or(BackupError::NotFound("backup"))?;
    let own = ledger.store().sealed_backup(&backup.id).await?.ok_or(BackupError::NotFound("backup"))?;
    let beside = manifest(&backup, &own);
    let sealed = match &request.target {
        None => own,
        Some(name) => read(ledger, access, &backup, name).await?,
    };
    let details = json!({ "backup": backup.id.to_string(), "target": request.target, "fingerprint": backup.fingerprint.to_string() });
    let (tenant, actor, object) = (tenant.clone(), actor.to_owned(), slot.to_string());
    let record = NewRecord { tenant, at: now, stage: Stage::Done, actor, action: "backup.read", object, details };
    ledger.record((), Batch { records: vec![record], changes: vec![] }).await?;
    Ok(Fetched { manifest: beside, sealed: BASE64.encode(&sealed) })
}

async fn by_id(ledger: &Ledger, tenant: &TenantName, slot: &SlotId, kind: Kind, id: &str) -> Result<Option<BackupRow>, StoreError> {
    let all = ledger.store().backups(tenant, Some(&slot.clinic)).await?.into_iter().map(|backed| backed.backup);
    Ok(all.rev().find(|backup| backup.id.to_string() == id && backup.slot == *slot && backup.kind == kind))
}

/// Reads a backup where a target has it.
async fn read(ledger: &Ledger, access: &Access, backup: &BackupRow, name: &str) -> Result<Vec<u8>, BackupError> {
    let policy = ledger.policy(&backup.tenant).await?;
    let name: TargetName = name.parse().map_err(|_| BackupError::NotFound("target"))?;
    let place = policy.targets.get(&name).map(|target| target.place.clone()).ok_or(BackupError::NotFound("target"))?;
    let (access, sealed) = (access.clone(), object(backup, Part::Sealed));
    let read = tokio::time::timeout(super::PATIENCE, on_a_thread(move || open(&place, &access)?.get(&sealed))).await;
    match read {
        Ok(Some(Ok(bytes))) => Ok(bytes),
        Ok(Some(Err(error))) => Err(BackupError::Target(error.trouble)),
        Ok(None) => Err(BackupError::Target(Trouble::Broken)),
        Err(_) => Err(BackupError::Target(Trouble::Slow)),
    }
}

/// Takes in what a device sealed of monsiaj's files.
///
/// # Errors
/// [`BackupError`]: among others, if the slot is not one of this device's that monsiaj uses.
pub async fn taken_from(
    ledger: &Ledger,
    bells: &Bells,
    device: &DeviceRow,
    request: &KeepRequest,
    now: Timestamp,
) -> Result<(), BackupError> {
    let slot: SlotId = request.slot.parse().map_err(|_| BackupError::NotFound("slot"))?;
    let policy = ledger.policy(&device.tenant).await?;
    let uses = |name| policy.profiles.get(name).is_some_and(|profile| profile.stores.contains(&Store::Monsiaj));
    if slot.device != device.device || !uses(&slot.profile) {
        return Err(BackupError::NotFound("slot"));
    }
    if request.recipients.is_empty() || request.recipients != recipients(&policy, &slot.clinic) {
        return Err(BackupError::SealedToOthers);
    }
    let sealed = BASE64.decode(request.sealed.as_bytes()).ok().filter(|sealed| sealed.starts_with(AGE) && sealed.len() <= SEALED_MAX);
    let sealed = sealed.ok_or(BackupError::Malformed("what is sealed must be an age file of at most 2 MiB, in base64"))?;
    let before = ledger.store().newest_backup(&device.tenant, &slot, Kind::Monsiaj).await?;
    if before.is_some_and(|before| now.since(before.sealed_at) < DEVICE_PAUSE) {
        return Err(BackupError::TooOften);
    }
    let filter = CertificateFilter { device: Some(device.device.clone()), present: true, ..CertificateFilter::default() };
    let held = ledger.store().certificates(&device.tenant, filter).await?;
    let newest = held.into_iter().rfind(|row| row.slot == slot && row.template.key == KeyOrigin::Vendor);
    let newest = newest.ok_or(BackupError::NotFound("certificate"))?;
    let (tenant, order, fingerprint, not_after) = (&device.tenant, newest.order, newest.fingerprint, newest.not_after);
    let of = Of { tenant, slot: &slot, kind: Kind::Monsiaj, order, fingerprint, not_after };
    let kept = keep(&of, request.recipients.clone(), &sealed, now)?;
    let clinic = ClinicId { tenant: device.tenant.clone(), clinic: slot.clinic.clone() };
    let record = NewRecord {
        tenant: device.tenant.clone(),
        at: now,
        stage: Stage::Done,
        actor: format!("device:{}", device.device),
        action: "backup.keep",
        object: slot.to_string(),
        details: json!({ "size": sealed.len(), "fingerprint": newest.fingerprint.to_string() }),
    };
    ledger.record((), Batch { records: vec![record], changes: vec![kept, Change::Nudge { clinic, at: now }] }).await?;
    bells.ring_turn();
    Ok(())
}
