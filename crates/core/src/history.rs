//! Who could open a clinic's charts at a moment: told from what is on record, and silent about what is not.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::name::{AccountName, ClinicName, DeviceId, IssuerName, OrderId, Serial, Sha256, SlotId};
use crate::time::{DAY, Timestamp};

/// After how long without a record of its own nothing is known of a device. One that works renews its identity every 30 days, and that is
/// on record; a week is for those that are seldom switched on.
pub const UNHEARD_AFTER: Duration = DAY.saturating_mul(37);

/// Where a certificate is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// On a device.
    Slot(SlotId),
    /// Wherever the person of an account has put it: the portal hands out files, and nobody tells where they are.
    Account(ClinicName, AccountName),
}

impl Place {
    fn device(&self) -> Option<&DeviceId> {
        match self {
            Self::Slot(slot) => Some(&slot.device),
            Self::Account(..) => None,
        }
    }
}

/// A certificate, as its record names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// What it is known by.
    pub serial: Serial,
    /// SHA-256 of its DER.
    pub fingerprint: Sha256,
    /// The order that it answers; the portal has none.
    pub order: Option<OrderId>,
    /// Last moment of validity.
    pub not_after: Timestamp,
}

/// What a record says about who could open what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An order names the issuer of what will answer it.
    Ordered(OrderId, IssuerName),
    /// A certificate was signed or taken in.
    Issued(Place, Certificate),
    /// A device said that it is in its stores.
    Installed(DeviceId, Sha256),
    /// A device said that it answered over a real handshake.
    Proven(DeviceId, Sha256),
    /// A device said that it is gone.
    Gone(DeviceId, Sha256),
    /// It is invalid from then on.
    Revoked(Serial),
    /// A device said anything.
    Heard(DeviceId),
}

/// How it came that a certificate opens nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// It was revoked.
    Revoked,
    /// Its device said that it is gone.
    Gone,
    /// Its validity ended.
    Expired,
}

/// A certificate that could open the clinic's charts at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Where it was.
    pub place: Place,
    /// Which one.
    pub certificate: Certificate,
    /// Who has issued it, if its order says so.
    pub issuer: Option<IssuerName>,
    /// Since when it is on record.
    pub issued_at: Timestamp,
    /// When its device had said, by the moment, that it is in its stores.
    pub installed_at: Option<Timestamp>,
    /// When its device had said, by the moment, that it answered.
    pub proven_at: Option<Timestamp>,
    /// From when on it opened nothing any more, or will not, and why: as far as that is known today.
    pub until: (Timestamp, Ending),
    /// When its device was on record last, by the moment.
    pub heard_at: Option<Timestamp>,
    /// Since when nothing was known of it at the moment, if that is so.
    pub unknown_since: Option<Timestamp>,
}

/// Gathers what is on record, in its order, and answers for one moment.
#[derive(Debug)]
pub struct AsOf {
    moment: Timestamp,
    issuers: BTreeMap<OrderId, IssuerName>,
    heard: BTreeMap<DeviceId, Timestamp>,
    held: Vec<Held>,
    /// The newest of a fingerprint on a device: a vendor's certificate may be on several, and come back.
    by_fingerprint: BTreeMap<(DeviceId, Sha256), usize>,
    by_serial: BTreeMap<Serial, usize>,
}

#[derive(Debug)]
struct Held {
    place: Place,
    certificate: Certificate,
    issued_at: Timestamp,
    installed_at: Option<Timestamp>,
    proven_at: Option<Timestamp>,
    ended: Option<(Timestamp, Ending)>,
}

impl Held {
    /// The first reason counts; what comes later changes nothing.
    fn end(&mut self, at: Timestamp, why: Ending) {
        self.ended = self.ended.into_iter().chain([(at, why)]).min();
    }

    fn until(&self) -> (Timestamp, Ending) {
        let expired = (self.certificate.not_after.after(Duration::from_secs(1)), Ending::Expired);
        self.ended.map_or(expired, |ended| ended.min(expired))
    }
}

