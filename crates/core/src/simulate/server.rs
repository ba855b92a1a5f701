//! A pretend server: keeps what is known, carries plans out, answers devices.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::fleet::{Held, Loose, Observed, ObservedAccount, ObservedDevice, ObservedSlot, OpenOrder, Progress, Supply, Template};
use crate::name::{AccountName, ClinicName, DeviceId, Label, OrderId, ProfileName, Serial, Sha256, SlotId};
use crate::plan::Action;
use crate::policy::KeyOrigin;
use crate::simulate::words;
use crate::time::{HOUR, Timestamp};

/// The server's memory, of a whole tenant.
#[derive(Debug, Default)]
pub struct Server {
    /// Devices and slots of every clinic. Its accounts stay empty: [`Server::observed`] counts them.
    pub known: Observed,
    /// Profiles whose certificates other programs hold copies of.
    pub copied: BTreeSet<ProfileName>,
    orders: BTreeMap<OrderId, Order>,
    issuance: BTreeMap<(ClinicName, AccountName), Issuance>,
    certificates: u64,
    revoked: BTreeSet<Serial>,
}

/// What was issued under one account.
#[derive(Debug, Default)]
struct Issuance {
    /// When, and what if that is known.
    issued: Vec<(Timestamp, Option<Serial>)>,
    /// What is gone from its device.
    gone: Vec<Loose>,
}

#[derive(Debug)]
struct Order {
    slot: SlotId,
    supply: Supply,
    replaces: Vec<Serial>,
    state: OrderState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OrderState {
    Open,
    Fulfilled { key: u32, serial: Serial },
    Cancelled,
}

/// What the server answers to a request for a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Issued(Serial),
    Withdrawn,
}

/// What a device reports as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    Installed(Serial),
    Proven(Serial),
    Retired(Serial),
    InstallerRemoved(Sha256),
}

/// What one device should have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Each slot's newest order, unless it was taken back or its certificate is to go.
    pub orders: BTreeMap<SlotId, (OrderId, Vec<Serial>)>,
    /// Certificates to remove now.
    pub retire: BTreeSet<Serial>,
    /// Installer files to remove.
    pub remove: BTreeSet<Sha256>,
}

/// The vendor who renews for whoever holds a certificate that works.
pub const RENEWING: &str = "orcamo";

/// How far a fresh certificate's validity begins in the past, for clocks that are a little off.
const BACKDATED: Duration = Duration::from_secs(5 * 60);

impl Server {
    /// A server that knows of one clinic already.
    #[cfg(test)]
    pub fn knowing(clinic: &ClinicName, mut known: Observed) -> Self {
        let issuance = |account: ObservedAccount| Issuance {
            issued: account.issued_at.into_iter().map(|at| (at, None)).collect(),
            gone: account.loose,
        };
        let accounts = std::mem::take(&mut known.accounts).into_iter();
        let issuance = accounts.map(|(name, account)| ((clinic.clone(), name), issuance(account))).collect();
        Self { known, issuance, certificates: 100, ..Self::default() }
    }

    /// What a plan for one clinic is made from.
    pub fn observed(&self, clinic: &ClinicName, now: Timestamp) -> Observed {
        let slots = self.known.slots.iter().filter(|(slot, _)| slot.clinic == *clinic);
        let mut observed = Observed {
            devices: self.known.devices.clone(),
            slots: slots.map(|(slot, seen)| (slot.clone(), seen.clone())).collect(),
            accounts: BTreeMap::new(),
        };
        for ((_, name), issuance) in self.issuance.iter().filter(|((of, _), _)| of == clinic) {
            observed.accounts.insert(name.clone(), self.account(issuance, now));
        }
        let alive = observed.slots.values().flat_map(|seen| &seen.certificates).filter(|held| !held.revoked && !held.is_expired(now));
        for name in alive.filter_map(|held| held.account.clone()) {
            observed.accounts.entry(name).or_default().alive += 1;
        }
        observed
    }

