//! Tries of a PIN: the vendor locks a certificate after a few wrong ones, so each is counted before it is made.

use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_api::v1::vendor::TryRequest;
use tegata_core::name::{Sha256, TenantName};
use tegata_core::time::Timestamp;

use super::{Place, VendorError, read_slot};
use crate::audit::Ledger;
use crate::store::{Batch, Change, StoreError};

/// Counts a try that a person is about to make on a file. The last one is kept back, unless it is asked for by name.
///
/// # Errors
/// [`VendorError::LastTry`]: no more are left, or only the last. Nothing is counted then.
pub async fn spend_try(ledger: &Ledger, tenant: &TenantName, request: &TryRequest, actor: &str, now: Timestamp) -> Result<(), VendorError> {
    let place = Place::of(ledger, tenant, &read_slot(&request.slot)?).await?;
    let file: Sha256 = request.sha256.parse().map_err(|_| VendorError::Malformed("sha256 must be 64 hexadecimal digits"))?;
    let Some(pin) = place.expectation()?.pin else { return Ok(()) };
    let below = u32::from(pin.tries) - u32::from(!request.last);
    let record = place.record(Stage::Intended, actor, "pin.try", json!({ "sha256": file.to_string() }), now);
    let change = Change::SpendPinTry { tenant: tenant.clone(), slot: place.slot.clone(), file, below };
    match ledger.record((), Batch { records: vec![record], changes: vec![change] }).await {
        Ok(_) => Ok(()),
        Err(StoreError::Conflict(_)) => Err(VendorError::LastTry),
        Err(error) => Err(error.into()),
    }
}
