//! What of a clinic has a deadline, when that is told, and what is said of it.

use tegata_api::v1::device::FoundCertificate;
use tegata_api::v1::notice::{Acts, Item};
use tegata_core::fleet::Held;
use tegata_core::name::{DeviceId, SlotId};
use tegata_core::notice::{self, Kind, Ladder, Outlook, Rung};
use tegata_core::plan::Plan;
use tegata_core::policy::{CertificateProfile, ClinicNetwork, Tenant};
use tegata_core::time::Timestamp;

use super::{local, waits_for};
use crate::store::notices::Told;
use crate::store::{ApplicationRow, CertificateRow, DeviceRow};
use crate::turn::observe::Scene;
use crate::words as wire;

/// Something that a clinic's policy has a ladder for.
pub(super) struct Expiry<'a> {
    what: What<'a>,
    pub deadline: Timestamp,
    ladder: Ladder<'a>,
    policy: &'a Tenant,
}

/// What has the deadline. What else gets one becomes a variant here, and is found in [`running_out`].
enum What<'a> {
    /// A certificate in its slot.
    Certificate(&'a SlotId, &'a CertificateProfile, &'a Held),
    /// A certificate that somebody else put onto a device.
    Found(&'a DeviceId, &'a FoundCertificate),
    /// An application for a slot's certificate.
    Application(&'a CertificateProfile, &'a ApplicationRow),
}

impl What<'_> {
    fn kind(&self) -> Kind {
        match self {
            Self::Certificate(..) => Kind::Certificate,
            Self::Found(..) => Kind::Found,
            Self::Application(..) => Kind::Application,
        }
    }

    /// What people know it by.
    fn object(&self) -> String {
        match self {
            Self::Certificate(_, _, held) => held.serial.to_string(),
            Self::Found(_, found) => found.fingerprint.clone(),
            Self::Application(_, row) => row.request_id.clone(),
        }
    }

    /// What it is told by, once: one name for each thing of a tenant. The same certificate may have been found on two devices, and nobody
    /// says that a request ID is written down for one slot only.
    fn told_as(&self) -> String {
        match self {
            Self::Certificate(..) => self.object(),
            Self::Found(device, found) => format!("{device} {}", found.fingerprint),
            Self::Application(_, row) => row.slot.to_string(),
        }
    }

    /// Where it is or belongs.
    fn place(&self) -> String {
        match self {
            Self::Certificate(slot, ..) => slot.to_string(),
            Self::Found(device, _) => device.to_string(),
            Self::Application(_, row) => row.slot.to_string(),
        }
    }

    fn device(&self) -> &DeviceId {
        match self {
            Self::Certificate(slot, ..) => &slot.device,
            Self::Found(device, _) => device,
            Self::Application(_, row) => &row.slot.device,
        }
    }

    /// What it says about whom it is for.
    fn subject(&self) -> String {
        match self {
            Self::Certificate(_, _, held) => subject(&held.template.common_name, &held.template.organization),
            Self::Found(_, found) => found.subject.clone(),
            Self::Application(_, row) => row.request_id.clone(),
        }
    }

    fn issuer(&self) -> String {
        match self {
            Self::Certificate(_, profile, _) | Self::Application(profile, _) => profile.issuer.to_string(),
            Self::Found(_, found) => found.issuer.clone(),
        }
    }
}

impl Expiry<'_> {
    pub fn look(&self, network: &ClinicNetwork, told: Option<Rung>, now: Timestamp) -> Outlook {
        self.ladder.look(self.deadline, &network.hours, told, now)
    }

    pub fn told(&self, rung: Rung) -> Told {
        Told { kind: self.what.kind(), object: self.what.told_as(), deadline: self.deadline, rung }
    }

    pub fn item(&self, rung: Rung, network: &ClinicNetwork, plan: &Plan, now: Timestamp) -> Item {
        let device = self.what.device();
        let home = self.policy.clinics.get(&device.clinic).and_then(|home| home.devices.get(&device.device));
        let item = Item {
            kind: wire::kind(self.what.kind()).to_owned(),
            object: self.what.object(),
            slot: self.what.place(),
            place: home.and_then(|device| device.memo.as_ref()).map(ToString::to_string),
            subject: self.what.subject(),
            issuer: self.what.issuer(),
            deadline: self.deadline.unix(),
            deadline_local: local(&network.hours, self.deadline).1,
            days_left: notice::days_left(&network.hours, self.deadline, now),
            rung: wire::rung(rung),
            acts: Acts::Person,
            because: None,
            waits_for: None,
            dependants: vec![],
        };
        match self.what {
            What::Certificate(slot, profile, _) => self.renewed(item, slot, profile, plan),
            What::Found(..) | What::Application(..) => item,
        }
    }

    /// Adds what becomes of a certificate whose slot is planned.
    fn renewed(&self, item: Item, slot: &SlotId, profile: &CertificateProfile, plan: &Plan) -> Item {
        let waits_for = waits_for(plan, slot);
        let issuer = self.policy.issuers.get(&profile.issuer).map(|issuer| &issuer.kind);
        Item {
            acts: wire::acts(notice::acts(issuer, waits_for)),
            because: plan.verdicts.get(slot).copied().flatten().map(|reason| wire::reason(reason).to_owned()),
            waits_for: waits_for.map(|obstacle| wire::obstacle(obstacle).to_owned()),
            dependants: profile.dependants.iter().map(ToString::to_string).collect(),
            ..item
        }
    }
}

