//! Takes sealed backups in: beside a vendor's file that is taken in, and from devices.

use aws_lc_rs::rand;
use tegata_core::backup::Keepers;
use tegata_core::name::{BackupId, OrderId, Sha256, SlotId, TenantName};
use tegata_core::time::Timestamp;

use crate::store::backup::{BackupChange, BackupRow, Kind, NewBackup};
use crate::store::{Change, StoreError};

/// What a sealed file is a backup of.
pub(crate) struct Of<'a> {
    pub tenant: &'a TenantName,
    pub slot: &'a SlotId,
    pub kind: Kind,
    pub order: OrderId,
    pub fingerprint: Sha256,
    pub not_after: Timestamp,
}

/// Keeps a sealed file as a backup. The next turn of its clinic orders it carried.
pub(crate) fn keep(of: &Of<'_>, keepers: Keepers, sealed: &[u8], now: Timestamp) -> Result<Change, StoreError> {
    let mut id = [0; 16];
    rand::fill(&mut id).map_err(|_| StoreError::Unsafe("the operating system gives no random numbers".into()))?;
    let row = BackupRow {
        id: BackupId(id),
        tenant: of.tenant.clone(),
        slot: of.slot.clone(),
        kind: of.kind,
        order: of.order,
        fingerprint: of.fingerprint,
        keepers,
        sealed_at: now,
        not_after: of.not_after,
        useless: None,
        is_emptied: false,
    };
    Ok(Change::Backup(BackupChange::Keep(Box::new(NewBackup { row, sealed: sealed.to_vec() }))))
}
