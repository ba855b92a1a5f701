//! Carries out what is on record: raises the manifests of the devices concerned. There is nothing left to decide.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_api::v1::device::{FileHash, Manifest};
use tegata_core::name::{ClinicId, ClinicName, DeviceId, Sha256};
use tegata_core::plan::Action;
use tegata_core::policy::{OnUnknown, Tenant};
use tegata_core::time::Timestamp;
use tegata_pki::key::sha256;

use super::observe::{self, Scene};
use crate::audit::{Ledger, Recorded, TEGATA};
use crate::bells::Bells;
use crate::manifest::{Holdings, Wishes, manifest};
use crate::store::{Batch, CertificateFilter, Change, DeviceRow, NewRecord, Snapshot, StoreError};

/// Brings the manifests of a clinic's devices in line with what is on record, and lets the clinic rest until `wake_at`.
///
/// What a manifest says is read from the database, never from memory: so it does not matter whether it was decided in this turn or in one
/// that a crash has cut off.
pub(crate) async fn carry_out(
    ledger: &Ledger,
    bells: &Bells,
    clinic: &ClinicId,
    scene: Scene,
    decided: Recorded<Vec<Action>>,
    wake_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let nudges = scene.snapshot.nudges;
    let policy = scene.policy.clone();
    let scene = if decided.get().is_empty() { scene } else { observe::read(ledger.store(), &policy, clinic, now).await? };
    let raised = raised(ledger, clinic, &scene, now).await?;
    let rest = Change::Rest { clinic: clinic.clone(), as_of: nudges, at: wake_at };
    let mut batch = Batch::default();
    for Raised { before, manifest } in &raised {
        batch.records.extend(records(before, manifest, now));
        batch.changes.push(Change::PutManifest {
            tenant: clinic.tenant.clone(),
            device: before.device.clone(),
            manifest: manifest.clone(),
        });
    }
    batch.changes.push(rest);
    if raised.is_empty() {
        return ledger.note(batch).await;
    }
    let devices = raised.into_iter().map(|raised| raised.before.device).collect();
    ring(bells, clinic, ledger.record(devices, batch).await?);
    Ok(())
}

/// Tells devices that their manifest moved: only once that is on record.
fn ring(bells: &Bells, clinic: &ClinicId, raised: Recorded<Vec<DeviceId>>) {
    for device in raised.get() {
        bells.ring_device(&clinic.tenant, device);
    }
}

/// A device, and the manifest that takes the place of the one it has.
struct Raised {
    before: DeviceRow,
    manifest: Manifest,
}

/// The devices of the clinic, guests included, for which the record now says something else than their manifest.
async fn raised(ledger: &Ledger, clinic: &ClinicId, scene: &Scene, now: Timestamp) -> Result<Vec<Raised>, StoreError> {
    let hosts = hosts(&scene.policy, scene.snapshot.devices.keys());
    let visiting = ledger.store().devices_away(clinic).await?;
    let home = by_device(&scene.snapshot);
    let mut wishes = Wishes::new(&scene.policy, roots(ledger, clinic, &scene.policy).await?);
    let mut raised = Vec::new();
    for (id, row) in scene.snapshot.devices.iter().filter(|(_, row)| row.revoked_at.is_none()) {
        let hosts = hosts.get(id).unwrap_or(const { &BTreeSet::new() });
        // The clinic's snapshot is all there is to know about a device, unless it holds slots of other clinics too.
        let mut made = if id.clinic == clinic.clinic && !visiting.contains(id) {
            manifest(&mut wishes, id, hosts, home.get(id).unwrap_or(const { &Holdings::empty() }))
        } else {
            elsewhere(ledger, clinic, id, |holdings| manifest(&mut wishes, id, hosts, holdings)).await?
        };
        made.remove_installers.retain(|file| !is_exempt(&scene.policy, id, file, now));
        let moving: BTreeSet<Sha256> = if id.clinic == clinic.clinic {
            scene.snapshot.quarantining.iter().filter(|(device, _)| device == id).map(|(_, file)| *file).collect()
        } else {
            ledger.store().installers_to_quarantine(&clinic.tenant, id).await?
        };
        made.quarantine = moved(&scene.policy, row, &moving, now);
        (made.generation, made.epoch) = (row.manifest.generation, ledger.history().epoch);
        if made != row.manifest {
            made.generation += 1;
            raised.push(Raised { before: row.clone(), manifest: made });
        }
    }
    Ok(raised)
}

/// The roots of the tenant's own issuers, if any profile asks for roots.
async fn roots(ledger: &Ledger, clinic: &ClinicId, policy: &Tenant) -> Result<BTreeMap<Sha256, Vec<u8>>, StoreError> {
    if policy.profiles.values().all(|profile| profile.trust.is_empty()) {
        return Ok(BTreeMap::new());
    }
    let rows = ledger.store().authorities(Some(&clinic.tenant)).await?;
    Ok(rows.into_iter().map(|row| (sha256(&row.certificate), row.certificate)).collect())
}

/// True for a file that was ordered away, and has been spared since.
fn is_exempt(policy: &Tenant, device: &DeviceId, file: &FileHash, now: Timestamp) -> bool {
    let rule = policy.clinics.get(&device.clinic).map(|clinic| &clinic.installers);
    let Ok(sha256) = file.sha256.parse() else { return false };
    rule.is_some_and(|rule| rule.exempt_until(&device.device, &sha256, now).is_some())
}

