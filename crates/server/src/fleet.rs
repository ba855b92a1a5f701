//! The fleet as people see it: clinics, devices, slots, certificates and what is planned for them.
//!
//! Everything is read and planned afresh, by the very same functions as in a turn: what is shown is what would be done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use tegata_api::v1::diagnosis::Diagnosis;
use tegata_api::v1::fleet::{Action, Certificate, Clinic, Device, DeviceDetail, DocumentInForce, Generation, Slot};
use tegata_api::v1::trust::{DeviceRoot, TrustRoot};
use tegata_core::name::{ClinicId, ClinicName, DeviceId, SlotId, TenantName};
use tegata_core::plan::{Plan, Reason, plan};
use tegata_core::policy::Tenant;
use tegata_core::time::{HOUR, Timestamp};

use crate::audit::Ledger;
use crate::store::{CertificateFilter, CertificateRow, DeviceRow, DocumentRow, StoreError};
use crate::turn::TurnError;
use crate::turn::observe::{self, Scene};
use crate::words;

/// How long an agent may have been silent and still count as answering. That it was heard is written down every ten minutes at most.
pub(crate) const ANSWERS_WITHIN: Duration = HOUR;
/// How many clinics are read at the same time.
const READS_AT_ONCE: usize = 4;

/// The documents in force, by kind and name. They can be had even if they are not acceptable any more.
pub async fn documents(ledger: &Ledger, tenant: &TenantName) -> Result<Vec<DocumentInForce>, StoreError> {
    Ok(ledger.store().documents(tenant).await?.into_iter().map(document).collect())
}

/// Clinics at a glance.
pub async fn clinics(ledger: &Ledger, tenant: &TenantName, clinic: Option<&ClinicName>, now: Timestamp) -> Result<Vec<Clinic>, TurnError> {
    let wakes = ledger.store().clinics(tenant).await?;
    let views = views(ledger, tenant, &names(ledger, tenant, clinic).await?, now).await?;
    let views = views.iter().filter(|view| !view.is_past());
    Ok(views.map(|view| view.clinic(wakes.get(&view.name).copied().flatten())).collect())
}

/// True for a clinic that policy names, or that something is left of.
pub async fn knows(ledger: &Ledger, tenant: &TenantName, clinic: &ClinicName) -> Result<bool, TurnError> {
    Ok(names(ledger, tenant, None).await?.contains(clinic))
}

/// Devices at a glance: those that policy names, and those that enrolled once.
pub async fn devices(ledger: &Ledger, tenant: &TenantName, clinic: Option<&ClinicName>, now: Timestamp) -> Result<Vec<Device>, TurnError> {
    let policy = ledger.policy(tenant).await?;
    let mut rows: BTreeMap<DeviceId, Option<DeviceRow>> = named_devices(&policy).into_iter().map(|device| (device, None)).collect();
    rows.extend(ledger.store().devices(tenant).await?.into_iter().map(|row| (row.device.clone(), Some(row))));
    rows.retain(|device, _| clinic.is_none_or(|clinic| device.clinic == *clinic));
    let mut concerned: BTreeSet<ClinicName> = names(ledger, tenant, clinic).await?;
    concerned.extend(rows.keys().flat_map(|device| observe::hosts(&policy, device)).cloned());
    let views = views(ledger, tenant, &concerned, now).await?;
    Ok(rows.iter().map(|(device, row)| glance(&policy, device, row.as_ref(), &slots_on(&views, device))).collect())
}

/// Slots at a glance.
pub async fn slots(ledger: &Ledger, tenant: &TenantName, clinic: Option<&ClinicName>, now: Timestamp) -> Result<Vec<Slot>, TurnError> {
    let views = views(ledger, tenant, &names(ledger, tenant, clinic).await?, now).await?;
    Ok(views.iter().flat_map(View::slots).map(|(_, slot)| slot).collect())
}

/// Certificates, newest first.
pub async fn certificates(ledger: &Ledger, tenant: &TenantName, clinic: Option<&ClinicName>) -> Result<Vec<Certificate>, TurnError> {
    let filter = CertificateFilter { clinic: clinic.cloned(), ..CertificateFilter::default() };
    let rows = ledger.store().certificates(tenant, filter).await?;
    Ok(rows.iter().rev().map(certificate).collect())
}

