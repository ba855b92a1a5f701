//! What a clinic's fleet looks like: the slots that policy asks for, and what was last seen in each.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::name::{AccountName, DeviceId, IssuerName, Label, OrderId, Serial, Sha256, SlotId, TargetName};
use crate::policy::{InstallerRule, KeyOrigin, Quota, Renewal, Store};
use crate::time::Timestamp;

/// Every slot that one clinic's policy asks for, and the bounds within which it may be reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Desired {
    /// The slots.
    pub slots: BTreeMap<SlotId, DesiredSlot>,
    /// Accounts whose person is there. What was issued under any other is dead to the system that it opens, or soon will be.
    pub accounts: BTreeSet<AccountName>,
    /// Quotas of the clinic's accounts, of those that have any.
    pub quotas: BTreeMap<AccountName, Vec<Quota>>,
    /// How many certificates that still work may be replaced at the same time, so that a bad change stops at the first few.
    pub replace_at_once: u32,
    /// When the clinic is open.
    pub hours: crate::calendar::Calendar,
    /// What happens to installer files on the clinic's own devices.
    pub installers: Option<InstallerRule>,
}

/// What one slot should hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredSlot {
    /// The account that its certificates count against.
    pub account: Option<AccountName>,
    /// What the certificate must say.
    pub template: Template,
    /// When it is replaced.
    pub renewal: Renewal,
    /// Where it is installed.
    pub stores: BTreeSet<Store>,
    /// The sites for which the browser selects it without asking.
    pub select: Vec<String>,
    /// The page that proves it.
    pub probe: Option<String>,
    /// Trust anchors that the agent may install.
    pub trust: BTreeSet<Sha256>,
    /// How a successor comes about.
    pub supply: Supply,
    /// What else has to change whenever this certificate does, before it counts as replaced.
    pub dependants: Vec<Label>,
    /// Where backups of a file that somebody else made have to be.
    pub backups: BTreeSet<TargetName>,
    /// In how many of them at least. `None`: in all.
    pub backups_min: Option<usize>,
}

/// How a certificate for a slot comes about, once it was ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Supply {
    /// The device makes a key, and Tegata signs.
    Own,
    /// A person brings the vendor's file.
    Person,
    /// The device asks the vendor, with the certificate that it holds; without one that works, a person brings the file.
    Renewal,
}

/// What a certificate must say. Kept with each certificate, so that a change of policy is seen by comparison.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Template {
    /// Who signs.
    pub issuer: IssuerName,
    /// Subject CN: the device, and its home clinic if that is another one.
    pub common_name: String,
    /// Subject O: the clinic whose charts it opens.
    pub organization: String,
    /// Where the key is born, and of which kind it is.
    pub key: KeyOrigin,
    /// How long it lives.
    pub validity: Duration,
}

impl Template {
    /// True if a certificate that says this is what policy wants today. How a vendor writes names is the vendor's choice: of a vendor's
    /// certificate only the issuer is compared, for the rest was checked when it was taken in.
    pub fn answers(&self, wanted: &Self) -> bool {
        match (self.key, wanted.key) {
            (KeyOrigin::Vendor, KeyOrigin::Vendor) => self.issuer == wanted.issuer,
            _ => self == wanted,
        }
    }
}

/// What is known about everything one clinic's policy touches, or once touched.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// Devices that have enrolled, guests included. One that is absent has not.
    pub devices: BTreeMap<DeviceId, ObservedDevice>,
    /// Slots that hold, held or await a certificate.
    pub slots: BTreeMap<SlotId, ObservedSlot>,
    /// What was issued under each account of the clinic.
    pub accounts: BTreeMap<AccountName, ObservedAccount>,
}

