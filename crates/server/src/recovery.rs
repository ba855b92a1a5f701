//! After a backup was put back: what was done since it was made has happened, and the database does not know of it.
//!
//! Until a person has put that on record, devices are heard and nothing is given out: no certificate, no manifest, no revocation list that
//! would forgive what was revoked. Then an epoch begins. Devices count their manifests from the highest that they have seen, and say
//! anew what they hold; what of it is unknown here is told and replaced.

use std::collections::BTreeSet;

use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_api::v1::device::Manifest;
use tegata_api::v1::recovery::{RecoverRequest, Recovered};
use tegata_core::name::{ClinicId, TenantName};
use tegata_core::time::Timestamp;

use crate::audit::Ledger;
use crate::bells::Bells;
use crate::issuers::authorities::instance;
use crate::store::installers::InstallerChange;
use crate::store::recovery::{EpochRow, RecoveryChange};
use crate::store::{Batch, Change, DeviceRow, NewRecord, OrderRow, Personal, StoreError};
use crate::turn::{TurnError, observe};

/// What may be put on record while nothing is given out. Nothing of it gives a certificate to anybody, or takes a revocation back.
const SAFE_ACTIONS: [&str; 19] = [
    "server.sign",
    "token.create",
    "token.revoke",
    crate::sessions::END,
    crate::sessions::REFUSE,
    crate::access::READ,
    crate::access::REFUSE,
    "device.ahead",
    "device.revoke",
    "installer.recognize",
    "certificate.unrecorded",
    "installer.returned",
    "certificate.misplaced",
    "certificate.revoke",
    "certificates.revoke",
    "portal.revoke",
    "backup.read",
    crate::history::READ,
    RECOVER,
];
const RECOVER: &str = "state.recover";

/// How far a device may be ahead of the database: more manifests than any gets between two backups.
const AHEAD_MAX: u64 = 1 << 32;

/// What is known of the database's own past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct History {
    /// How often it was put back from a backup, as far as that is on record.
    pub epoch: u64,
    /// True if it was put back once more, and that is not on record yet.
    pub is_open: bool,
}

impl History {
    /// As the database tells it.
    #[must_use]
    pub fn of(epochs: &[EpochRow]) -> Self {
        let recorded = epochs.iter().filter(|epoch| epoch.recorded_at.is_some()).count();
        Self { epoch: recorded as u64, is_open: recorded < epochs.len() }
    }
}

/// Why the recovery was not recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// Nothing was put back.
    #[error("this database was not put back by `tegata state restore`")]
    NotRestored,
    /// Nobody would know later what happened.
    #[error("the note must say in 1 to 500 characters what happened")]
    NoNote,
    /// The database failed, or the state changed meanwhile.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// True if a batch may be committed while nothing is given out.
pub(crate) fn is_safe(batch: &Batch) -> bool {
    let is_harmless = |change: &Change| {
        matches!(
            change,
            Change::Heard { .. }
                | Change::PutReport { .. }
                | Change::Nudge { .. }
                | Change::AskRenewal { .. }
                | Change::Token(_)
                | Change::Session(crate::store::sessions::SessionChange::End { .. })
                | Change::RevokeDevice { .. }
                | Change::Revoke { .. }
                | Change::RevokeAll { .. }
                | Change::Installer(InstallerChange::Returned { .. } | InstallerChange::Recognized { .. })
                | Change::Portal(crate::store::portal::PortalChange::Revoke { .. })
                | Change::Recovery(_)
        )
    };
    let is_recovery = batch.changes.iter().any(|change| matches!(change, Change::Recovery(RecoveryChange::Record { .. })));
    let are_safe = batch.records.iter().all(|record| SAFE_ACTIONS.contains(&record.action)) && batch.changes.iter().all(is_harmless);
    is_recovery || are_safe
}