/// Everything of a clinic that has a deadline, as far as somebody wants to be told of it.
pub(super) fn running_out<'a>(scene: &'a Scene, network: &'a ClinicNetwork, now: Timestamp) -> impl Iterator<Item = Expiry<'a>> {
    certificates(scene, network).chain(applications(scene)).chain(found(scene, network, now))
}

/// The certificates that the clinic's slots live by.
fn certificates<'a>(scene: &'a Scene, network: &'a ClinicNetwork) -> impl Iterator<Item = Expiry<'a>> {
    let is_lost = |slot: &SlotId| scene.observed.devices.get(&slot.device).is_some_and(|device| device.revoked);
    let wanted = scene.desired.slots.keys().filter(move |slot| slot.clinic == network.name && !is_lost(slot));
    wanted.filter_map(|slot| {
        let profile = scene.policy.profiles.get(&slot.profile).filter(|profile| !profile.notices.is_empty())?;
        let held = notice::bearer(scene.observed.slots.get(slot)?)?;
        let (what, ladder) = (What::Certificate(slot, profile, held), Ladder::new(&profile.notices));
        Some(Expiry { what, deadline: held.not_after, ladder, policy: &scene.policy })
    })
}

/// The open applications. They are told whatever became of their slot: somebody has to use them, or to say that nobody will.
fn applications(scene: &Scene) -> impl Iterator<Item = Expiry<'_>> {
    scene.snapshot.applications.iter().filter_map(|row| {
        let profile = scene.policy.profiles.get(&row.slot.profile)?;
        let rule = profile.application.as_ref()?;
        let what = What::Application(profile, row);
        Some(Expiry { what, deadline: rule.deadline(row.applied_at), ladder: rule.ladder(), policy: &scene.policy })
    })
}

/// What agents found on the clinic's own devices. What has expired is of no use to anybody, and nobody is told of it.
fn found<'a>(scene: &'a Scene, network: &'a ClinicNetwork, now: Timestamp) -> impl Iterator<Item = Expiry<'a>> {
    let devices = scene.snapshot.devices.values().filter(|row| row.device.clinic == network.name && row.revoked_at.is_none());
    let found = devices.flat_map(|row| one_by_one(&row.report.found).map(move |one| (row, one)));
    let matters = found.filter(move |(row, one)| one.not_after >= now.unix() && !has_successor(row, one, &scene.snapshot.certificates));
    matters.map(|(row, one)| {
        let (what, ladder) = (What::Found(&row.device, one), Ladder::new(&network.notify.found));
        Expiry { what, deadline: Timestamp::from_unix(one.not_after), ladder, policy: &scene.policy }
    })
}

/// One that lies in several stores is one.
fn one_by_one(found: &[FoundCertificate]) -> impl Iterator<Item = &FoundCertificate> {
    let is_first = |(n, one): &(usize, &FoundCertificate)| !found[..*n].iter().any(|other| other.fingerprint == one.fingerprint);
    found.iter().enumerate().filter(is_first).map(|(_, one)| one)
}

/// True if the device has one for the same subject that lives longer, or a slot has taken this very one over.
fn has_successor(device: &DeviceRow, one: &FoundCertificate, certificates: &[CertificateRow]) -> bool {
    let is_later = |not_after: i64, named: &str| not_after > one.not_after && named == one.subject;
    let found = device.report.found.iter().any(|other| other.issuer == one.issuer && is_later(other.not_after, &other.subject));
    let there = |row: &&CertificateRow| row.slot.device == device.device && row.retired_at.is_none() && row.revoked_at.is_none();
    let named = |row: &CertificateRow| subject(&row.template.common_name, &row.template.organization);
    let managed = |row: &CertificateRow| row.fingerprint.to_string() == one.fingerprint || is_later(row.not_after.unix(), &named(row));
    found || certificates.iter().filter(there).any(managed)
}

fn subject(common_name: &str, organization: &str) -> String {
    format!("CN={common_name}, O={organization}")
}
