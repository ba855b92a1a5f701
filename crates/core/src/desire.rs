//! From policy to slots: what one clinic wants, spelled out for every place on every device.

use std::collections::BTreeMap;

use crate::fleet::{Desired, DesiredSlot, Supply, Template};
use crate::name::{ClinicName, DeviceId, SlotId};
use crate::policy::{Assignment, CertificateProfile, ClinicNetwork, Device, IssuerKind, KeyOrigin, Selector, Tenant};

/// Spells out what `clinic` wants. A clinic that policy does not name wants nothing, so everything it still has is unwanted.
///
/// Slots under accounts whose person has left are left out. If two assignments name the same slot, the first one counts.
pub fn desire(tenant: &Tenant, clinic: &ClinicName) -> Desired {
    let Some(network) = tenant.clinics.get(clinic) else { return Desired::default() };
    let devices = devices_of(tenant, network);
    let mut desired = Desired {
        slots: BTreeMap::new(),
        quotas: network.accounts.iter().filter_map(|(name, account)| Some((name.clone(), account.quota?))).collect(),
        replace_at_once: network.replace_at_once,
        hours: network.hours.clone(),
        installers: Some(network.installers.clone()),
    };
    for assignment in network.certificates.iter().filter(|assignment| is_active(network, assignment)) {
        let Some((profile, supply)) = supplied(tenant, assignment) else { continue };
        for (device, facts) in &devices {
            if !selects(&assignment.devices, device, facts) {
                continue;
            }
            let slot = SlotId { clinic: clinic.clone(), device: device.clone(), profile: profile.name.clone() };
            desired.slots.entry(slot).or_insert_with(|| spell_out(network, assignment, profile, supply, device));
        }
    }
    desired
}

/// The clinic's own devices, and its guests as far as their home clinic knows them.
fn devices_of<'a>(tenant: &'a Tenant, network: &'a ClinicNetwork) -> BTreeMap<DeviceId, &'a Device> {
    let own = network.devices.iter().map(|(name, device)| (DeviceId { clinic: network.name.clone(), device: name.clone() }, device));
    let guests = network.guests.iter().filter_map(|guest| {
        let home = tenant.clinics.get(&guest.clinic)?;
        Some((guest.clone(), home.devices.get(&guest.device)?))
    });
    own.chain(guests).collect()
}

fn is_active(network: &ClinicNetwork, assignment: &Assignment) -> bool {
    assignment.account.as_ref().is_none_or(|name| network.accounts.get(name).is_some_and(|account| account.active))
}

/// The profile of an assignment, and how its certificates come about.
fn supplied<'a>(tenant: &'a Tenant, assignment: &Assignment) -> Option<(&'a CertificateProfile, Supply)> {
    let profile = tenant.profiles.get(&assignment.profile)?;
    let issuer = tenant.issuers.get(&profile.issuer)?;
    match (profile.key, &issuer.kind) {
        (KeyOrigin::Device(_), IssuerKind::Ca { .. }) => Some((profile, Supply::Own)),
        (KeyOrigin::Vendor, IssuerKind::Vendor) => Some((profile, Supply::Person)),
        (KeyOrigin::Vendor, IssuerKind::Orcamo { .. }) => Some((profile, Supply::Renewal)),
        // The door lets no such pair in.
        (KeyOrigin::Device(_), IssuerKind::Vendor | IssuerKind::Orcamo { .. }) | (KeyOrigin::Vendor, IssuerKind::Ca { .. }) => None,
    }
}

fn selects(selector: &Selector, device: &DeviceId, facts: &Device) -> bool {
    match selector {
        Selector::All => true,
        Selector::Names(names) => names.contains(device),
        Selector::Labels(labels) => labels.iter().all(|(key, value)| facts.labels.get(key) == Some(value)),
    }
}

fn spell_out(
    network: &ClinicNetwork,
    assignment: &Assignment,
    profile: &CertificateProfile,
    supply: Supply,
    device: &DeviceId,
) -> DesiredSlot {
    let is_guest = device.clinic != network.name;
    let common_name = if is_guest { format!("{}.{}", device.device, device.clinic) } else { device.device.to_string() };
    DesiredSlot {
        account: assignment.account.clone(),
        template: Template {
            issuer: profile.issuer.clone(),
            common_name,
            organization: network.facility_slug.to_string(),
            key: profile.key,
            validity: profile.validity,
        },
        renewal: profile.renewal,
        stores: profile.stores.clone(),
        select: profile.select.iter().map(|url| url.fill(network)).collect(),
        probe: profile.probe.as_ref().map(|url| url.fill(network)),
        trust: profile.trust.clone(),
        supply,
        dependants: profile.dependants.clone(),
    }
}

#[cfg(test)]
mod tests;