impl AsOf {
    /// For this moment.
    pub fn new(moment: Timestamp) -> Self {
        let (issuers, heard, held) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        Self { moment, issuers, heard, held, by_fingerprint: BTreeMap::new(), by_serial: BTreeMap::new() }
    }

    /// Takes what happened next. What happened after the moment tells only how things ended.
    pub fn push(&mut self, at: Timestamp, event: Event) {
        match event {
            Event::Ordered(order, issuer) => drop(self.issuers.insert(order, issuer)),
            Event::Issued(place, certificate) => self.issue(at, place, certificate),
            Event::Installed(device, fingerprint) => {
                self.on(device, fingerprint, |held| held.installed_at = held.installed_at.or(Some(at)));
            }
            Event::Proven(device, fingerprint) => self.on(device, fingerprint, |held| held.proven_at = held.proven_at.or(Some(at))),
            Event::Gone(device, fingerprint) => self.on(device, fingerprint, |held| held.end(at, Ending::Gone)),
            Event::Revoked(serial) => {
                if let Some(index) = self.by_serial.get(&serial) {
                    self.held[*index].end(at, Ending::Revoked);
                }
            }
            Event::Heard(device) => self.hear(at, device),
        }
    }

    /// The devices of which something could be held at the moment.
    pub fn devices(&self) -> impl Iterator<Item = &DeviceId> {
        self.held.iter().filter(|held| self.counts(held)).filter_map(|held| held.place.device())
    }

    /// Whatever could open charts at the moment, by place.
    pub fn accesses(&self) -> Vec<Access> {
        let mut accesses: Vec<Access> = self.held.iter().filter(|held| self.counts(held)).map(|held| self.access(held)).collect();
        accesses.sort_by(|one, other| {
            (&one.place, one.issued_at, one.certificate.serial).cmp(&(&other.place, other.issued_at, other.certificate.serial))
        });
        accesses
    }

    fn counts(&self, held: &Held) -> bool {
        held.issued_at <= self.moment && held.until().0 > self.moment
    }

    fn access(&self, held: &Held) -> Access {
        let by_then = |at: Option<Timestamp>| at.filter(|at| *at <= self.moment);
        let heard_at = held.place.device().and_then(|device| self.heard.get(device)).copied();
        // Nobody tells of a file that a person has fetched.
        let last = heard_at.unwrap_or(held.issued_at);
        let is_known = held.place.device().is_some() && self.moment.since(last) <= UNHEARD_AFTER;
        Access {
            place: held.place.clone(),
            certificate: held.certificate.clone(),
            issuer: held.certificate.order.and_then(|order| self.issuers.get(&order)).cloned(),
            issued_at: held.issued_at,
            installed_at: by_then(held.installed_at),
            proven_at: by_then(held.proven_at),
            until: held.until(),
            heard_at,
            unknown_since: (!is_known).then_some(last),
        }
    }

    fn issue(&mut self, issued_at: Timestamp, place: Place, certificate: Certificate) {
        let index = self.held.len();
        if let Some(device) = place.device() {
            self.by_fingerprint.insert((device.clone(), certificate.fingerprint), index);
        }
        self.by_serial.insert(certificate.serial, index);
        self.held.push(Held { place, certificate, issued_at, installed_at: None, proven_at: None, ended: None });
    }

    fn on(&mut self, device: DeviceId, fingerprint: Sha256, change: impl FnOnce(&mut Held)) {
        if let Some(index) = self.by_fingerprint.get(&(device, fingerprint)) {
            change(&mut self.held[*index]);
        }
    }

    fn hear(&mut self, at: Timestamp, device: DeviceId) {
        if at <= self.moment {
            let heard = self.heard.entry(device).or_insert(at);
            *heard = (*heard).max(at);
        }
    }
}

#[cfg(test)]
mod tests;
