//! What is kept of the times that the database was put back from a backup.

use async_trait::async_trait;
use tegata_api::v1::device::Manifest;
use tegata_core::name::{DeviceId, TenantName};
use tegata_core::time::Timestamp;

use crate::store::{OrderRow, StoreError};

/// A time that the database was put back: what was done since the backup happened, and is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochRow {
    /// Counts up from 1.
    pub number: u64,
    /// When the backup was made; `None` if it was put back by hand.
    pub backed_up_at: Option<Timestamp>,
    /// When it was put back.
    pub restored_at: Timestamp,
    /// When a person put that on record.
    pub recorded_at: Option<Timestamp>,
}

/// What happens because the database was put back.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "each variant is explained as a whole")]
pub enum RecoveryChange {
    /// Begins an epoch for a database that was put back by hand. Guard: there is none that is not recorded.
    Begin { at: Timestamp },
    /// Records the epoch. Whatever may be used once only is forgotten, since it may have been used; every clinic is looked at. Guard:
    /// there is one that is not recorded.
    Record { at: Timestamp },
    /// A device has seen more than the database knows: its manifests are counted from there. Guard: its generation is higher.
    Ahead { tenant: TenantName, device: DeviceId, manifest: Box<Manifest> },
}

/// What can be asked.
#[async_trait]
pub trait RecoveryQueries {
    /// The times that the database was put back, oldest first.
    async fn epochs(&self) -> Result<Vec<EpochRow>, StoreError>;
    /// Every order that is open, oldest first.
    async fn open_orders(&self) -> Result<Vec<OrderRow>, StoreError>;
}
