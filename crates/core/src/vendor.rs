//! What a vendor's bundle must be: the facts of a file, what policy expects of it, and every way in which the two can differ.
//!
//! Whoever opened the bundle has proven that the key is the certificate's own and which authorities really signed it;
//! here it is only compared.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::name::{DeviceId, InstitutionNumber, Label, Sha1, Sha256, SlotId};
use crate::policy::ClinicNetwork;
use crate::time::Timestamp;

mod file_name;
#[cfg(test)]
mod tests;

pub use file_name::{FILE_NAME_PLACEHOLDERS, FileNameError, FileNamePattern};

/// What a vendor's certificate says, as far as checks ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleFacts {
    /// SHA-256 of the certificate's DER.
    pub fingerprint: Sha256,
    /// Its serial number, in hexadecimal digits as consoles show it.
    pub serial: String,
    /// Subject CN.
    pub common_name: Option<String>,
    /// Subject O.
    pub organization: Option<String>,
    /// Every value that stands in the subject, in order.
    pub subject_texts: Vec<String>,
    /// Issuer CN.
    pub issuer_common_name: Option<String>,
    /// Issuer O.
    pub issuer_organization: Option<String>,
    /// First moment of validity.
    pub not_before: Timestamp,
    /// Last moment of validity.
    pub not_after: Timestamp,
    /// The authorities in the file whose signatures lead to this certificate, its issuer first. Others in the file vouch for nothing.
    pub anchors: Vec<Thumbprints>,
    /// The name that the file came with, without folders.
    pub file_name: String,
}

/// Both digests by which a certificate may be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thumbprints {
    /// What older manuals and Windows' warnings show.
    pub sha1: Sha1,
    /// What nobody can forge.
    pub sha256: Sha256,
}

/// A digest by which policy pins a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Thumbprint {
    /// As a vendor published it. Nobody can make a second certificate for an existing SHA-1, so pinning by it is sound.
    Sha1(Sha1),
    /// The stronger one.
    Sha256(Sha256),
}

impl Thumbprints {
    /// True if this is the certificate that policy pinned.
    pub fn are(&self, pinned: &Thumbprint) -> bool {
        match pinned {
            Thumbprint::Sha1(sha1) => self.sha1 == *sha1,
            Thumbprint::Sha256(sha256) => self.sha256 == *sha256,
        }
    }
}

/// What policy expects of a vendor's bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// The issuer's CN, exactly.
    pub issuer_common_name: Option<Label>,
    /// The issuer's O, exactly.
    pub issuer_organization: Option<Label>,
    /// What the subject has to name.
    pub subject: SubjectRule,
    /// One of these must have signed, itself or through others in the file. Empty: nothing is pinned.
    pub anchors: BTreeSet<Thumbprint>,
    /// What the file has to be called. `None`: anything.
    pub file_name: Option<FileNamePattern>,
    /// Whether the file must go on being called what the vendor called it.
    pub keep_file_name: bool,
    /// How long the vendor's certificates live.
    pub validity: Duration,
    /// By how much the validity may differ: years have leap days, months have 28 to 31 days.
    pub validity_tolerance: Duration,
    /// On how many devices one certificate may be.
    pub sharing: Sharing,
    /// The rules of a PIN in the place of a password.
    pub pin: Option<PinRule>,
    /// The rules of the code that the vendor mails before it issues.
    pub code: Option<CodeRule>,
}

/// What the subject of a vendor's certificate has to name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SubjectRule {
    /// Whatever the vendor writes.
    Anything,
    /// The clinic's ten-digit institution number.
    InstitutionNumber,
    /// The clinic's tenant at the vendor.
    VendorTenant,
}

/// On how many devices one certificate may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sharing {
    /// The vendor forbids copies: one certificate, one device.
    OneDevice,
    /// The same certificate may be on several.
    ManyDevices,
}

/// The rules of a PIN in the place of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinRule {
    /// How many digits it has.
    pub digits: u8,
    /// After how many wrong tries the vendor locks the certificate. Tegata spends one only when a person types it.
    pub tries: u8,
}