    fn account(&self, issuance: &Issuance, now: Timestamp) -> ObservedAccount {
        let is_revoked = |serial: &Serial| self.revoked.contains(serial);
        let unrevoked = issuance.issued.iter().filter(|(_, serial)| !serial.as_ref().is_some_and(is_revoked));
        ObservedAccount {
            alive: 0,
            issued_at: issuance.issued.iter().map(|(at, _)| *at).collect(),
            unrevoked_at: unrevoked.map(|(at, _)| *at).collect(),
            loose: issuance.gone.iter().filter(|loose| !is_revoked(&loose.serial) && now <= loose.not_after).cloned().collect(),
        }
    }

    /// Takes a PC in. If there was one of that name before, its keys are lost: what it held is revoked.
    pub fn enrol(&mut self, device: &DeviceId, now: Timestamp) {
        let slots = self.known.slots.iter_mut().filter(|(slot, _)| slot.device == *device);
        for held in slots.flat_map(|(_, seen)| &mut seen.certificates) {
            held.revoked = true;
            self.revoked.insert(held.serial);
        }
        let fresh = ObservedDevice {
            last_seen: now,
            clock_offset: 0,
            revoked: false,
            installers: BTreeSet::new(),
            removing: BTreeSet::new(),
            recognized: BTreeMap::new(),
            unknown: BTreeSet::new(),
            quarantining: BTreeSet::new(),
        };
        self.known.devices.insert(device.clone(), fresh);
    }

    /// Carries one action out. It has no choices left.
    pub fn carry_out(&mut self, action: &Action, now: Timestamp) {
        match action {
            Action::Issue { slot, template, account, replaces, .. } => {
                let id = words::order_id(self.orders.len() as u64 + 1);
                let supply = supply(template);
                let order = Order { slot: slot.clone(), supply, replaces: replaces.clone(), state: OrderState::Open };
                self.orders.insert(id, order);
                let seen = self.slot(slot);
                seen.order = Some(OpenOrder { id, template: template.clone(), account: account.clone(), opened_at: now });
                seen.renewal_asked = false;
            }
            Action::Cancel { slot, .. } => {
                let id = self.slot(slot).order.take().map(|order| order.id);
                if let Some(order) = id.and_then(|id| self.orders.get_mut(&id)) {
                    order.state = OrderState::Cancelled;
                }
            }
            Action::Revoke { slot, serial, .. } => {
                self.held(slot, *serial).for_each(|held| held.revoked = true);
                self.revoked.insert(*serial);
            }
            Action::Retire { slot, serial, .. } => self.slot(slot).retiring.extend([*serial]),
            Action::RemoveInstaller { device, sha256 } => {
                self.known.devices.entry(device.clone()).and_modify(|device| device.removing.extend([*sha256]));
            }
            Action::QuarantineInstaller { device, sha256 } => {
                self.known.devices.entry(device.clone()).and_modify(|device| device.quarantining.extend([*sha256]));
            }
            Action::KeepInstaller { .. } | Action::Hold { .. } => {}
        }
    }

    /// Answers a request for a certificate: the same order and key get the same certificate, however often they ask.
    pub fn request(&mut self, id: OrderId, key: u32, now: Timestamp) -> Answer {
        let number = self.certificates + 1;
        let Some(order) = self.orders.get_mut(&id) else { return Answer::Withdrawn };
        match order.state {
            // A vendor's key comes with its certificate.
            OrderState::Fulfilled { key: its_key, serial } if its_key == key || order.supply != Supply::Own => Answer::Issued(serial),
            OrderState::Fulfilled { .. } | OrderState::Cancelled => Answer::Withdrawn,
            OrderState::Open => {
                let serial = words::serial(number);
                order.state = OrderState::Fulfilled { key, serial };
                let slot = order.slot.clone();
                self.certificates = number;
                self.sign(&slot, serial, now);
                Answer::Issued(serial)
            }
        }
    }

