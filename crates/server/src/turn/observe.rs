//! Gathers what one clinic's plan is made from: what policy asks for, and what is on record.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tegata_api::v1::device::InstallerSeen;
use tegata_core::desire::desire;
use tegata_core::fleet::{Desired, Held, Loose, Observed, ObservedAccount, ObservedDevice, ObservedSlot, OpenOrder, Progress};
use tegata_core::name::{ClinicId, ClinicName, DeviceId, Sha256, SlotId, TargetName, TenantName};
use tegata_core::policy::{ClinicNetwork, OnReturn, Tenant};
use tegata_core::time::{DAY, Timestamp};

use crate::backup;
use crate::store::backup::{Backed, CopyRow, Kind};
use crate::store::{CertificateRow, DeviceRow, OrderRow, OrderState, Snapshot, Store, StoreError};

/// How many of a slot's issuances the circuit breaker is told of.
const ISSUED_MAX: usize = 16;

/// One clinic at one moment.
pub(crate) struct Scene {
    pub policy: Arc<Tenant>,
    pub desired: Desired,
    pub snapshot: Snapshot,
    pub observed: Observed,
}

/// Reads one clinic as it is now.
pub(crate) async fn read(store: &dyn Store, policy: &Arc<Tenant>, clinic: &ClinicId, now: Timestamp) -> Result<Scene, StoreError> {
    let desired = desire(policy, &clinic.clinic);
    let (snapshot, observed) = observe(store, policy, clinic, &[&desired], now).await?;
    Ok(Scene { policy: policy.clone(), desired, snapshot, observed })
}

/// Reads what is on record about one clinic, as far as any of these wishes could need it.
pub(crate) async fn observe(
    store: &dyn Store,
    policy: &Tenant,
    clinic: &ClinicId,
    wishes: &[&Desired],
    now: Timestamp,
) -> Result<(Snapshot, Observed), StoreError> {
    let since = now.before(history(wishes));
    let mut snapshot = store.snapshot(clinic, since).await?;
    for guest in strangers(&snapshot, wishes) {
        if let Some(row) = store.device(&clinic.tenant, &guest).await? {
            snapshot.devices.insert(guest, row);
        }
    }
    let observed = observed(policy, clinic, &snapshot, now, since);
    Ok((snapshot, observed))
}

/// Every clinic that could be concerned by something that happens to a device: its home, those that it is a guest of, and those that it
/// holds slots of.
pub(crate) async fn concerned(
    store: &dyn Store,
    policy: Option<&Tenant>,
    tenant: &TenantName,
    device: &DeviceId,
) -> Result<BTreeSet<ClinicName>, StoreError> {
    let mut clinics: BTreeSet<ClinicName> = policy.into_iter().flat_map(|policy| hosts(policy, device)).cloned().collect();
    clinics.insert(device.clinic.clone());
    clinics.extend(store.orders_on(tenant, device).await?.into_iter().map(|order| order.slot.clinic));
    Ok(clinics)
}

/// Clinics that a device is a guest of.
pub(crate) fn hosts<'a>(policy: &'a Tenant, device: &'a DeviceId) -> impl Iterator<Item = &'a ClinicName> {
    policy.clinics.values().filter(|clinic| clinic.guests.contains(device)).map(|clinic| &clinic.name)
}

/// How far back issuance counts: the longest quota span, and at least a day for the circuit breaker.
fn history(wishes: &[&Desired]) -> Duration {
    let spans = wishes.iter().flat_map(|desired| desired.quotas.values()).flatten().filter_map(|quota| quota.per);
    spans.max().unwrap_or_default().max(DAY)
}

/// Devices that are wished for and not in the snapshot yet: guests that hold nothing so far.
fn strangers(snapshot: &Snapshot, wishes: &[&Desired]) -> BTreeSet<DeviceId> {
    let wished = wishes.iter().flat_map(|desired| desired.slots.keys()).map(|slot| &slot.device);
    wished.filter(|device| !snapshot.devices.contains_key(device)).cloned().collect()
}

/// Puts rows into the words of the plan.
fn observed(policy: &Tenant, clinic: &ClinicId, snapshot: &Snapshot, now: Timestamp, since: Timestamp) -> Observed {
    let mut observed = Observed { devices: devices(clinic, snapshot), ..Observed::default() };
    for row in &snapshot.certificates {
        let slot = observed.slots.entry(row.slot.clone()).or_default();
        slot.issued_at.push(row.issued_at);
        if row.retired_at.is_none() {
            slot.retiring.extend(row.retiring_at.map(|_| row.serial));
            slot.certificates.push(held(row, policy, snapshot, now));
        }
        if let Some(account) = &row.account {
            count(observed.accounts.entry(account.clone()).or_default(), row, now, since);
        }
    }
    for seat in &snapshot.portal {
        let account = observed.accounts.entry(seat.account.clone()).or_default();
        account.alive += u32::from(seat.takes_a_place_until >= now);
        account.issued_at.extend(Some(seat.applied_at).filter(|at| *at >= since));
    }
    for order in snapshot.orders.iter().filter(|order| order.state == OrderState::Open) {
        observed.slots.entry(order.slot.clone()).or_default().order = Some(open(order));
    }
    for slot in &snapshot.renewals_asked {
        observed.slots.entry(slot.clone()).or_default().renewal_asked = true;
    }
    observed.slots.values_mut().for_each(forget_all_but_the_last);
    observed
}

