//! What one device is told: made from policy and from what is on record, and from nothing else.

mod rules;

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::BASE64;
use tegata_api::v1::backup::Quorum;
use tegata_api::v1::device::{FileHash, Manifest, SlotManifest, Source};
use tegata_api::v1::trust::TrustRoot;
use tegata_core::backup::Keepers;
use tegata_core::desire::desire;
use tegata_core::fleet::{Desired, DesiredSlot, Supply};
use tegata_core::name::{ClinicName, DeviceId, Serial, Sha256, SlotId};
use tegata_core::policy::{IssuerKind, KeyOrigin, Store, Tenant};

use crate::store::{CertificateRow, OrderRow, OrderState};
use crate::words;

/// What is on record about one device, whichever clinics its slots belong to.
#[derive(Default)]
pub(crate) struct Holdings<'a> {
    /// The newest order of each slot that was not taken back.
    pub orders: Vec<&'a OrderRow>,
    /// At least the certificates that are not retired.
    pub certificates: Vec<&'a CertificateRow>,
    /// Installer files that were ordered away.
    pub removing: Vec<FileHash>,
    /// Installer files that were removed from it.
    pub tombstones: Vec<FileHash>,
}

impl Holdings<'_> {
    /// A device that holds nothing.
    pub(crate) const fn empty() -> Self {
        Self { orders: vec![], certificates: vec![], removing: vec![], tombstones: vec![] }
    }
}

/// How many removed files a device is told to look for; the others are still known by their names.
const TOMBSTONES_MAX: usize = 500;

/// Policy spelled out, clinic by clinic, as it is needed.
pub(crate) struct Wishes<'a> {
    policy: &'a Tenant,
    clinics: BTreeMap<ClinicName, Desired>,
    /// The roots that the server has, DER.
    roots: BTreeMap<Sha256, Vec<u8>>,
}

impl<'a> Wishes<'a> {
    pub(crate) fn new(policy: &'a Tenant, roots: BTreeMap<Sha256, Vec<u8>>) -> Self {
        Self { policy, clinics: BTreeMap::new(), roots }
    }

    fn of(&mut self, clinic: &ClinicName) -> &Desired {
        self.clinics.entry(clinic.clone()).or_insert_with(|| desire(self.policy, clinic))
    }

    /// Every slot that is desired on a device: those of its home clinic, and of the clinics that it is a guest of.
    fn slots_on<'w>(&'w mut self, device: &DeviceId, hosts: &BTreeSet<ClinicName>) -> BTreeMap<&'w SlotId, &'w DesiredSlot> {
        for clinic in hosts.iter().chain([&device.clinic]) {
            self.of(clinic);
        }
        let concerned = self.clinics.iter().filter(|(name, _)| **name == device.clinic || hosts.contains(*name));
        concerned.flat_map(|(_, desired)| desired.slots.iter()).filter(|(slot, _)| slot.device == *device).collect()
    }
}

/// Says everything that one device should have. Generation and epoch are left at 0: whoever keeps the manifest counts them.
pub(crate) fn manifest(wishes: &mut Wishes<'_>, device: &DeviceId, hosts: &BTreeSet<ClinicName>, holdings: &Holdings<'_>) -> Manifest {
    let policy = wishes.policy;
    let wanted = wishes.slots_on(device, hosts);
    let pins: BTreeSet<Sha256> = wanted.values().flat_map(|wanted| wanted.trust.iter().copied()).collect();
    let slots = wanted.into_iter().map(|(slot, wanted)| slot_manifest(policy, slot, wanted, holdings)).collect();
    let retire = holdings.certificates.iter().filter(|row| is_leaving(row)).map(|row| row.fingerprint.to_string());
    let rule = policy.clinics.get(&device.clinic).map(|clinic| &clinic.installers);
    Manifest {
        generation: 0,
        device: device.to_string(),
        slots,
        retire: sorted(retire),
        remove_installers: holdings.removing.clone(),
        // Known only to whoever has read what the device reports.
        quarantine: vec![],
        tombstones: holdings.tombstones.iter().take(TOMBSTONES_MAX).cloned().collect(),
        folders: rule.into_iter().flat_map(words::folders).collect(),
        trust: pins.iter().map(|pin| root(*pin, wishes)).collect(),
        epoch: 0,
    }
}

fn root(pin: Sha256, wishes: &Wishes<'_>) -> TrustRoot {
    TrustRoot { sha256: pin.to_string(), der: wishes.roots.get(&pin).map(|der| BASE64.encode(der)) }
}

fn is_leaving(row: &CertificateRow) -> bool {
    row.retiring_at.is_some() && row.retired_at.is_none()
}