    /// Vendors' files that a person has to bring: for which slot, and since when.
    pub fn wanted_from_people(&self, now: Timestamp) -> Vec<(SlotId, Timestamp)> {
        let open = self.known.slots.iter().filter_map(|(slot, seen)| Some((slot, seen, seen.order.as_ref()?)));
        let by_person = open.filter(|(slot, _, order)| match supply(&order.template) {
            Supply::Own => false,
            Supply::Person => true,
            Supply::Renewal => !self.works(slot, now),
        });
        by_person.map(|(slot, _, order)| (slot.clone(), order.opened_at)).collect()
    }

    /// A person brings the file that a slot waits for.
    ///
    /// # Errors
    ///
    /// It waits for none.
    pub fn bring(&mut self, slot: &SlotId, now: Timestamp) -> Result<Serial, String> {
        let order = self.known.slots.get(slot).and_then(|seen| seen.order.as_ref());
        let id = order.filter(|order| supply(&order.template) != Supply::Own).map(|order| order.id);
        match id.map(|id| self.request(id, 0, now)) {
            Some(Answer::Issued(serial)) => Ok(serial),
            Some(Answer::Withdrawn) | None => Err(format!("{slot} waits for no file")),
        }
    }

    /// A person says that every copy of a slot's newest certificate was changed.
    pub fn confirm(&mut self, slot: &SlotId, dependants: &[Label]) {
        if let Some(newest) = self.slot(slot).certificates.last_mut() {
            newest.confirmed.extend(dependants.iter().cloned());
        }
    }

    /// True if a person can sign in with something in this slot.
    pub fn works(&self, slot: &SlotId, now: Timestamp) -> bool {
        self.known.slots.get(slot).is_some_and(|seen| seen.certificates.iter().any(|held| held.is_valid_proof(now)))
    }

    fn sign(&mut self, slot: &SlotId, serial: Serial, now: Timestamp) {
        let seen = self.slot(slot);
        let Some(order) = seen.order.take() else { return };
        seen.certificates.push(Held {
            serial,
            fingerprint: Sha256([serial.0[15]; 32]),
            not_before: now.before(BACKDATED),
            not_after: now.after(order.template.validity),
            template: order.template,
            account: order.account.clone(),
            progress: Progress::Issued,
            revoked: false,
            confirmed: BTreeSet::new(),
            backed_up: None,
            exposed: false,
        });
        seen.issued_at.push(now);
        if let Some(name) = order.account {
            self.issuance.entry((slot.clinic.clone(), name)).or_default().issued.push((now, Some(serial)));
        }
    }

    /// How many certificates went into a slot within the hour that ends now.
    pub fn issued_within_an_hour(&self, slot: &SlotId, now: Timestamp) -> usize {
        self.known.slots.get(slot).map_or(0, |seen| seen.issued_at.iter().filter(|at| at.after(HOUR) > now).count())
    }

    /// Notes what a device did.
    pub fn hear(&mut self, device: &DeviceId, receipt: Receipt) {
        let slots = self.known.slots.iter_mut().filter(|(slot, _)| slot.device == *device).map(|(_, seen)| seen);
        match receipt {
            Receipt::InstallerRemoved(file) => {
                self.known.devices.entry(device.clone()).and_modify(|device| {
                    device.installers.remove(&file);
                    device.removing.remove(&file);
                });
            }
            Receipt::Retired(serial) => self.forget(device, serial),
            Receipt::Installed(serial) => note(slots, serial, Progress::Installed),
            Receipt::Proven(serial) => note(slots, serial, Progress::Proven),
        }
    }

