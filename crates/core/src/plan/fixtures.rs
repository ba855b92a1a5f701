//! One clinic, small enough to be read at a glance, from which every test of the plan starts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::fleet::*;
use crate::name::{AccountName, DeviceId, OrderId, Sha256, SlotId, TargetName};
use crate::plan::{Plan, plan};
use crate::policy::{Counting, InstallerRule, KeyAlgorithm, KeyOrigin, Quota, RemoveInstallers, RenewWhen, Renewal, Store};
use crate::simulate::{serial, told};
use crate::time::{DAY, Timestamp};

/// 2026-04-01T00:00:00Z.
pub const NOW: Timestamp = Timestamp::from_unix(1_775_001_600);

/// What one clinic, `sakura`, wants and has. Each device `d1`, `d2`… stands for its slot of the profile `karte`.
#[derive(Debug, Clone)]
pub struct Scene {
    pub desired: Desired,
    pub observed: Observed,
    pub now: Timestamp,
}

pub fn slot(device: &str) -> SlotId {
    format!("sakura/{device}/karte").parse().unwrap()
}

pub fn device(device: &str) -> DeviceId {
    format!("sakura/{device}").parse().unwrap()
}

pub fn template() -> Template {
    Template {
        issuer: "portal".parse().unwrap(),
        common_name: "pc".into(),
        organization: "sakura".into(),
        key: KeyOrigin::Device(KeyAlgorithm::EcdsaP256),
        validity: 365 * DAY,
    }
}

/// A template that policy asks for no more.
pub fn old_template() -> Template {
    Template { validity: 90 * DAY, ..template() }
}

pub fn vendors_template() -> Template {
    Template { key: KeyOrigin::Vendor, ..template() }
}

pub fn wanted() -> DesiredSlot {
    DesiredSlot {
        account: None,
        template: template(),
        renewal: Renewal { window: 60 * DAY, when: RenewWhen::Early },
        stores: BTreeSet::from([Store::Browser]),
        select: Vec::new(),
        probe: None,
        trust: BTreeSet::new(),
        supply: Supply::Own,
        dependants: Vec::new(),
        backups: BTreeSet::new(),
        backups_min: None,
    }
}

/// A certificate in the middle of its life, 100 days old with 265 to go.
pub fn held(number: u64, progress: Progress) -> Held {
    Held {
        serial: serial(number),
        fingerprint: Sha256([number as u8; 32]),
        template: template(),
        account: None,
        not_before: NOW.before(100 * DAY),
        not_after: NOW.after(265 * DAY),
        progress,
        revoked: false,
        confirmed: BTreeSet::new(),
        backed_up: None,
        exposed: false,
    }
}

pub fn proven(number: u64) -> Held {
    held(number, Progress::Proven)
}

pub fn revoked(number: u64) -> Held {
    Held { revoked: true, ..proven(number) }
}

/// A proven certificate that expires `span` from now.
pub fn expiring_in(number: u64, span: Duration) -> Held {
    Held { not_after: NOW.after(span), ..proven(number) }
}

pub fn expired(number: u64) -> Held {
    Held { not_after: NOW.before(DAY), ..proven(number) }
}

pub fn order(template: Template) -> OpenOrder {
    OpenOrder { id: OrderId([1; 16]), template, account: None, opened_at: NOW }
}

impl Scene {
    /// Devices that enrolled and want a certificate each, but have none.
    pub fn of(devices: &[&str]) -> Self {
        let awake = ObservedDevice {
            last_seen: NOW,
            clock_offset: 0,
            revoked: false,
            installers: BTreeSet::new(),
            removing: BTreeSet::new(),
            recognized: BTreeMap::new(),
            unknown: BTreeSet::new(),
            quarantining: BTreeSet::new(),
        };
        let installers = InstallerRule { remove: RemoveInstallers::AfterProof, ..InstallerRule::default() };
        Self {
            desired: Desired {
                slots: devices.iter().map(|name| (slot(name), wanted())).collect(),
                accounts: ["reception", "doctor"].map(|name| name.parse().unwrap()).into(),
                quotas: BTreeMap::new(),
                replace_at_once: 10,
                hours: Default::default(),
                installers: Some(installers),
            },
            observed: Observed { devices: devices.iter().map(|name| (device(name), awake.clone())).collect(), ..Observed::default() },
            now: NOW,
        }
    }

    /// One device with these certificates, oldest first.
    pub fn holding(certificates: impl Into<Vec<Held>>) -> Self {
        Self::of(&["d1"]).holds("d1", certificates)
    }

    pub fn holds(mut self, device: &str, certificates: impl Into<Vec<Held>>) -> Self {
        self.seen(device).certificates = certificates.into();
        self
    }