/// What a turn taken now would do, and what it would knowingly leave.
pub async fn actions(ledger: &Ledger, tenant: &TenantName, clinic: Option<&ClinicName>, now: Timestamp) -> Result<Vec<Action>, TurnError> {
    let views = views(ledger, tenant, &names(ledger, tenant, clinic).await?, now).await?;
    let actions = views.iter().flat_map(|view| view.plan.actions.iter().map(|action| words::action(&view.name, action)));
    Ok(actions.collect())
}

/// One device in full; `None` if neither policy nor the database knows it.
pub async fn device_detail(
    ledger: &Ledger,
    tenant: &TenantName,
    device: &DeviceId,
    now: Timestamp,
) -> Result<Option<DeviceDetail>, TurnError> {
    let policy = ledger.policy(tenant).await?;
    let row = ledger.store().device(tenant, device).await?;
    if row.is_none() && !named_devices(&policy).contains(device) {
        return Ok(None);
    }
    let concerned = observe::concerned(ledger.store(), Some(&policy), tenant, device).await?;
    let views = views(ledger, tenant, &concerned, now).await?;
    let slots = slots_on(&views, device);
    let glance = glance(&policy, device, row.as_ref(), &slots);
    let generation = row
        .as_ref()
        .map_or_else(Generation::default, |row| Generation { newest: row.manifest.generation, accepted: row.report.generation });
    let facts = row.as_ref().map(|row| row.facts.clone());
    let roots = row.as_ref().map(roots).unwrap_or_default();
    let report = row.map(|row| row.report).unwrap_or_default();
    let (reports, installers_seen, notes) = (report.slots, report.installers, report.notes);
    Ok(Some(DeviceDetail { device: glance, facts, generation, slots, reports, installers_seen, notes, roots }))
}

/// One clinic, read and planned.
pub(crate) struct View {
    pub name: ClinicName,
    pub scene: Scene,
    pub plan: Plan,
}

/// Reads and plans these clinics, in their order.
pub(crate) async fn views(
    ledger: &Ledger,
    tenant: &TenantName,
    names: &BTreeSet<ClinicName>,
    now: Timestamp,
) -> Result<Vec<View>, TurnError> {
    let policy = &ledger.policy(tenant).await?;
    let ids: Vec<ClinicId> = names.iter().map(|name| ClinicId { tenant: tenant.clone(), clinic: name.clone() }).collect();
    let reads = futures::stream::iter(ids).map(|id| view(ledger, policy, id, now));
    reads.buffered(READS_AT_ONCE).try_collect().await
}

async fn view(ledger: &Ledger, policy: &Arc<Tenant>, id: ClinicId, now: Timestamp) -> Result<View, TurnError> {
    let scene = observe::read(ledger.store(), policy, &id, now).await?;
    let plan = plan(&scene.desired, &scene.observed, now);
    Ok(View { name: id.clinic, scene, plan })
}

/// The clinic that was asked for, or all that policy names or ever named.
pub(crate) async fn names(ledger: &Ledger, tenant: &TenantName, clinic: Option<&ClinicName>) -> Result<BTreeSet<ClinicName>, TurnError> {
    if let Some(clinic) = clinic {
        return Ok([clinic.clone()].into());
    }
    let policy = ledger.policy(tenant).await?;
    let kept = ledger.store().clinics(tenant).await?;
    Ok(policy.clinics.keys().cloned().chain(kept.into_keys()).collect())
}

impl View {
    /// True for a clinic that left policy and that nothing is left of.
    pub fn is_past(&self) -> bool {
        !self.scene.policy.clinics.contains_key(&self.name) && self.plan.verdicts.is_empty()
    }

    fn clinic(&self, wake_at: Option<Timestamp>) -> Clinic {
        let network = self.scene.policy.clinics.get(&self.name);
        let own = |device: &&DeviceRow| device.device.clinic == self.name && device.revoked_at.is_none();
        let named = |device: &&DeviceRow| network.is_some_and(|network| network.devices.contains_key(&device.device.device));
        let slots: Vec<Slot> = self.slots().filter(|(id, _)| self.scene.desired.slots.contains_key(id)).map(|(_, slot)| slot).collect();
        Clinic {
            name: self.name.to_string(),
            display_name: network.map_or(self.name.as_str(), |network| network.display_name.as_str()).to_owned(),
            devices: count(network.map_or(0, |network| network.devices.len())),
            enrolled: count(self.scene.snapshot.devices.values().filter(own).filter(named).count()),
            slots: count(self.scene.desired.slots.len()),
            ready: ready(&slots),
            next_expiry: slots.iter().filter_map(|slot| slot.not_after).min(),
            wake_at: wake_at.map(Timestamp::unix),
        }
    }