/// The rules of the code that a vendor mails before it issues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeRule {
    /// How many digits it has.
    pub digits: u8,
    /// How long it is good for.
    pub life: Duration,
}

/// Why a bundle is not the one that policy wants. The first group is found while it is opened, the second by [`check`], the third by
/// [`check_against`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BundleFault {
    /// The file has more bytes than are looked at.
    TooLarge {
        /// How many it has.
        bytes: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// It is damaged, cut short, or another kind of file.
    Unreadable,
    /// It asks for more work, or holds more things, than any honest file does.
    Excessive,
    /// It is protected in a way that is not supported.
    Unsupported,
    /// The password does not fit. One try was made, and no other will be.
    WrongPassword,
    /// There is no private key in it.
    NoKey,
    /// There are several private keys in it.
    SeveralKeys {
        /// How many.
        count: usize,
    },
    /// There is a private key in it, but no certificate.
    NoCertificate,
    /// Its certificates belong to other keys than the private key in it.
    OtherKey,

    /// It is over.
    Expired {
        /// Since when.
        at: Timestamp,
    },
    /// It has not begun.
    NotYetValid {
        /// When it does.
        at: Timestamp,
    },
    /// Somebody else issued it.
    WrongIssuer {
        /// Who did, as far as it says.
        found: Option<String>,
        /// Who should have.
        wanted: Label,
    },
    /// It is another institution's.
    WrongInstitution {
        /// The ten digits that it names, if it names any.
        found: Option<String>,
        /// The clinic's own.
        wanted: InstitutionNumber,
    },
    /// Policy does not say the clinic's institution number, so the certificate cannot be compared.
    InstitutionUnknown,
    /// It is another tenant's at the vendor.
    WrongTenant {
        /// The organization that it names.
        found: Option<String>,
        /// The clinic's own.
        wanted: Label,
    },
    /// Policy does not say the clinic's tenant at the vendor, so the certificate cannot be compared.
    TenantUnknown,
    /// None of the authorities that signed it is pinned: the file may be a forgery.
    UnknownAnchor {
        /// Those that did.
        found: Vec<Thumbprints>,
    },
    /// No authority in the file signed it, so there is nothing to compare with what is pinned.
    NoAnchor,
    /// The file is called something else.
    WrongFileName {
        /// What it is called.
        found: String,
        /// What it should be called.
        wanted: FileNamePattern,
    },
    /// It lives longer or shorter than the vendor's certificates do: perhaps one for another purpose.
    WrongValidity {
        /// How long it lives.
        found: Duration,
        /// How long it should.
        wanted: Duration,
    },

    /// The same certificate is on another device already, and the vendor forbids copies.
    OnAnotherDevice {
        /// Where it is.
        device: DeviceId,
    },
    /// What the place holds already lasts longer.
    OlderThanHeld {
        /// When this one ends.
        until: Timestamp,
        /// When the held one ends.
        held_until: Timestamp,
    },
}

/// A vendor's certificate that is known already, and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The place.
    pub slot: SlotId,
    /// SHA-256 of the certificate's DER.
    pub fingerprint: Sha256,
    /// When it ends.
    pub not_after: Timestamp,
}

/// Compares a bundle with what policy expects. Everything that is wrong is found at once; nothing means that it fits.
pub fn check(facts: &BundleFacts, expected: &Expectation, clinic: &ClinicNetwork, now: Timestamp) -> Vec<BundleFault> {
    let checks = [
        dates(facts, now),
        issuer(facts.issuer_common_name.as_deref(), expected.issuer_common_name.as_ref()),
        issuer(facts.issuer_organization.as_deref(), expected.issuer_organization.as_ref()),
        subject(facts, expected.subject, clinic),
        anchors(facts, &expected.anchors),
        file_name(facts, expected.file_name.as_ref(), clinic),
        validity(facts, expected),
    ];
    checks.into_iter().flatten().collect()
}