    pub fn ordered(mut self, device: &str, template: Template) -> Self {
        self.seen(device).order = Some(order(template));
        self
    }

    pub fn retiring(mut self, device: &str, number: u64) -> Self {
        self.seen(device).retiring.insert(serial(number));
        self
    }

    /// When certificates were issued into a slot, as spans before now, longest first.
    pub fn issued_ago<const N: usize>(mut self, device: &str, ago: [Duration; N]) -> Self {
        self.seen(device).issued_at = ago.map(|span| NOW.before(span)).into();
        self
    }

    pub fn asked(mut self, device: &str) -> Self {
        self.seen(device).renewal_asked = true;
        self
    }

    pub fn not_wanted(mut self, device: &str) -> Self {
        self.desired.slots.remove(&slot(device));
        self
    }

    pub fn not_enrolled(mut self, name: &str) -> Self {
        self.observed.devices.remove(&device(name));
        self
    }

    pub fn at_once(mut self, replacements: u32) -> Self {
        self.desired.replace_at_once = replacements;
        self
    }

    /// A device that differs from an ordinary one.
    pub fn with(mut self, name: &str, change: impl FnOnce(&mut ObservedDevice)) -> Self {
        change(self.observed.devices.get_mut(&device(name)).unwrap());
        self
    }

    /// A slot whose certificate is also used by a linkage tool.
    pub fn with_dependant(self, name: &str) -> Self {
        self.wishing(name, |wanted| wanted.dependants = vec!["tool".parse().unwrap()])
    }

    /// A slot whose files belong into two targets and are in these.
    pub fn with_backup(mut self, name: &str, kept: &[&str]) -> Self {
        let kept: BTreeSet<TargetName> = kept.iter().map(|target| target.parse().unwrap()).collect();
        self.seen(name).certificates.iter_mut().for_each(|held| held.backed_up = Some(kept.clone()));
        self.wishing(name, |wanted| wanted.backups = ["nas", "offsite"].map(|target| target.parse().unwrap()).into())
    }

    /// A slot whose certificates come from a vendor.
    pub fn vendors(mut self, name: &str, supply: Supply) -> Self {
        self.seen(name).certificates.iter_mut().for_each(|held| held.template = vendors_template());
        self.wishing(name, |wanted| (wanted.supply, wanted.template) = (supply, vendors_template()))
    }

    /// A slot that is wished for differently.
    pub fn wishing(mut self, name: &str, change: impl FnOnce(&mut DesiredSlot)) -> Self {
        change(self.desired.slots.get_mut(&slot(name)).unwrap());
        self
    }

    pub fn silent(self, name: &str) -> Self {
        self.with(name, |device| device.last_seen = NOW.before(2 * DAY))
    }

    /// Every slot and certificate counts against one account with this quota.
    pub fn quota(mut self, certificates: u32, per: Option<Duration>) -> Self {
        let name = || Some("reception".parse().unwrap());
        let quota = Quota { certificates, per, counting: Counting::Issued };
        self.desired.quotas = BTreeMap::from([("reception".parse().unwrap(), vec![quota])]);
        self.desired.slots.values_mut().for_each(|slot| slot.account = name());
        let mut account = ObservedAccount::default();
        for seen in self.observed.slots.values_mut() {
            seen.order.iter_mut().for_each(|order| order.account = name());
            seen.certificates.iter_mut().for_each(|held| held.account = name());
            account.alive += seen.certificates.iter().filter(|held| !held.revoked && !held.is_expired(NOW)).count() as u32;
            account.issued_at.extend(&seen.issued_at);
            account.unrevoked_at.extend(&seen.issued_at);
        }
        self.observed.accounts = BTreeMap::from([("reception".parse().unwrap(), account)]);
        self
    }

    pub fn then_account_of_order(mut self, account: Option<AccountName>) -> Self {
        self.observed.slots.values_mut().flat_map(|seen| &mut seen.order).for_each(|order| order.account = account.clone());
        self
    }

    pub fn then_account_of_certificates(mut self, account: Option<AccountName>) -> Self {
        self.observed.slots.values_mut().flat_map(|seen| &mut seen.certificates).for_each(|held| held.account = account.clone());
        self
    }

    pub fn seen(&mut self, device: &str) -> &mut ObservedSlot {
        self.observed.slots.entry(slot(device)).or_default()
    }

    pub fn plan(&self) -> Plan {
        plan(&self.desired, &self.observed, self.now)
    }

    /// What the plan says, one action a line.
    pub fn told(&self) -> String {
        self.plan().actions.iter().map(|action| told(action) + "\n").collect()
    }
}
