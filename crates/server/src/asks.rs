//! What people ask for by hand: renewals, revocations, and which files are installers.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tegata_api::v1::audit::Stage;
use tegata_api::v1::fleet::{RecordInstaller, RevokeRequest};
use tegata_core::name::{ClinicId, ClinicName, DeviceId, Label, Serial, Sha256, TenantName};
use tegata_core::plan::Reason;
use tegata_core::revocation::Cause;
use tegata_core::time::Timestamp;

use crate::approvals::ApprovalError;
use crate::audit::Ledger;
use crate::bells::Bells;
use crate::policy::PolicyError;
use crate::store::portal::PortalChange;
use crate::store::{Batch, CertificateFilter, CertificateRow, Change, DeviceRow, NewRecord, Personal, StoreError};
use crate::turn::observe;
use crate::words;

/// How often a wish is tried when others change the same things at the same moment.
const ATTEMPTS: u32 = 4;

/// Why a wish was not granted.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is no such thing in this tenant.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// It is too late for that.
    #[error("{0}")]
    Gone(&'static str),
    /// The wish itself makes no sense, such as a hash that is none.
    #[error("{0}")]
    Malformed(&'static str),
    /// Somebody else has to agree first.
    #[error(transparent)]
    Approval(#[from] ApprovalError),
    /// The database failed or the state changed meanwhile.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The policy cannot be had.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

/// Has a certificate replaced, however long it would still live.
pub async fn ask_renewal(
    ledger: &Ledger,
    bells: &Bells,
    tenant: &TenantName,
    serial: &Serial,
    actor: &str,
    now: Timestamp,
) -> Result<(), AskError> {
    let row = certificate(ledger, tenant, serial).await?;
    if row.retired_at.is_some() {
        return Err(AskError::Gone("the certificate is not on its device any more, so there is nothing to replace"));
    }
    let ask = Ask { tenant, actor, now };
    let asked = ask.record(Stage::Intended, "certificate.renew", &row.slot, json!({ "serial": serial.to_string() }));
    let changes = vec![Change::AskRenewal { tenant: tenant.clone(), slot: row.slot.clone() }, ask.nudge(row.slot.clinic)];
    ledger.record((), Batch { records: vec![asked], changes }).await?;
    bells.ring_turn();
    Ok(())
}

/// Makes a certificate invalid from now on. Repeating it changes nothing.
pub async fn revoke_certificate(
    ledger: &Ledger,
    bells: &Bells,
    tenant: &TenantName,
    serial: &Serial,
    why: &RevokeRequest,
    actor: &str,
    now: Timestamp,
) -> Result<(), AskError> {
    insist(|| try_revoke_certificate(ledger, bells, Ask { tenant, actor, now }, serial, why)).await
}

async fn try_revoke_certificate(
    ledger: &Ledger,
    bells: &Bells,
    ask: Ask<'_>,
    serial: &Serial,
    why: &RevokeRequest,
) -> Result<(), AskError> {
    let row = match certificate(ledger, ask.tenant, serial).await {
        Err(AskError::NotFound(_)) => return revoke_from_portal(ledger, bells, ask, serial, why).await,
        row => row?,
    };
    if row.revoked_at.is_some() {
        return Ok(());
    }
    let mut batch = Batch { records: vec![], changes: vec![ask.nudge(row.slot.clinic.clone())] };
    ask.revoke(&row, why.reason.into(), json!({ "serial": serial.to_string(), "note": Personal(&why.note) }), &mut batch);
    ledger.record((), batch).await?;
    bells.ring_turn();
    Ok(())
}

/// A certificate that a person has got from the portal is on no device that would have to be looked at.
async fn revoke_from_portal(ledger: &Ledger, bells: &Bells, ask: Ask<'_>, serial: &Serial, why: &RevokeRequest) -> Result<(), AskError> {
    let row = ledger.store().portal_certificate(serial).await?.filter(|row| row.draft.account.tenant == *ask.tenant);
    let row = row.ok_or(AskError::NotFound("certificate"))?;
    if row.revoked_at.is_some() {
        return Ok(());
    }
    let because = why.reason.into();
    let details = json!({ "serial": serial.to_string(), "memo": Personal(&row.draft.memo), "because": words::cause(because), "note": Personal(&why.note) });
    let object = crate::portal::object(&row.draft.account);
    let records = [Stage::Intended, Stage::Done].map(|stage| ask.record(stage, "portal.revoke", &object, details.clone()));
    let revoke = Change::Portal(PortalChange::Revoke { serial: *serial, at: ask.now, because });
    let changes = vec![revoke, ask.nudge(row.draft.account.clinic.clone())];
    ledger.record((), Batch { records: records.into(), changes }).await?;
    bells.ring_turn();
    Ok(())
}

/// Ends a device's identity: it is served nothing any more, and no certificate that it ever held is worth anything, not even one that it
/// says is gone. Repeating it changes nothing.
pub async fn revoke_device(
    ledger: &Ledger,
    bells: &Bells,
    tenant: &TenantName,
    device: &DeviceId,
    actor: &str,
    now: Timestamp,
) -> Result<(), AskError> {
    insist(|| try_revoke_device(ledger, bells, Ask { tenant, actor, now }, device)).await
}

async fn try_revoke_device(ledger: &Ledger, bells: &Bells, ask: Ask<'_>, device: &DeviceId) -> Result<(), AskError> {
    let (tenant, now) = (ask.tenant, ask.now);
    let row = ledger.store().device(tenant, device).await?.ok_or(AskError::NotFound("device"))?;
    if row.revoked_at.is_some() {
        return Ok(());
    }
    let details = json!({ "identity": row.identity.to_string() });
    let records = [Stage::Intended, Stage::Done].map(|stage| ask.record(stage, "device.revoke", device, details.clone()));
    let mut batch =
        Batch { records: records.into(), changes: vec![Change::RevokeDevice { tenant: tenant.clone(), device: device.clone(), at: now }] };
    let filter = CertificateFilter { device: Some(device.clone()), ..CertificateFilter::default() };
    for row in ledger.store().certificates(tenant, filter).await?.iter().filter(|row| row.revoked_at.is_none() && row.not_after >= now) {
        ask.revoke(row, Reason::DeviceRevoked.into(), json!({ "serial": row.serial.to_string() }), &mut batch);
    }
    batch.changes.extend(concerned(ledger, tenant, device).await?.into_iter().map(|clinic| ask.nudge(clinic)));
    ledger.record((), batch).await?;
    bells.ring_turn();
    // A request that is held for it has to end.
    bells.ring_device(tenant, device);
    Ok(())
}

/// Says that a file with these contents is an installer, which must not stay on a PC.
pub async fn record_installer(
    ledger: &Ledger,
    bells: &Bells,
    tenant: &TenantName,
    installer: &RecordInstaller,
    actor: &str,
    now: Timestamp,
) -> Result<(), AskError> {
    let sha256: Sha256 = installer.file.sha256.parse().map_err(|_| AskError::Malformed("sha256 must be 64 hexadecimal digits"))?;
    let name: Label = installer.name.parse().map_err(|_| AskError::Malformed("the name must be 1 to 64 readable characters"))?;
    let ask = Ask { tenant, actor, now };
    let details = json!({ "sha256": sha256.to_string(), "size": installer.file.size, "name": Personal(name.as_str()) });
    let record = ask.record(Stage::Done, "installer.record", &sha256, details);
    let file = installer.file.clone();
    let mut changes = vec![Change::PutInstaller { tenant: tenant.clone(), file, name: name.to_string(), order: None, at: now }];
    let seen: BTreeSet<ClinicName> =
        ledger.store().devices_with_file(tenant, &sha256).await?.into_iter().map(|device| device.clinic).collect();
    changes.extend(seen.into_iter().map(|clinic| ask.nudge(clinic)));
    ledger.record((), Batch { records: vec![record], changes }).await?;
    bells.ring_turn();
    Ok(())
}

/// What has to change beside [`Change::PutDevice`] when `device` enrols: the clinics that wait for it are looked at, and certificates
/// whose keys an earlier identity held are asked to be replaced. For the same batch as the `PutDevice`; ring the turn afterwards.
pub async fn on_enrolment(ledger: &Ledger, device: &DeviceRow, now: Timestamp) -> Result<Vec<Change>, AskError> {
    let tenant = &device.tenant;
    let ask = Ask { tenant, actor: "", now };
    let mut changes: Vec<Change> = concerned(ledger, tenant, &device.device).await?.into_iter().map(|clinic| ask.nudge(clinic)).collect();
    let before = ledger.store().device(tenant, &device.device).await?;
    if before.is_some_and(|before| before.identity != device.identity) {
        let filter = CertificateFilter { device: Some(device.device.clone()), present: true, ..CertificateFilter::default() };
        let held = ledger.store().certificates(tenant, filter).await?;
        let slots: BTreeSet<_> = held.into_iter().map(|row| row.slot).collect();
        changes.extend(slots.into_iter().map(|slot| Change::AskRenewal { tenant: tenant.clone(), slot }));
    }
    Ok(changes)
}

/// Somebody, now, in one tenant.
struct Ask<'a> {
    tenant: &'a TenantName,
    actor: &'a str,
    now: Timestamp,
}

impl Ask<'_> {
    fn record(&self, stage: Stage, action: &'static str, object: &impl ToString, details: Value) -> NewRecord {
        let (tenant, actor, object) = (self.tenant.clone(), self.actor.to_owned(), object.to_string());
        NewRecord { tenant, at: self.now, stage, actor, action, object, details }
    }

    /// Revocation lists are made from the database: once it is there, it is done.
    fn revoke(&self, row: &CertificateRow, because: Cause, mut details: Value, batch: &mut Batch) {
        details["reason"] = words::cause(because).into();
        let records = [Stage::Intended, Stage::Done].map(|stage| self.record(stage, "certificate.revoke", &row.slot, details.clone()));
        batch.records.extend(records);
        batch.changes.push(Change::Revoke { serial: row.serial, at: self.now, because });
    }

    fn nudge(&self, clinic: ClinicName) -> Change {
        Change::Nudge { clinic: ClinicId { tenant: self.tenant.clone(), clinic }, at: self.now }
    }
}

async fn certificate(ledger: &Ledger, tenant: &TenantName, serial: &Serial) -> Result<CertificateRow, AskError> {
    let found = ledger.store().certificate(serial).await?.filter(|row| row.tenant == *tenant);
    found.ok_or(AskError::NotFound("certificate"))
}

/// A policy that cannot be read names no guests, but a lost device has to be cut off all the same.
async fn concerned(ledger: &Ledger, tenant: &TenantName, device: &DeviceId) -> Result<BTreeSet<ClinicName>, AskError> {
    let policy = match ledger.policy(tenant).await {
        Ok(policy) => Some(policy),
        Err(PolicyError::Stored { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    Ok(observe::concerned(ledger.store(), policy.as_deref(), tenant, device).await?)
}

/// Tries again when somebody else was faster: each attempt begins with what is there now.
async fn insist<Attempt: Future<Output = Result<(), AskError>>>(attempt: impl Fn() -> Attempt) -> Result<(), AskError> {
    for _ in 1..ATTEMPTS {
        match attempt().await {
            Err(AskError::Store(StoreError::Conflict(_))) => {}
            settled => return settled,
        }
    }
    attempt().await
}