/// Compares a bundle for `slot` with what is `held` already, there and elsewhere. To bring the same file to the same place again is no fault.
pub fn check_against(facts: &BundleFacts, expected: &Expectation, slot: &SlotId, held: &[Held]) -> Vec<BundleFault> {
    let same = |other: &&Held| other.fingerprint == facts.fingerprint;
    let elsewhere = held.iter().filter(same).find(|other| other.slot.device != slot.device);
    let copied = elsewhere.filter(|_| expected.sharing == Sharing::OneDevice);
    let longer = held.iter().filter(|other| other.slot == *slot && !same(other) && other.not_after > facts.not_after);
    let longest = longer.map(|other| other.not_after).max();
    let copied = copied.map(|other| BundleFault::OnAnotherDevice { device: other.slot.device.clone() });
    let older = longest.map(|held_until| BundleFault::OlderThanHeld { until: facts.not_after, held_until });
    copied.into_iter().chain(older).collect()
}

fn dates(facts: &BundleFacts, now: Timestamp) -> Option<BundleFault> {
    if now > facts.not_after {
        Some(BundleFault::Expired { at: facts.not_after })
    } else if now < facts.not_before {
        Some(BundleFault::NotYetValid { at: facts.not_before })
    } else {
        None
    }
}

fn issuer(found: Option<&str>, wanted: Option<&Label>) -> Option<BundleFault> {
    let wanted = wanted.filter(|wanted| found != Some(wanted.as_str()))?;
    Some(BundleFault::WrongIssuer { found: found.map(str::to_owned), wanted: wanted.clone() })
}

fn subject(facts: &BundleFacts, rule: SubjectRule, clinic: &ClinicNetwork) -> Option<BundleFault> {
    match rule {
        SubjectRule::Anything => None,
        SubjectRule::InstitutionNumber => {
            let Some(wanted) = &clinic.institution_number else { return Some(BundleFault::InstitutionUnknown) };
            let found: Vec<&str> = facts.subject_texts.iter().flat_map(|text| institution_numbers(text)).collect();
            let fits = found.contains(&wanted.as_str());
            (!fits).then(|| BundleFault::WrongInstitution { found: found.first().map(|text| (*text).to_owned()), wanted: wanted.clone() })
        }
        SubjectRule::VendorTenant => {
            let Some(wanted) = &clinic.vendor_tenant else { return Some(BundleFault::TenantUnknown) };
            let fits = facts.subject_texts.iter().any(|text| text == wanted.as_str());
            (!fits).then(|| BundleFault::WrongTenant { found: facts.organization.clone(), wanted: wanted.clone() })
        }
    }
}

/// The rows of exactly ten digits in a text. It is not published in which attribute the number stands, and what else may stand there.
fn institution_numbers(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !character.is_ascii_digit()).filter(|digits| digits.len() == 10)
}

fn anchors(facts: &BundleFacts, pinned: &BTreeSet<Thumbprint>) -> Option<BundleFault> {
    if pinned.is_empty() {
        None
    } else if facts.anchors.is_empty() {
        Some(BundleFault::NoAnchor)
    } else {
        let vouched = facts.anchors.iter().any(|anchor| pinned.iter().any(|pin| anchor.are(pin)));
        (!vouched).then(|| BundleFault::UnknownAnchor { found: facts.anchors.clone() })
    }
}

fn file_name(facts: &BundleFacts, wanted: Option<&FileNamePattern>, clinic: &ClinicNetwork) -> Option<BundleFault> {
    let wanted = wanted.filter(|wanted| wanted.original(&facts.file_name, clinic).is_none())?;
    Some(BundleFault::WrongFileName { found: facts.file_name.clone(), wanted: wanted.clone() })
}

fn validity(facts: &BundleFacts, expected: &Expectation) -> Option<BundleFault> {
    let found = facts.not_after.since(facts.not_before);
    let fits = found.abs_diff(expected.validity) <= expected.validity_tolerance;
    (!fits).then_some(BundleFault::WrongValidity { found, wanted: expected.validity })
}
