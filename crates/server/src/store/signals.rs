//! What servers on one database tell each other: that something has changed, never what. Whoever hears it reads the state afresh.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tegata_core::name::{DeviceId, TenantName};

use super::backup::BackupChange;
use super::recovery::RecoveryChange;
use super::{Batch, Change};

/// Something has changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Signal {
    /// Anything may have: some signals were missed, or were too many.
    Everything,
    /// A clinic may be due.
    Turn,
    /// Something waits to be sent.
    Post,
    /// A backup waits to be carried.
    Carrier,
    /// There are new records.
    Records,
    /// The database was put back, or that was put on record.
    Past,
    /// A device of this tenant and of this name: its manifest moved, or the device itself is not what it was.
    Device(String, String),
}

impl Signal {
    fn of(tenant: &TenantName, device: &DeviceId) -> Self {
        Self::Device(tenant.to_string(), device.to_string())
    }
}

/// What others have to know of a batch.
pub fn signals(batch: &Batch) -> BTreeSet<Signal> {
    let of_records = (!batch.records.is_empty()).then_some(Signal::Records);
    batch.changes.iter().filter_map(signal).chain(of_records).collect()
}

fn signal(change: &Change) -> Option<Signal> {
    match change {
        Change::Wake { at: Some(_), .. } | Change::Nudge { .. } | Change::Rest { at: Some(_), .. } | Change::Release { .. } => {
            Some(Signal::Turn)
        }
        Change::PutManifest { tenant, device, .. } | Change::RevokeDevice { tenant, device, .. } => Some(Signal::of(tenant, device)),
        Change::PutDevice(row) => Some(Signal::of(&row.tenant, &row.device)),
        Change::PutLetter(_) => Some(Signal::Post),
        Change::Backup(BackupChange::Order { .. }) => Some(Signal::Carrier),
        Change::Recovery(RecoveryChange::Ahead { tenant, device, .. }) => Some(Signal::of(tenant, device)),
        Change::Recovery(RecoveryChange::Begin { .. } | RecoveryChange::Record { .. }) => Some(Signal::Past),
        _ => None,
    }
}