fn slot_manifest(policy: &Tenant, slot: &SlotId, wanted: &DesiredSlot, holdings: &Holdings<'_>) -> SlotManifest {
    let order = holdings.orders.iter().copied().find(|order| order.slot == *slot && !is_over(order, holdings));
    let supplied = order.and_then(|order| Some((order, source(policy, wanted, order, holdings)?)));
    let staying: Vec<&CertificateRow> = staying(slot, holdings).collect();
    // Where something depends on the certificate, what was replaced goes only when a person has said so.
    let replaces = supplied.as_ref().filter(|_| wanted.dependants.is_empty()).map(|(order, _)| fingerprints(&order.replaces, holdings));
    let is_kept = wanted.stores.contains(&Store::Monsiaj);
    let (backup, quorum) = Quorum::told(if is_kept { keepers(policy, &slot.clinic) } else { Keepers::each(vec![]) });
    SlotManifest {
        slot: slot.to_string(),
        order: supplied.as_ref().map(|(order, _)| order.id.to_string()),
        source: supplied.map(|(_, source)| source).unwrap_or_default(),
        key: words::key(wanted.template.key).to_owned(),
        label: label(policy, slot),
        stores: wanted.stores.iter().map(|store| words::store(*store).to_owned()).collect(),
        select: rules::of(policy, wanted, &staying),
        probe: wanted.probe.clone(),
        replaces: replaces.unwrap_or_default(),
        backup,
        quorum,
    }
}

fn staying<'a>(slot: &'a SlotId, holdings: &'a Holdings<'_>) -> impl Iterator<Item = &'a CertificateRow> {
    holdings.certificates.iter().copied().filter(move |row| row.slot == *slot && row.retiring_at.is_none() && row.retired_at.is_none())
}

/// Where the device gets the certificate of an order; `None` while it can do nothing but wait for a person.
fn source(policy: &Tenant, wanted: &DesiredSlot, order: &OrderRow, holdings: &Holdings<'_>) -> Option<Source> {
    if order.template.key != KeyOrigin::Vendor {
        return Some(Source::Request);
    }
    match (order.state, order.found) {
        (OrderState::Fulfilled, _) => {
            let row = staying(&order.slot, holdings).find(|row| row.order == order.id)?;
            Some(Source::Bundle { fingerprint: row.fingerprint.to_string() })
        }
        (OrderState::Open, Some(found)) => Some(Source::Found { fingerprint: found.to_string() }),
        (OrderState::Open, None) if wanted.supply == Supply::Renewal => renewal(policy, order, holdings),
        (OrderState::Open, None) | (OrderState::Cancelled, _) => None,
    }
}

/// The vendor's call, with the newest certificate that was proven. Whether it is still valid the vendor will say.
fn renewal(policy: &Tenant, order: &OrderRow, holdings: &Holdings<'_>) -> Option<Source> {
    let IssuerKind::Orcamo { url } = &policy.issuers.get(&order.template.issuer)?.kind else { return None };
    let current = staying(&order.slot, holdings).filter(|row| row.proven_at.is_some() && row.revoked_at.is_none()).last()?;
    let (backup, quorum) = Quorum::told(keepers(policy, &order.slot.clinic));
    Some(Source::Renewal { url: url.clone(), current: current.fingerprint.to_string(), backup, quorum })
}

/// The keepers of a clinic's backups, each once. Where it takes several of them, all targets name the same.
pub(crate) fn keepers(policy: &Tenant, clinic: &ClinicName) -> Keepers {
    let named = policy.clinics.get(clinic).into_iter().flat_map(|clinic| &clinic.backup.targets);
    let all = || named.clone().filter_map(|target| policy.targets.get(target)).map(|target| &target.keepers);
    let threshold = all().map(|keepers| keepers.threshold).max().unwrap_or(1);
    Keepers { threshold, of: sorted(all().flat_map(|keepers| keepers.of.iter().cloned())) }
}

/// A fulfilled order whose certificate left the device is history: naming it would have the agent make it again.
fn is_over(order: &OrderRow, holdings: &Holdings<'_>) -> bool {
    let stays = |row: &&CertificateRow| row.order == order.id && row.retiring_at.is_none() && row.retired_at.is_none();
    match order.state {
        OrderState::Open => false,
        OrderState::Fulfilled => !holdings.certificates.iter().copied().any(|row| stays(&row)),
        OrderState::Cancelled => true,
    }
}

fn label(policy: &Tenant, slot: &SlotId) -> String {
    let clinic = policy.clinics.get(&slot.clinic).map_or(slot.clinic.as_str(), |clinic| clinic.display_name.as_str());
    format!("{clinic} {}", slot.profile)
}

fn fingerprints(serials: &[Serial], holdings: &Holdings<'_>) -> Vec<String> {
    let replaced = holdings.certificates.iter().filter(|row| row.retired_at.is_none() && serials.contains(&row.serial));
    sorted(replaced.map(|row| row.fingerprint.to_string()))
}

fn sorted(texts: impl Iterator<Item = String>) -> Vec<String> {
    texts.collect::<BTreeSet<_>>().into_iter().collect()
}
