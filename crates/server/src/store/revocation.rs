//! What the database is asked about revocation: shards, lists, verdicts, and which certificates a wish is about.

use tegata_core::name::{AccountName, ClinicName, DeviceId, IssuerName, ProfileName, Serial, SlotId};
use tegata_core::revocation::Cause;
use tegata_core::time::Timestamp;

use super::portal::AccountId;

/// A part of an issuer's certificates: those that were drafted one after the other and share a revocation list.
///
/// 0 holds the certificates that were issued before there were shards.
pub type Shard = u32;

/// A shard that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardRow {
    /// Its number, 1 or more.
    pub shard: Shard,
    /// Where its certificates say that their list is.
    pub url: String,
    /// How many certificates are in it.
    pub filled: u64,
}

/// A certificate that an issuer has revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevokedRow {
    /// Its serial number.
    pub serial: Serial,
    /// Since when.
    pub at: Timestamp,
    /// Why.
    pub because: Cause,
}

/// What is on record about one serial number of an issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Since when and why it is invalid, if it is.
    pub revoked: Option<(Timestamp, Cause)>,
    /// The last moment of its validity.
    pub not_after: Timestamp,
}

/// Which certificates of a tenant are meant: those to which everything that is said applies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// These.
    pub serials: Option<Vec<Serial>>,
    /// Those that were issued to this device.
    pub device: Option<DeviceId>,
    /// Those that count against this account.
    pub account: Option<AccountName>,
    /// Those of this profile.
    pub profile: Option<ProfileName>,
    /// Those by this issuer.
    pub issuer: Option<IssuerName>,
    /// Those that were signed at this moment or later.
    pub issued_from: Option<Timestamp>,
    /// Those that were signed before this moment.
    pub issued_until: Option<Timestamp>,
}

impl Selection {
    /// True if nothing is said, so that it would mean everything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A certificate that a selection means: it is neither revoked nor over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// Its serial number.
    pub serial: Serial,
    /// Who has it.
    pub holder: Holder,
    /// Whether it is still on its device, as far as is known. Where a file from the portal lies, nobody knows.
    pub is_present: bool,
    /// Whether a newer one in its slot is proven, works, and is not meant; or follows it at the portal.
    pub is_replaced: bool,
}

/// Who has a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A device, in this slot.
    Slot(SlotId),
    /// Whoever fetched it from the portal under this account.
    Account(AccountId),
}

impl Holder {
    /// Its clinic.
    pub fn clinic(&self) -> &ClinicName {
        match self {
            Self::Slot(slot) => &slot.clinic,
            Self::Account(account) => &account.clinic,
        }
    }
}
