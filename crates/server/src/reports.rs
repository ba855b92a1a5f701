//! What agents report: facts, kept, and looked at only where planning depends on them.

use tegata_api::v1::device::Report;
use tegata_core::time::Timestamp;

use crate::audit::Ledger;
use crate::bells::Bells;
use crate::store::{DeviceRow, StoreError};

/// Keeps a report, and has the clinics looked at that it could change something for.
pub async fn report(ledger: &Ledger, bells: &Bells, device: &DeviceRow, report: Report, now: Timestamp) -> Result<(), StoreError> {
    let _ = (ledger, bells, device, report, now);
    todo!()
}