    /// Every slot that is wanted or not empty.
    pub fn slots(&self) -> impl Iterator<Item = (&SlotId, Slot)> {
        self.plan.verdicts.iter().map(|(id, verdict)| (id, self.slot(id, *verdict)))
    }

    fn slot(&self, id: &SlotId, verdict: Option<Reason>) -> Slot {
        let newest = self.scene.snapshot.certificates.iter().rfind(|row| row.slot == *id && row.retired_at.is_none());
        let account = self.scene.desired.slots.get(id).and_then(|slot| slot.account.as_ref());
        Slot {
            name: id.to_string(),
            state: verdict.map_or("ready", words::reason).to_owned(),
            serial: newest.map(|row| row.serial.to_string()),
            not_after: newest.map(|row| row.not_after.unix()),
            proven_at: newest.and_then(|row| row.proven_at).map(Timestamp::unix),
            account: account.map(ToString::to_string),
        }
    }
}

fn slots_on(views: &[View], device: &DeviceId) -> Vec<Slot> {
    views.iter().flat_map(View::slots).filter(|(id, _)| id.device == *device).map(|(_, slot)| slot).collect()
}

fn named_devices(policy: &Tenant) -> BTreeSet<DeviceId> {
    let named = policy.clinics.values().flat_map(|clinic| clinic.devices.keys().map(|device| (&clinic.name, device)));
    named.map(|(clinic, device)| DeviceId { clinic: clinic.clone(), device: device.clone() }).collect()
}

fn glance(policy: &Tenant, device: &DeviceId, row: Option<&DeviceRow>, slots: &[Slot]) -> Device {
    let named = policy.clinics.get(&device.clinic).and_then(|clinic| clinic.devices.get(&device.device));
    let state = match row {
        None => "not-enrolled",
        Some(row) if row.revoked_at.is_some() => "revoked",
        Some(_) => "enrolled",
    };
    Device {
        name: device.to_string(),
        platform: named.map(|named| words::platform(named.platform).to_owned()).unwrap_or_default(),
        memo: named.and_then(|named| named.memo.as_ref()).map(ToString::to_string),
        state: state.to_owned(),
        last_seen: row.map(|row| row.last_seen.unix()),
        clock_offset: row.map(|row| row.clock_offset),
        ready: ready(slots),
        slots: count(slots.len()),
        installers: count(row.map_or(0, |row| row.report.installers.len())),
        diagnosis: row.and_then(diagnosis),
    }
}

/// What a device is told to trust, and how far it says that it is.
fn roots(row: &DeviceRow) -> Vec<DeviceRoot> {
    let state = |root: &TrustRoot| row.report.roots.iter().find(|report| report.sha256 == root.sha256).map(|report| report.state);
    row.manifest.trust.iter().map(|root| DeviceRoot { state: state(root), root: root.clone() }).collect()
}

/// A clock that is wrong must not make a diagnosis look old.
fn diagnosis(row: &DeviceRow) -> Option<Diagnosis> {
    let made = row.report.diagnosis.clone()?;
    Some(Diagnosis { at: made.at.saturating_sub(row.clock_offset), ..made })
}

fn document(row: DocumentRow) -> DocumentInForce {
    let DocumentRow { kind, name, revision, body, author, applied_at } = row;
    DocumentInForce { kind, name, revision, author, applied_at: applied_at.unix(), document: body }
}

fn certificate(row: &CertificateRow) -> Certificate {
    let steps = [(row.revoked_at, "revoked"), (row.retired_at, "retired"), (row.proven_at, "proven"), (row.installed_at, "installed")];
    let state = steps.into_iter().find(|(at, _)| at.is_some()).map_or("issued", |(_, state)| state);
    Certificate {
        serial: row.serial.to_string(),
        fingerprint: row.fingerprint.to_string(),
        slot: row.slot.to_string(),
        state: state.to_owned(),
        not_before: row.not_before.unix(),
        not_after: row.not_after.unix(),
        revoked_at: row.revoked_at.map(Timestamp::unix),
    }
}

fn ready(slots: &[Slot]) -> u32 {
    count(slots.iter().filter(|slot| slot.state == "ready").count())
}

/// A number as the wire takes it.
pub(crate) fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
