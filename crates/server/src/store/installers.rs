//! What is kept about installer files that were removed, and about those that are known by a certificate in them.

use std::collections::BTreeSet;

use tegata_api::v1::device::FileHash;
use tegata_core::fleet::KnownFrom;
use tegata_core::name::{DeviceId, Sha256, TenantName};
use tegata_core::time::Timestamp;

/// An installer file that was removed from a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstone {
    /// The device.
    pub device: DeviceId,
    /// What the file contained.
    pub file: FileHash,
    /// Where it lay last.
    pub path: String,
    /// When that was heard.
    pub removed_at: Timestamp,
    /// When it was last seen again after that.
    pub returned_at: Option<Timestamp>,
    /// How often it came back.
    pub returns: u32,
}

/// An installer file that lies on a device, is not on record by its hash, and holds keys of certificates on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recognized {
    /// The device.
    pub device: DeviceId,
    /// What it contains.
    pub file: FileHash,
    /// True if it was ordered away.
    pub removing: bool,
    /// Each of these certificates, and where it is known from.
    pub certificates: Vec<(Sha256, Vec<KnownFrom>)>,
}

/// A change to them.
#[derive(Debug, Clone)]
pub enum InstallerChange {
    /// A file is gone from a device. One that is on record leaves a tombstone.
    Removed {
        /// The tenant.
        tenant: TenantName,
        /// The device.
        device: DeviceId,
        /// What it contained.
        sha256: Sha256,
        /// Where it lay.
        path: String,
        /// When.
        at: Timestamp,
    },
    /// A device has seen a file with the keys of these certificates. Seeing it again changes nothing.
    Recognized {
        /// The tenant.
        tenant: TenantName,
        /// The device.
        device: DeviceId,
        /// What it contains.
        file: FileHash,
        /// SHA-256 of the certificates' DER.
        certificates: BTreeSet<Sha256>,
        /// When.
        at: Timestamp,
    },
    /// A file is ordered out of the way.
    Quarantining {
        /// The tenant.
        tenant: TenantName,
        /// The device.
        device: DeviceId,
        /// What it contains.
        sha256: Sha256,
    },
    /// Somebody at the PC has put it back: it is not ordered out of the way again.
    Restored {
        /// The tenant.
        tenant: TenantName,
        /// The device.
        device: DeviceId,
        /// What it contains.
        sha256: Sha256,
        /// When that was heard.
        at: Timestamp,
    },
    /// One has come back. Guard: it was removed before.
    Returned {
        /// The tenant.
        tenant: TenantName,
        /// The device.
        device: DeviceId,
        /// What it contains.
        sha256: Sha256,
        /// When.
        at: Timestamp,
    },
}