fn forget_all_but_the_last(slot: &mut ObservedSlot) {
    let surplus = slot.issued_at.len().saturating_sub(ISSUED_MAX);
    slot.issued_at.drain(..surplus);
}

fn devices(clinic: &ClinicId, snapshot: &Snapshot) -> BTreeMap<DeviceId, ObservedDevice> {
    let mut devices: BTreeMap<_, _> = snapshot.devices.iter().map(|(id, row)| (id.clone(), device(row))).collect();
    for (id, file, removing) in &snapshot.installers {
        let (Some(device), Ok(sha256)) = (devices.get_mut(id), file.sha256.parse()) else { continue };
        device.installers.insert(sha256);
        if *removing {
            device.removing.insert(sha256);
        }
    }
    for file in &snapshot.recognized {
        let (Some(device), Ok(sha256)) = (devices.get_mut(&file.device), file.file.sha256.parse()) else { continue };
        device.recognized.insert(sha256, file.certificates.iter().map(|(_, known)| known.clone()).collect());
        if file.removing {
            device.removing.insert(sha256);
        }
    }
    for (id, file) in &snapshot.quarantining {
        devices.entry(id.clone()).and_modify(|device| device.quarantining.extend([*file]));
    }
    for (id, device) in &mut devices {
        let Some(row) = snapshot.devices.get(id).filter(|row| row.device.clinic == clinic.clinic) else { continue };
        let is_known = |sha256: &Sha256| device.installers.contains(sha256) || device.recognized.contains_key(sha256);
        let files = unknown(row).filter(|file| !is_known(file) && !snapshot.restored.contains(&(id.clone(), *file))).collect();
        device.unknown = files;
    }
    devices
}

/// Files with a private key that lie about, as the device has told them.
fn unknown(row: &DeviceRow) -> impl Iterator<Item = Sha256> {
    let has_key = |seen: &&InstallerSeen| !seen.quarantined && seen.inside.as_ref().is_some_and(|inside| inside.keys > 0);
    row.report.installers.iter().filter(has_key).filter_map(|seen| seen.file.sha256.parse().ok())
}

fn device(row: &DeviceRow) -> ObservedDevice {
    ObservedDevice {
        last_seen: row.last_seen,
        clock_offset: row.clock_offset,
        revoked: row.revoked_at.is_some(),
        installers: BTreeSet::new(),
        removing: BTreeSet::new(),
        recognized: BTreeMap::new(),
        unknown: BTreeSet::new(),
        quarantining: BTreeSet::new(),
    }
}

fn held(row: &CertificateRow, policy: &Tenant, snapshot: &Snapshot, now: Timestamp) -> Held {
    let progress = match (row.proven_at, row.installed_at) {
        (Some(_), _) => Progress::Proven,
        (None, Some(_)) => Progress::Installed,
        (None, None) => Progress::Issued,
    };
    Held {
        serial: row.serial,
        fingerprint: row.fingerprint,
        template: row.template.clone(),
        account: row.account.clone(),
        not_before: row.not_before,
        not_after: row.not_after,
        progress,
        revoked: row.revoked_at.is_some(),
        confirmed: snapshot.confirmations.get(&row.serial).into_iter().flatten().filter_map(|name| name.parse().ok()).collect(),
        backed_up: backed_up(row, policy, snapshot, now),
        exposed: snapshot.exposed.contains(&row.order) && policy.clinics.get(&row.slot.clinic).is_some_and(rotates),
    }
}

fn rotates(clinic: &ClinicNetwork) -> bool {
    clinic.installers.on_return == OnReturn::Rotate
}

/// The targets in which the file of a certificate lies and can be relied on; nothing if there is no file.
fn backed_up(row: &CertificateRow, policy: &Tenant, snapshot: &Snapshot, now: Timestamp) -> Option<BTreeSet<TargetName>> {
    let is_its = |backed: &&Backed| backed.backup.order == row.order && backed.backup.kind == Kind::File;
    let newest = snapshot.backups.iter().rfind(is_its)?;
    let is_meant = |copy: &CopyRow| {
        policy.targets.get(&copy.target).is_some_and(|target| backup::is_meant(copy, target) && backup::drill::is_fresh(copy, target, now))
    };
    let whole = newest.copies.iter().filter(|copy| !copy.is_gone && copy.is_whole(now) && is_meant(copy));
    Some(whole.map(|copy| copy.target.clone()).collect())
}

fn open(order: &OrderRow) -> OpenOrder {
    OpenOrder { id: order.id, template: order.template.clone(), account: order.account.clone(), opened_at: order.opened_at }
}

fn count(account: &mut ObservedAccount, row: &CertificateRow, now: Timestamp, since: Timestamp) {
    let alive = row.retired_at.is_none() && row.revoked_at.is_none() && row.not_after >= now;
    account.alive += u32::from(alive);
    if row.issued_at >= since {
        account.issued_at.push(row.issued_at);
        account.unrevoked_at.extend(row.revoked_at.is_none().then_some(row.issued_at));
    }
    if row.retired_at.is_some() && row.revoked_at.is_none() && row.not_after >= now {
        account.loose.push(Loose { slot: row.slot.clone(), serial: row.serial, not_after: row.not_after });
    }
}

/// The slots of one clinic that have an order which is not taken back, newest order for each.
pub(crate) fn newest_orders(snapshot: &Snapshot) -> BTreeMap<&SlotId, &OrderRow> {
    snapshot.orders.iter().map(|order| (&order.slot, order)).collect()
}
