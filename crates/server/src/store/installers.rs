//! What is kept about installer files that were removed.

use tegata_api::v1::device::FileHash;
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