/// Puts on record that the database is not what it was, and lets work begin again. Every order that was open is taken back: it may have
/// been answered.
///
/// # Errors
/// [`RecoverError`].
pub async fn recover(
    ledger: &Ledger,
    bells: &Bells,
    request: &RecoverRequest,
    (actor, now): (&str, Timestamp),
) -> Result<Recovered, RecoverError> {
    let note = request.note.trim();
    if note.is_empty() || note.chars().count() > 500 {
        return Err(RecoverError::NoNote);
    }
    let epochs = ledger.store().epochs().await?;
    // All that are open are recorded together; the last one is what is there now.
    let open = epochs.iter().rfind(|epoch| epoch.recorded_at.is_none());
    if open.is_none() && !request.by_hand {
        return Err(RecoverError::NotRestored);
    }
    let epoch =
        open.copied().unwrap_or(EpochRow { number: epochs.len() as u64 + 1, backed_up_at: None, restored_at: now, recorded_at: None });
    let orders = ledger.store().open_orders().await?;
    let details = json!({
        "epoch": epoch.number, "backedUpAt": epoch.backed_up_at.map(Timestamp::unix), "restoredAt": epoch.restored_at.unix(), "note": Personal(note),
    });
    let mut batch = Batch::default();
    // Every tenant's log goes on from where the backup ended, and says so.
    let tenants: BTreeSet<TenantName> = ledger.store().tenants().await?.into_iter().chain([instance()]).collect();
    for tenant in &tenants {
        batch.records.push(record(tenant, Stage::Done, actor, RECOVER, tenant.as_str(), details.clone(), now));
    }
    batch.changes.extend(open.is_none().then_some(Change::Recovery(RecoveryChange::Begin { at: now })));
    orders.iter().for_each(|order| take_back(order, actor, now, &mut batch));
    batch.changes.push(Change::Recovery(RecoveryChange::Record { at: now }));
    ledger.record((), batch).await?;
    ledger.settle(History { epoch: epoch.number, is_open: false });
    bells.ring_turn();
    bells.ring_carrier();
    let (backed_up_at, restored_at) = (epoch.backed_up_at.map(Timestamp::unix), epoch.restored_at.unix());
    Ok(Recovered { epoch: epoch.number, backed_up_at, restored_at, orders_cancelled: orders.len() as u64 })
}

fn take_back(order: &OrderRow, actor: &str, now: Timestamp, batch: &mut Batch) {
    let details = json!({ "order": order.id.to_string(), "because": "recovery" });
    for stage in [Stage::Intended, Stage::Done] {
        batch.records.push(record(&order.tenant, stage, actor, "order.cancel", &order.slot.to_string(), details.clone(), now));
    }
    batch.changes.push(Change::CancelOrder { id: order.id, at: now });
}

/// Notes that a device has followed a manifest that the database does not know. Its next one is counted from there, and made anew.
///
/// Believed only of a database that was put back: elsewhere no device can be ahead.
///
/// # Errors
/// If the database fails.
pub async fn ahead(ledger: &Ledger, bells: &Bells, device: &DeviceRow, seen: u64, now: Timestamp) -> Result<(), TurnError> {
    let (history, known) = (ledger.history(), device.manifest.generation);
    if history == History::default() {
        tracing::error!(device = %device.device, seen, known, "a device is ahead of the database: if that was put back from a copy, run `tegata state recover --by-hand`");
        return Ok(());
    }
    if seen - known > AHEAD_MAX {
        return Ok(());
    }
    let (tenant, name) = (device.tenant.clone(), device.device.clone());
    let manifest = Manifest { generation: seen, device: name.to_string(), ..Manifest::default() };
    let details = json!({ "known": known, "seen": seen });
    let actor = format!("device:{name}");
    let records = vec![record(&tenant, Stage::Seen, &actor, "device.ahead", &name.to_string(), details, now)];
    let policy = ledger.policy(&tenant).await?;
    let clinics = observe::concerned(ledger.store(), Some(&policy), &tenant, &name).await?;
    let nudges = clinics.into_iter().map(|clinic| Change::Nudge { clinic: ClinicId { tenant: tenant.clone(), clinic }, at: now });
    let ahead = Change::Recovery(RecoveryChange::Ahead { tenant: tenant.clone(), device: name, manifest: manifest.into() });
    let changes = std::iter::once(ahead).chain(nudges).collect();
    match ledger.record((), Batch { records, changes }).await {
        // Another request of the same device was faster.
        Err(StoreError::Conflict(_)) => Ok(()),
        done => {
            done?;
            bells.ring_turn();
            Ok(())
        }
    }
}

fn record(
    tenant: &TenantName,
    stage: Stage,
    actor: &str,
    action: &'static str,
    object: &str,
    details: serde_json::Value,
    at: Timestamp,
) -> NewRecord {
    NewRecord { tenant: tenant.clone(), at, stage, actor: actor.to_owned(), action, object: object.to_owned(), details }
}

#[cfg(test)]
mod tests;
