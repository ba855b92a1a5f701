//! From policy to slots: what one clinic wants, spelled out for every place on every device.

use std::collections::{BTreeMap, BTreeSet};

use crate::fleet::{Desired, DesiredSlot, Supply, Template};
use crate::name::{AccountName, ClinicName, DeviceId, SlotId};
use crate::policy::{Assignment, CertificateProfile, ClinicNetwork, Device, IssuerKind, KeyOrigin, Selector, Tenant};

/// Spells out what `clinic` wants. A clinic that policy does not name wants nothing, so everything it still has is unwanted.
///
/// Slots under accounts whose person has left are left out, unless another account succeeds. If two assignments name the same slot, the
/// first one counts.
pub fn desire(tenant: &Tenant, clinic: &ClinicName) -> Desired {
    let Some(network) = tenant.clinics.get(clinic) else { return Desired::default() };
    let devices = devices_of(tenant, network);
    let mut desired = Desired {
        slots: BTreeMap::new(),
        accounts: network.accounts.iter().filter(|(_, account)| account.active).map(|(name, _)| name.clone()).collect(),
        quotas: network
            .accounts
            .iter()
            .filter(|(_, account)| !account.quotas.is_empty())
            .map(|(name, account)| (name.clone(), account.quotas.clone()))
            .collect(),
        replace_at_once: network.replace_at_once,
        hours: network.hours.clone(),
        installers: Some(network.installers.clone()),
    };
    for assignment in &network.certificates {
        let Some(account) = account_of(network, assignment) else { continue };
        let Some((profile, supply)) = supplied(tenant, assignment) else { continue };
        for (device, facts) in &devices {
            if !selects(&assignment.devices, device, facts) {
                continue;
            }
            let slot = SlotId { clinic: clinic.clone(), device: device.clone(), profile: profile.name.clone() };
            desired.slots.entry(slot).or_insert_with(|| spell_out(tenant, network, account, profile, supply, device));
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

/// The account that an assignment's certificates are issued under, if it names one; nothing if that has left without a successor.
fn account_of<'a>(network: &'a ClinicNetwork, assignment: &'a Assignment) -> Option<Option<&'a AccountName>> {
    match &assignment.account {
        None => Some(None),
        Some(name) => network.live_account(name).map(Some),
    }
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
    tenant: &Tenant,
    network: &ClinicNetwork,
    account: Option<&AccountName>,
    profile: &CertificateProfile,
    supply: Supply,
    device: &DeviceId,
) -> DesiredSlot {
    let is_guest = device.clinic != network.name;
    let common_name = if is_guest { format!("{}.{}", device.device, device.clinic) } else { device.device.to_string() };
    DesiredSlot {
        account: account.cloned(),
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
        backups: match profile.key {
            KeyOrigin::Vendor => network.backup.targets.iter().filter(|name| tenant.targets.contains_key(*name)).cloned().collect(),
            // Such a key never leaves its device; what is lost is issued anew.
            KeyOrigin::Device(_) => BTreeSet::new(),
        },
        backups_min: network.backup.at_least,
    }
}

#[cfg(test)]
mod tests;
