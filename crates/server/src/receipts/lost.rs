//! What devices say of certificates that were given out between a backup and its restoring. It is told, and replaced; nothing of it is
//! taken away: it may be all that a PC has.

use tegata_api::v1::device::{Deed, Receipt, SignedReceipt};
use tegata_core::name::{ClinicId, Sha256, SlotId};
use tegata_core::policy::KeyOrigin;
use tegata_core::time::Timestamp;

use super::{ReceiptError, seen};
use crate::audit::Ledger;
use crate::store::{Batch, Change, DeviceRow, Store, StoreError};

/// True if a receipt is about a certificate that nothing here knows of.
pub(super) async fn is_unknown(store: &dyn Store, device: &DeviceRow, deed: &Deed) -> Result<bool, StoreError> {
    let (Deed::Installed { fingerprint, .. } | Deed::Proven { fingerprint, .. } | Deed::Retired { fingerprint }) = deed else {
        return Ok(false);
    };
    let Ok(fingerprint) = fingerprint.parse::<Sha256>() else { return Ok(false) };
    Ok(store.certificates_by_fingerprint(&device.tenant, &fingerprint).await?.is_empty())
}

/// Counts the receipt and has the certificate replaced by one that can be revoked. A vendor's is left to people: another one is paid for.
pub(super) async fn witness(
    ledger: &Ledger,
    device: &DeviceRow,
    receipt: &Receipt,
    signed: &SignedReceipt,
    now: Timestamp,
    batch: &mut Batch,
) -> Result<(), ReceiptError> {
    let (tenant, number) = (device.tenant.clone(), receipt.number);
    let slot = match &receipt.deed {
        Deed::Installed { slot, .. } | Deed::Proven { slot, .. } => Some(slot.parse::<SlotId>().ok()),
        Deed::InstallerQuarantined { .. } | Deed::InstallerRestored { .. } | Deed::LogContradicted { .. } => None,
        Deed::Retired { .. } | Deed::InstallerRemoved { .. } | Deed::RootTrusted { .. } | Deed::RootDistrusted { .. } => None,
    };
    let slot = slot.map(|slot| slot.filter(|slot| slot.device == device.device).ok_or(ReceiptError::NotYours { number })).transpose()?;
    let object = slot.as_ref().map_or_else(|| device.device.to_string(), ToString::to_string);
    batch.records.push(seen(device, "certificate.unknown", object, (&receipt.deed, signed), now));
    batch.changes.push(Change::CountReceipt { tenant: tenant.clone(), device: device.device.clone(), number });
    let policy = ledger.policy(&tenant).await?;
    let is_own = |slot: &SlotId| policy.profiles.get(&slot.profile).is_some_and(|profile| profile.key != KeyOrigin::Vendor);
    if let Some(slot) = slot.filter(is_own) {
        let clinic = ClinicId { tenant: tenant.clone(), clinic: slot.clinic.clone() };
        batch.changes.extend([Change::AskRenewal { tenant, slot }, Change::Nudge { clinic, at: now }]);
    }
    Ok(())
}
