//! What a turn starts from.

use std::collections::{BTreeMap, BTreeSet};

use tegata_api::v1::device::FileHash;
use tegata_core::name::{DeviceId, OrderId, Serial, Sha256, SlotId};

use super::backup::Backed;
use super::{ApplicationRow, CertificateRow, DeviceRow, OrderRow, installers, portal};

/// What a turn starts from: everything on record about one clinic's slots, and the devices that hold them.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Counts up with every nudge; goes back into [`Change::Rest`](super::Change::Rest).
    pub nudges: u64,
    /// Orders of the clinic's slots that are open, and the newest one of each slot that was not cancelled.
    pub orders: Vec<OrderRow>,
    /// Certificates of the clinic's slots that are not retired, those that were issued within `history` of now, and those under an account
    /// that are retired but neither revoked nor expired then: their issuer still counts them.
    pub certificates: Vec<CertificateRow>,
    /// What people said was changed, for certificates that are not retired.
    pub confirmations: BTreeMap<Serial, BTreeSet<String>>,
    /// Slots for which somebody asked for a replacement.
    pub renewals_asked: Vec<SlotId>,
    /// Devices that stand in the clinic or hold one of its slots.
    pub devices: BTreeMap<DeviceId, DeviceRow>,
    /// Installer files on record that lie on these devices, and whether they were ordered away.
    pub installers: Vec<(DeviceId, FileHash, bool)>,
    /// Installer files that lie on the clinic's own devices and are known only by certificates in them.
    pub recognized: Vec<installers::Recognized>,
    /// Files that were ordered out of the way on the clinic's own devices, and are not gone.
    pub quarantining: BTreeSet<(DeviceId, Sha256)>,
    /// Files that people at these devices have put back.
    pub restored: BTreeSet<(DeviceId, Sha256)>,
    /// Installer files that were removed from the clinic's own devices.
    pub tombstones: Vec<installers::Tombstone>,
    /// Orders of these slots whose certificate came in a file that was removed from some device and has come back.
    pub exposed: BTreeSet<OrderId>,
    /// What the clinic's accounts hold from the portal.
    pub portal: Vec<portal::PortalSeat>,
    /// Applications for the clinic's slots that are open.
    pub applications: Vec<ApplicationRow>,
    /// The clinic's backups, and what is known of each in each target.
    pub backups: Vec<Backed>,
}
