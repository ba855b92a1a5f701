//! The hosts of a playbook: the devices of policy that say how they are reached.

use std::collections::BTreeMap;

use tegata_core::name::DeviceId;
use tegata_core::policy::{ClinicNetwork, Device, DeviceSsh, Platform, Tenant};
use tegata_core::time::Timestamp;
use tegata_ssh::{Address, HostKey, Identity};

/// A device that is reached by SSH.
#[derive(Debug, Clone)]
pub struct Host {
    /// Which.
    pub id: DeviceId,
    /// Its operating system.
    pub platform: Platform,
    /// Where it listens.
    pub address: Address,
    /// Who signs in.
    pub user: String,
    /// What it is known by.
    pub pins: Pins,
    /// The machine before it, who signs in there, and what it is known by.
    pub jump: Option<(Address, String, Identity)>,
    /// What policy says of it, by name; the device's own word comes before the clinic's.
    pub variables: BTreeMap<String, String>,
    /// The clinic, as templates know it.
    pub clinic: BTreeMap<&'static str, String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// What a host is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pins {
    /// Keys or authorities that policy pins, or the key that was believed before.
    Known(Identity),
    /// None yet; one that is shown before this moment is believed.
    FirstUse(Timestamp),
    /// None, and none is believed.
    Unknown,
}

/// The hosts of a tenant, in the order of their names. `trusted` are keys that were believed before; those that policy pins count more.
pub fn hosts(tenant: &Tenant, trusted: &BTreeMap<DeviceId, HostKey>, now: Timestamp) -> Vec<Host> {
    let mut hosts = Vec::new();
    for (name, clinic) in &tenant.clinics {
        for (device_name, device) in &clinic.devices {
            let id = DeviceId { clinic: name.clone(), device: device_name.clone() };
            let Some(ssh) = &device.ssh else { continue };
            hosts.push(host(id, clinic, device, ssh, trusted, now));
        }
    }
    hosts
}

fn host(
    id: DeviceId,
    clinic: &ClinicNetwork,
    device: &Device,
    ssh: &DeviceSsh,
    trusted: &BTreeMap<DeviceId, HostKey>,
    now: Timestamp,
) -> Host {
    let jump = clinic.ssh.jump.as_ref().map(|jump| {
        let place = Address { host: jump.address.clone(), port: jump.port };
        // Policy in which it has neither is refused where it is read.
        let known = pinned(&jump.host_keys, &clinic.ssh.host_authorities).unwrap_or(Identity::Keys(vec![]));
        (place, jump.user.clone(), known)
    });
    let mut variables = clinic.ssh.variables.clone();
    variables.extend(ssh.variables.clone());
    Host {
        platform: device.platform,
        address: Address { host: ssh.address.clone(), port: ssh.port },
        // Policy without either is refused where it is read.
        user: ssh.user.clone().or_else(|| clinic.ssh.user.clone()).unwrap_or_default(),
        pins: pins(pinned(&ssh.host_keys, &clinic.ssh.host_authorities), trusted.get(&id), clinic.ssh.first_use_until, now),
        jump,
        variables,
        clinic: BTreeMap::from([
            ("name", clinic.name.to_string()),
            ("displayName", clinic.display_name.to_string()),
            ("facilitySlug", clinic.facility_slug.to_string()),
        ]),
        labels: device.labels.clone(),
        id,
    }
}

/// What policy knows a machine by: its own keys come before authorities, which speak for all machines of a clinic.
fn pinned(own: &[String], authorities: &[String]) -> Option<Identity> {
    match (own, authorities) {
        ([], []) => None,
        ([], authorities) => Some(Identity::Authorities(keys(authorities))),
        (own, _) => Some(Identity::Keys(keys(own))),
    }
}

fn pins(pinned: Option<Identity>, trusted: Option<&HostKey>, first_use_until: Option<Timestamp>, now: Timestamp) -> Pins {
    match (pinned, trusted, first_use_until) {
        (Some(pinned), ..) => Pins::Known(pinned),
        (None, Some(key), _) => Pins::Known(Identity::Keys(vec![key.clone()])),
        (None, None, Some(until)) if now < until => Pins::FirstUse(until),
        (None, None, _) => Pins::Unknown,
    }
}

/// Policy has checked them; one that cannot be read would be no key that a host could show.
fn keys(written: &[String]) -> Vec<HostKey> {
    written.iter().filter_map(|key| key.parse().ok()).collect()
}

impl Host {
    /// What it is called, `clinic/device`.
    pub fn name(&self) -> String {
        self.id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJz2hFaHOp7nMYvUW9gOd7kQLoSTOi8tF3Vv1bT0PyH";

    #[test]
    fn what_policy_pins_counts_more_than_what_was_believed_and_that_more_than_a_window() {
        let (now, later) = (Timestamp::from_unix(1000), Timestamp::from_unix(1001));
        let key: HostKey = KEY.parse().unwrap();
        let other: HostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJz2hFaHOp7nMYvUW9gOd7kQLoSTOi8tF3Vv1bT0PyI".parse().unwrap();
        let (one, two) = ([key.to_string()], [other.to_string()]);
        let keys = |key: &HostKey| Identity::Keys(vec![key.clone()]);
        assert_eq!(pinned(&one, &two), Some(keys(&key)), "a machine's own key comes before the authorities of its clinic");
        assert_eq!(pinned(&[], &two), Some(Identity::Authorities(vec![other.clone()])));
        assert_eq!(pinned(&[], &[]), None);
        assert_eq!(pins(Some(keys(&key)), Some(&other), Some(later), now), Pins::Known(keys(&key)));
        assert_eq!(pins(pinned(&[], &two), Some(&key), Some(later), now), Pins::Known(Identity::Authorities(vec![other.clone()])));
        assert_eq!(pins(None, Some(&other), Some(later), now), Pins::Known(keys(&other)));
        assert_eq!(pins(None, None, Some(later), now), Pins::FirstUse(later));
        assert_eq!(pins(None, None, Some(now), now), Pins::Unknown);
        assert_eq!(pins(None, None, None, now), Pins::Unknown);
    }
}