    /// Notes that a certificate is gone from its device. Who counts it, counts it on.
    fn forget(&mut self, device: &DeviceId, serial: Serial) {
        for (slot, seen) in self.known.slots.iter_mut().filter(|(slot, _)| slot.device == *device) {
            seen.retiring.remove(&serial);
            let Some(index) = seen.certificates.iter().position(|held| held.serial == serial) else { continue };
            let held = seen.certificates.remove(index);
            if let Some(name) = held.account {
                let loose = Loose { slot: slot.clone(), serial, not_after: held.not_after };
                self.issuance.entry((slot.clinic.clone(), name)).or_default().gone.push(loose);
            }
        }
    }

    pub fn manifest(&self, device: &DeviceId, now: Timestamp) -> Manifest {
        let mut manifest = Manifest::default();
        for (id, order) in self.orders.iter().filter(|(_, order)| order.slot.device == *device) {
            if self.stands(order, now) {
                let is_copied = self.copied.contains(&order.slot.profile);
                let replaces = if is_copied { Vec::new() } else { order.replaces.clone() };
                manifest.orders.insert(order.slot.clone(), (*id, replaces));
            } else {
                manifest.orders.remove(&order.slot);
            }
        }
        let slots = self.known.slots.iter().filter(|(slot, _)| slot.device == *device);
        manifest.retire = slots.flat_map(|(_, seen)| &seen.retiring).copied().collect();
        manifest.remove = self.known.devices.get(device).map(|device| device.removing.clone()).unwrap_or_default();
        manifest
    }

    /// True unless an order was taken back, what it gave is to go from the device, or there is nothing that the device could do about it.
    fn stands(&self, order: &Order, now: Timestamp) -> bool {
        match order.state {
            OrderState::Open => match order.supply {
                Supply::Own => true,
                Supply::Person => false,
                Supply::Renewal => self.works(&order.slot, now),
            },
            OrderState::Cancelled => false,
            OrderState::Fulfilled { serial, .. } => self
                .known
                .slots
                .get(&order.slot)
                .is_some_and(|seen| !seen.retiring.contains(&serial) && seen.certificates.iter().any(|held| held.serial == serial)),
        }
    }

    /// Declares the newest certificate of a slot invalid, as a person would.
    pub fn revoke_newest(&mut self, slot: &SlotId) -> Result<Serial, String> {
        let newest = self.known.slots.get_mut(slot).and_then(|seen| seen.certificates.last_mut());
        let newest = newest.ok_or_else(|| format!("{slot} holds no certificate"))?;
        newest.revoked = true;
        self.revoked.insert(newest.serial);
        Ok(newest.serial)
    }

    /// True if a certificate opens anything at `now`, as the clinics' systems would decide.
    pub fn is_good(&self, serial: Serial, now: Timestamp) -> bool {
        let mut held = self.known.slots.values().flat_map(|seen| &seen.certificates);
        held.any(|held| held.serial == serial && !held.revoked && held.not_before <= now && !held.is_expired(now))
    }

    pub fn slot(&mut self, slot: &SlotId) -> &mut ObservedSlot {
        self.known.slots.entry(slot.clone()).or_default()
    }

    fn held(&mut self, slot: &SlotId, serial: Serial) -> impl Iterator<Item = &mut Held> {
        self.slot(slot).certificates.iter_mut().filter(move |held| held.serial == serial)
    }
}

/// How certificates of this template come about here: what the issuer `orcamo` gave, it renews.
fn supply(template: &Template) -> Supply {
    match template.key {
        KeyOrigin::Device(_) => Supply::Own,
        KeyOrigin::Vendor if template.issuer.as_str() == RENEWING => Supply::Renewal,
        KeyOrigin::Vendor => Supply::Person,
    }
}

fn note<'a>(slots: impl Iterator<Item = &'a mut ObservedSlot>, serial: Serial, progress: Progress) {
    let held = slots.flat_map(|seen| &mut seen.certificates).filter(|held| held.serial == serial);
    held.for_each(|held| held.progress = held.progress.max(progress));
}
