//! What one device is told: made from policy and from what is on record, and from nothing else.

use std::collections::{BTreeMap, BTreeSet};

use tegata_api::v1::device::{BrowserRule, FileHash, Manifest, SlotManifest};
use tegata_core::desire::desire;
use tegata_core::fleet::{Desired, DesiredSlot, Template};
use tegata_core::name::{ClinicName, DeviceId, Serial, SlotId};
use tegata_core::policy::{IssuerKind, Tenant};

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
}

impl Holdings<'_> {
    /// A device that holds nothing.
    pub(crate) const fn empty() -> Self {
        Self { orders: vec![], certificates: vec![], removing: vec![] }
    }
}

/// Policy spelled out, clinic by clinic, as it is needed.
pub(crate) struct Wishes<'a> {
    policy: &'a Tenant,
    clinics: BTreeMap<ClinicName, Desired>,
}

impl<'a> Wishes<'a> {
    pub(crate) fn new(policy: &'a Tenant) -> Self {
        Self { policy, clinics: BTreeMap::new() }
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

/// Says everything that one device should have. The generation is left at 0: whoever keeps the manifest counts it.
pub(crate) fn manifest(wishes: &mut Wishes<'_>, device: &DeviceId, hosts: &BTreeSet<ClinicName>, holdings: &Holdings<'_>) -> Manifest {
    let policy = wishes.policy;
    let slots = wishes.slots_on(device, hosts).into_iter().map(|(slot, wanted)| slot_manifest(policy, slot, wanted, holdings)).collect();
    let retire = holdings.certificates.iter().filter(|row| is_leaving(row)).map(|row| row.fingerprint.to_string());
    let folders = policy.clinics.get(&device.clinic).map(|clinic| &clinic.installers.folders);
    Manifest {
        generation: 0,
        device: device.to_string(),
        slots,
        retire: sorted(retire),
        remove_installers: holdings.removing.clone(),
        folders: folders.into_iter().flatten().map(|folder| words::folder(*folder).to_owned()).collect(),
    }
}

fn is_leaving(row: &CertificateRow) -> bool {
    row.retiring_at.is_some() && row.retired_at.is_none()
}

fn slot_manifest(policy: &Tenant, slot: &SlotId, wanted: &DesiredSlot, holdings: &Holdings<'_>) -> SlotManifest {
    let order = holdings.orders.iter().find(|order| order.slot == *slot && !is_over(order, holdings));
    let staying = holdings.certificates.iter().filter(|row| row.slot == *slot && row.retiring_at.is_none() && row.retired_at.is_none());
    let templates: BTreeSet<&Template> = staying.map(|row| &row.template).chain([&wanted.template]).collect();
    SlotManifest {
        slot: slot.to_string(),
        order: order.map(|order| order.id.to_string()),
        key: words::key(wanted.template.key).to_owned(),
        label: label(policy, slot),
        stores: wanted.stores.iter().map(|store| words::store(*store).to_owned()).collect(),
        select: browser_rules(policy, &wanted.select, &templates),
        probe: wanted.probe.clone(),
        replaces: order.map(|order| fingerprints(&order.replaces, holdings)).unwrap_or_default(),
    }
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

/// For every site, a rule for each certificate that is or will be in the slot: what is there keeps working until it is replaced.
fn browser_rules(policy: &Tenant, sites: &[String], templates: &BTreeSet<&Template>) -> Vec<BrowserRule> {
    let rule = |site: &String, template: &Template| {
        let IssuerKind::Ca { common_name } = &policy.issuers.get(&template.issuer)?.kind else { return None };
        Some(BrowserRule {
            pattern: site.clone(),
            issuer_common_name: common_name.to_string(),
            subject_organization: template.organization.clone(),
        })
    };
    let rules: BTreeSet<_> = sites.iter().flat_map(|site| templates.iter().filter_map(move |template| rule(site, template))).collect();
    rules.into_iter().collect()
}

fn fingerprints(serials: &[Serial], holdings: &Holdings<'_>) -> Vec<String> {
    let replaced = holdings.certificates.iter().filter(|row| row.retired_at.is_none() && serials.contains(&row.serial));
    sorted(replaced.map(|row| row.fingerprint.to_string()))
}

fn sorted(texts: impl Iterator<Item = String>) -> Vec<String> {
    texts.collect::<BTreeSet<_>>().into_iter().collect()
}
