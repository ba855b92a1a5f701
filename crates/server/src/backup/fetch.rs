//! Hands a sealed backup to whoever restores it, and takes in what a device seals of its own files.

use std::time::Duration;

use data_encoding::BASE64;
use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_api::v1::backup::{FetchRequest, Fetched, KeepRequest};
use tegata_core::backup::{SETTLED_AFTER, Trouble};
use tegata_core::name::{BackupId, ClinicId, SlotId, TargetName, TenantName};
use tegata_core::policy::{KeyOrigin, Store};
use tegata_core::time::{MINUTE, Timestamp};

use super::carrier::on_a_thread;
use super::keep::{Of, keep};
use super::target::busy::Errand;
use super::target::{Access, Part, Use, open};
use super::{is_sealed, manifest, object, sealed_to};
use crate::approvals::ApprovalError;
use crate::audit::Ledger;
use crate::bells::Bells;
use crate::manifest::keepers;
use crate::policy::PolicyError;
use crate::store::backup::{BackupRow, Kind};
use crate::store::{Batch, CertificateFilter, Change, DeviceRow, NewRecord, StoreError};
use crate::words;

/// How long a device waits at least after it sent a backup of a slot. Each that came before it, and may not stand for an older one yet,
/// doubles that: so it can send no more than a dozen until people have had the time to see that they are poorer.
const DEVICE_PAUSE: Duration = MINUTE.saturating_mul(10);

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
    /// Policy wants two people.
    #[error(transparent)]
    Approval(#[from] ApprovalError),
    /// The device sent one, or several, not long ago; it may send another after this.
    #[error("a backup of this slot came not long ago")]
    TooOften(Duration),
    /// The policy cannot be had.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The database failed, or the state changed meanwhile.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Hands out the newest backup of a slot, or the one that is named. That is on record before it is done, with what `release` says.
///
/// # Errors
/// [`BackupError`]: among others, if the named target does not give it.
pub async fn fetch(
    ledger: &Ledger,
    access: &Access,
    (tenant, slot): (&TenantName, &SlotId),
    request: &FetchRequest,
    mut release: Batch,
    (actor, now): (&str, Timestamp),
) -> Result<Fetched, BackupError> {
    let kind = request.kind.as_deref().map_or(Some(Kind::File), words::read_backup_kind).ok_or(BackupError::NotFound("backup"))?;
    let backup = match &request.id {
        None => ledger.store().newest_backup(tenant, slot, kind).await?,
        Some(id) => {
            let id: BackupId = id.parse().map_err(|_| BackupError::NotFound("backup"))?;
            ledger.store().backup(tenant, &id).await?.filter(|backup| backup.slot == *slot && backup.kind == kind && !backup.is_emptied)
        }
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
    release.records.push(record);
    ledger.record((), release).await?;
    Ok(Fetched { manifest: beside, sealed: BASE64.encode(&sealed) })
}

/// Reads a backup where a target has it.
async fn read(ledger: &Ledger, access: &Access, backup: &BackupRow, name: &str) -> Result<Vec<u8>, BackupError> {
    let policy = ledger.policy(&backup.tenant).await?;
    let name: TargetName = name.parse().map_err(|_| BackupError::NotFound("target"))?;
    let place = policy.targets.get(&name).map(|target| target.place.clone()).ok_or(BackupError::NotFound("target"))?;
    let turn = access.busy.wait(Errand::Read, &backup.tenant, &name, super::PATIENCE).await;
    let turn = turn.map_err(|_| BackupError::Target(Trouble::Slow))?;
    let (access, sealed) = (access.clone(), object(backup, Part::Sealed));
    // A thread that never comes back keeps the turn: whoever asks again makes no further thread hang there.
    let work = move || {
        let _turn = turn;
        open(&place, &access, Use::Reading)?.get(&sealed)
    };
    let read = tokio::time::timeout(super::PATIENCE, on_a_thread(work)).await;
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
    let wanted = keepers(&policy, &slot.clinic);
    if request.recipients.is_empty() || request.recipients != wanted.of {
        return Err(BackupError::SealedToOthers);
    }
    let sealed = BASE64.decode(request.sealed.as_bytes()).ok().filter(|sealed| is_sealed(sealed));
    let sealed = sealed.ok_or(BackupError::Malformed("what is sealed must be an age file of at most 2 MiB, in base64"))?;
    let keepers = sealed_to(&sealed, &request.recipients).filter(|keepers| keepers.threshold == wanted.threshold);
    let keepers = keepers.ok_or(BackupError::SealedToOthers)?;
    let lately = ledger.store().backups_since(&device.tenant, &slot, Kind::Monsiaj, now.before(SETTLED_AFTER)).await?;
    if let Some(wait) = wait(&lately, now) {
        return Err(BackupError::TooOften(wait));
    }
    let filter = CertificateFilter { device: Some(device.device.clone()), present: true, ..CertificateFilter::default() };
    let held = ledger.store().certificates(&device.tenant, filter).await?;
    let newest = held.into_iter().rfind(|row| row.slot == slot && row.template.key == KeyOrigin::Vendor);
    let newest = newest.ok_or(BackupError::NotFound("certificate"))?;
    let (tenant, order, fingerprint, not_after) = (&device.tenant, newest.order, newest.fingerprint, newest.not_after);
    let of = Of { tenant, slot: &slot, kind: Kind::Monsiaj, order, fingerprint, not_after };
    let kept = keep(&of, keepers, &sealed, now)?;
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

/// For how long a device has to wait whose backups came at these times, oldest first; `None` if it need not.
fn wait(came: &[Timestamp], now: Timestamp) -> Option<Duration> {
    let newest = came.last()?;
    let doublings = u32::try_from(came.len() - 1).unwrap_or(u32::MAX).min(16);
    DEVICE_PAUSE.saturating_mul(1 << doublings).checked_sub(now.since(*newest)).filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_sends_again_and_again_is_let_through_ever_more_rarely() {
        let (start, mut came) = (Timestamp::from_unix(1_800_000_000), vec![]);
        assert_eq!(wait(&came, start), None);
        for minute in 0..30 * 24 * 60 {
            let now = start.after(MINUTE * minute);
            if wait(&came, now).is_none() {
                came.push(now);
            }
        }
        let minutes: Vec<u64> = came.iter().map(|at| at.since(start).as_secs() / 60).take(4).collect();
        assert_eq!((minutes, came.len()), (vec![0, 10, 30, 70], 13), "in a month");
        assert_eq!(wait(&came[12..], came[12].after(MINUTE * 9)), Some(MINUTE), "once the others have settled");
    }
}
