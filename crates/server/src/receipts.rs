//! Signed receipts: what devices say they did becomes *seen* records.

use tegata_api::v1::device::{ReceiptsAnswer, SignedReceipt};
use tegata_core::time::Timestamp;

use crate::audit::Ledger;
use crate::bells::Bells;
use crate::store::{DeviceRow, StoreError};

/// Why receipts were refused. Those before the refused one are on record.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// It cannot be read.
    #[error("receipt {0} of the message cannot be read")]
    Unreadable(usize),
    /// The signature is not by the device's identity key.
    #[error("receipt {number} is not signed by the device")]
    NotSigned {
        /// Its number.
        number: u64,
    },
    /// It speaks about another device, or about a slot or certificate that is not this device's.
    #[error("receipt {number} is about something that is not this device's")]
    NotYours {
        /// Its number.
        number: u64,
    },
    /// The database failed or the state changed meanwhile.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Checks receipts and puts them on record, in order of their numbers. Numbers that are on record already are skipped; a gap ends it.
pub async fn accept(
    ledger: &Ledger,
    bells: &Bells,
    device: &DeviceRow,
    receipts: Vec<SignedReceipt>,
    now: Timestamp,
) -> Result<ReceiptsAnswer, ReceiptError> {
    let _ = (ledger, bells, device, receipts, now);
    todo!()
}