/// Files that were ordered out of the way, as the device has told them; none if policy has changed its mind.
fn moved(policy: &Tenant, row: &DeviceRow, moving: &BTreeSet<Sha256>, now: Timestamp) -> Vec<FileHash> {
    let rule = policy.clinics.get(&row.device.clinic).map(|clinic| &clinic.installers);
    let is_moving = |file: &&FileHash| file.sha256.parse().is_ok_and(|file| moving.contains(&file));
    let files = row.report.installers.iter().map(|seen| &seen.file).filter(is_moving);
    let files: BTreeSet<&FileHash> = files.filter(|file| !is_exempt(policy, &row.device, file, now)).collect();
    if rule.is_some_and(|rule| rule.on_unknown == OnUnknown::Quarantine) { files.into_iter().cloned().collect() } else { vec![] }
}

/// The clinics that each of these devices is a guest of.
fn hosts<'a>(policy: &Tenant, devices: impl Iterator<Item = &'a DeviceId>) -> BTreeMap<DeviceId, BTreeSet<ClinicName>> {
    let devices: BTreeSet<&DeviceId> = devices.collect();
    let mut hosts: BTreeMap<DeviceId, BTreeSet<ClinicName>> = BTreeMap::new();
    for clinic in policy.clinics.values() {
        for guest in clinic.guests.iter().filter(|guest| devices.contains(guest)) {
            hosts.entry(guest.clone()).or_default().insert(clinic.name.clone());
        }
    }
    hosts
}

fn by_device(snapshot: &Snapshot) -> BTreeMap<&DeviceId, Holdings<'_>> {
    let mut holdings: BTreeMap<&DeviceId, Holdings<'_>> = BTreeMap::new();
    for order in &snapshot.orders {
        holdings.entry(&order.slot.device).or_default().orders.push(order);
    }
    for row in &snapshot.certificates {
        holdings.entry(&row.slot.device).or_default().certificates.push(row);
    }
    for (device, file, _) in snapshot.installers.iter().filter(|(_, _, removing)| *removing) {
        holdings.entry(device).or_default().removing.push(file.clone());
    }
    for file in snapshot.recognized.iter().filter(|file| file.removing) {
        holdings.entry(&file.device).or_default().removing.push(file.file.clone());
    }
    // As the store gives them for one device.
    holdings.values_mut().for_each(|holdings| holdings.removing.sort());
    for tombstone in &snapshot.tombstones {
        holdings.entry(&tombstone.device).or_default().tombstones.push(tombstone.file.clone());
    }
    holdings
}

/// Asks for everything on one device, whichever clinic it belongs to.
async fn elsewhere(
    ledger: &Ledger,
    clinic: &ClinicId,
    device: &DeviceId,
    make: impl FnOnce(&Holdings<'_>) -> Manifest,
) -> Result<Manifest, StoreError> {
    let store = ledger.store();
    let orders = store.orders_on(&clinic.tenant, device).await?;
    let filter = CertificateFilter { device: Some(device.clone()), present: true, ..CertificateFilter::default() };
    let certificates = store.certificates(&clinic.tenant, filter).await?;
    let removing = store.installers_to_remove(&clinic.tenant, device).await?;
    let tombstones = store.tombstones(&clinic.tenant, device).await?.into_iter().map(|tombstone| tombstone.file).collect();
    Ok(make(&Holdings { orders: orders.iter().collect(), certificates: certificates.iter().collect(), removing, tombstones }))
}

/// What raising a manifest carries out: every removal that the device was not told of before.
fn records(before: &DeviceRow, manifest: &Manifest, now: Timestamp) -> Vec<NewRecord> {
    let record = |action: &'static str, details: serde_json::Value| NewRecord {
        tenant: before.tenant.clone(),
        at: now,
        stage: Stage::Done,
        actor: TEGATA.to_owned(),
        action,
        object: before.device.to_string(),
        details,
    };
    let generation = manifest.generation;
    let orders: Vec<&String> = manifest.slots.iter().filter_map(|slot| slot.order.as_ref()).collect();
    let mut records = vec![record("manifest.raise", json!({ "generation": generation, "orders": orders }))];
    for fingerprint in manifest.retire.iter().filter(|fingerprint| !before.manifest.retire.contains(fingerprint)) {
        records.push(record("certificate.retire", json!({ "generation": generation, "fingerprint": fingerprint })));
    }
    for file in manifest.remove_installers.iter().filter(|file| !before.manifest.remove_installers.contains(file)) {
        records.push(record("installer.remove", json!({ "generation": generation, "sha256": file.sha256 })));
    }
    for file in manifest.quarantine.iter().filter(|file| !before.manifest.quarantine.contains(file)) {
        records.push(record("installer.quarantine", json!({ "generation": generation, "sha256": file.sha256 })));
    }
    let added = |some: &Manifest, beside: &Manifest| -> Vec<String> {
        let roots = some.trust.iter().map(|root| &root.sha256);
        roots.filter(|pin| beside.trust.iter().all(|root| root.sha256 != **pin)).cloned().collect()
    };
    let moves = [("root.trust", added(manifest, &before.manifest)), ("root.distrust", added(&before.manifest, manifest))];
    for (action, pins) in moves {
        records.extend(pins.into_iter().map(|pin| record(action, json!({ "generation": generation, "fingerprint": pin }))));
    }
    records
}