/// What is known about one enrolled device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedDevice {
    /// When its agent was last heard.
    pub last_seen: Timestamp,
    /// Its clock minus ours, in seconds.
    pub clock_offset: i64,
    /// True once its identity was revoked: it is told nothing any more.
    pub revoked: bool,
    /// Installer files that lie there and whose hash is on record.
    pub installers: BTreeSet<Sha256>,
    /// Installer files that were already ordered away.
    pub removing: BTreeSet<Sha256>,
    /// Files that lie there, whose hash nobody has put on record, and that hold keys of certificates on record: for each of those, where it
    /// is known from.
    pub recognized: BTreeMap<Sha256, Vec<Vec<KnownFrom>>>,
    /// Files with a private key that lie there, that are neither on record nor recognised, and that nobody has put back.
    pub unknown: BTreeSet<Sha256>,
    /// Those of them that were already ordered out of the way.
    pub quarantining: BTreeSet<Sha256>,
}

/// A slot that a certificate is, or was, in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownFrom {
    /// The slot, of whichever clinic.
    pub slot: SlotId,
    /// SHA-256 of the certificate's DER.
    pub fingerprint: Sha256,
    /// First moment of validity.
    pub not_before: Timestamp,
    /// Last moment of validity.
    pub not_after: Timestamp,
    /// True if it has answered over a real handshake there.
    pub proven: bool,
}

/// What is known about one slot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObservedSlot {
    /// Every certificate of this slot that is not retired yet, oldest first.
    pub certificates: Vec<Held>,
    /// The decision to issue that no certificate has answered yet.
    pub order: Option<OpenOrder>,
    /// Certificates ordered off the device whose removal was not seen yet.
    pub retiring: BTreeSet<Serial>,
    /// Set when a person asked for a replacement.
    pub renewal_asked: bool,
    /// When certificates were issued into this slot, newest last, at most the last 16: what the circuit breaker counts.
    pub issued_at: Vec<Timestamp>,
}

/// A certificate that was issued into a slot and not retired yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its serial number.
    pub serial: Serial,
    /// SHA-256 of its DER.
    pub fingerprint: Sha256,
    /// What it says.
    pub template: Template,
    /// The account it counts against.
    pub account: Option<AccountName>,
    /// First moment of validity.
    pub not_before: Timestamp,
    /// Last moment of validity.
    pub not_after: Timestamp,
    /// How far it has come on the device.
    pub progress: Progress,
    /// True once it was revoked.
    pub revoked: bool,
    /// What a person said was changed for it: names of [`DesiredSlot::dependants`].
    pub confirmed: BTreeSet<Label>,
    /// The targets in which a backup of its file was read back lately and found whole; `None` if there is no file to keep.
    pub backed_up: Option<BTreeSet<TargetName>>,
    /// True if the file that it came in has come back to a PC from which it was removed, and policy wants it replaced then.
    pub exposed: bool,
}

impl Held {
    /// True if its validity has ended: `not_after` itself is still valid (RFC 5280, section 4.1.2.5).
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now > self.not_after
    }

    /// True if a person can sign in with it at `now`: it was proven, and is valid.
    pub fn is_valid_proof(&self, now: Timestamp) -> bool {
        self.progress == Progress::Proven && !self.revoked && self.not_before <= now && !self.is_expired(now)
    }
}

/// How far a certificate has come on its device, as the agent's receipts say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// Signed; nothing heard from the device yet.
    Issued,
    /// In its store.
    Installed,
    /// It answered over a real handshake.
    Proven,
}

/// A decision to issue that no certificate has answered yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenOrder {
    /// Its name.
    pub id: OrderId,
    /// What was ordered.
    pub template: Template,
    /// The account it counts against.
    pub account: Option<AccountName>,
    /// Since when.
    pub opened_at: Timestamp,
}

/// A certificate that is gone from its device and would still open something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Loose {
    /// Where it was.
    pub slot: SlotId,
    /// Its serial number.
    pub serial: Serial,
    /// Last moment of validity.
    pub not_after: Timestamp,
}

/// What was issued under one account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObservedAccount {
    /// How many of its certificates are alive now: neither expired, nor revoked, nor seen gone from their device.
    pub alive: u32,
    /// When each of its certificates was issued, dead ones too, within the longest quota span.
    pub issued_at: Vec<Timestamp>,
    /// The same for those that were not revoked.
    pub unrevoked_at: Vec<Timestamp>,
    /// Certificates that are gone from their devices and were neither revoked nor have expired: no slot knows them any more, their
    /// issuer does.
    pub loose: Vec<Loose>,
}
