//! Signed receipts: what devices say they did becomes *seen* records.

mod lost;

use data_encoding::BASE64;
use serde_json::{Value, json};
use tegata_api::v1::audit::Stage;
use tegata_api::v1::device::{Deed, Receipt, ReceiptsAnswer, SignedReceipt};
use tegata_core::name::{ClinicId, ClinicName, Serial, Sha256};
use tegata_core::policy::KeyOrigin;
use tegata_core::revocation::Cause;
use tegata_core::time::Timestamp;

use crate::audit::{Ledger, TEGATA};
use crate::bells::Bells;
use crate::policy::PolicyError;
use crate::store::installers::InstallerChange;
use crate::store::{Batch, CertificateRow, Change, DeviceRow, NewRecord, Personal, Store, StoreError};
use crate::words;

/// How many receipts of one message are looked at; the rest is sent again.
pub const RECEIPTS_MAX: usize = 100;

/// How much of a removed file's path is kept beside the receipt, in characters.
const PATH_MAX: usize = 400;

/// Why receipts were refused. Those before the refused one are on record.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// It cannot be read.
    #[error("receipt {0} of the message, counted from 1, cannot be read")]
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
    /// The policy cannot be had.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The database failed or the state changed meanwhile.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Checks receipts and puts them on record, in order of their numbers. Numbers that are on record already are skipped; a gap ends it.
///
/// # Errors
/// The first receipt that is refused. Those before it are on record.
pub async fn accept(
    ledger: &Ledger,
    bells: &Bells,
    device: &DeviceRow,
    receipts: Vec<SignedReceipt>,
    now: Timestamp,
) -> Result<ReceiptsAnswer, ReceiptError> {
    // What this database does not know of may have been forgotten with the rest.
    ledger.expect_settled()?;
    let mut up_to = device.receipts;
    let mut batch = Batch::default();
    let mut refused = None;
    for (index, signed) in receipts.iter().enumerate().take(RECEIPTS_MAX) {
        match read(device, index, signed) {
            Ok(receipt) if receipt.number <= up_to => {}
            Ok(receipt) if receipt.number > up_to + 1 => break,
            Ok(receipt) => match take(ledger, device, &receipt, signed, now, &mut batch).await {
                Ok(()) => up_to = receipt.number,
                Err(error) => refused = Some(error),
            },
            Err(error) => refused = Some(error),
        }
        if refused.is_some() {
            break;
        }
    }
    if !batch.records.is_empty() {
        ledger.record((), batch).await?;
        bells.ring_turn();
    }
    refused.map_or(Ok(ReceiptsAnswer { up_to }), Err)
}

/// Reads a receipt that is signed by this device and speaks about it.
fn read(device: &DeviceRow, index: usize, signed: &SignedReceipt) -> Result<Receipt, ReceiptError> {
    let receipt: Receipt = serde_json::from_str(&signed.receipt).map_err(|_| ReceiptError::Unreadable(index + 1))?;
    let number = receipt.number;
    let signature = BASE64.decode(signed.signature.as_bytes()).map_err(|_| ReceiptError::NotSigned { number })?;
    if !tegata_pki::key::verify(&device.public_key, signed.receipt.as_bytes(), &signature) {
        return Err(ReceiptError::NotSigned { number });
    }
    if receipt.device != device.device.to_string() {
        return Err(ReceiptError::NotYours { number });
    }
    Ok(receipt)
}

/// Adds to the batch what a receipt proves, or that it is about a past which this database has lost.
async fn take(
    ledger: &Ledger,
    device: &DeviceRow,
    receipt: &Receipt,
    signed: &SignedReceipt,
    now: Timestamp,
    batch: &mut Batch,
) -> Result<(), ReceiptError> {
    if ledger.history().epoch > 0 && lost::is_unknown(ledger.store(), device, &receipt.deed).await? {
        return lost::witness(ledger, device, receipt, signed, now, batch).await;
    }
    witness(ledger.store(), device, receipt, signed, now, batch).await
}

/// Adds to the batch what a receipt proves.
async fn witness(
    store: &dyn Store,
    device: &DeviceRow,
    receipt: &Receipt,
    signed: &SignedReceipt,
    now: Timestamp,
    batch: &mut Batch,
) -> Result<(), ReceiptError> {
    let number = receipt.number;
    let tenant = device.tenant.clone();
    let (action, object, clinic, change) = match &receipt.deed {
        Deed::Installed { slot, order, fingerprint, .. } => {
            let row = certificate(store, device, number, fingerprint, Some((slot, order))).await?;
            ("certificate.installed", row.slot.to_string(), row.slot.clinic, Some(Change::Installed { serial: row.serial, at: now }))
        }
        Deed::Proven { slot, order, fingerprint, .. } => {
            let row = certificate(store, device, number, fingerprint, Some((slot, order))).await?;
            revoke_what_it_replaces(store, &row, now, batch).await?;
            ("certificate.proven", row.slot.to_string(), row.slot.clinic, Some(Change::Proven { serial: row.serial, at: now }))
        }
        Deed::Retired { fingerprint } => {
            let row = certificate(store, device, number, fingerprint, None).await?;
            revoke_what_another_pc_holds(device, &row, now, batch);
            ("certificate.retired", row.slot.to_string(), row.slot.clinic, Some(Change::Retired { serial: row.serial, at: now }))
        }
        Deed::InstallerRemoved { path, file, .. } => {
            let sha256: Sha256 = file.sha256.parse().map_err(|_| ReceiptError::NotYours { number })?;
            let path = path.chars().take(PATH_MAX).collect();
            let gone = InstallerChange::Removed { tenant: tenant.clone(), device: device.device.clone(), sha256, path, at: now };
            let gone = Change::Installer(gone);
            ("installer.removed", device.device.to_string(), device.device.clinic.clone(), Some(gone))
        }
        Deed::InstallerQuarantined { file, .. } => {
            let _: Sha256 = file.sha256.parse().map_err(|_| ReceiptError::NotYours { number })?;
            ("installer.quarantined", device.device.to_string(), device.device.clinic.clone(), None)
        }
        Deed::InstallerRestored { file, .. } => {
            let sha256: Sha256 = file.sha256.parse().map_err(|_| ReceiptError::NotYours { number })?;
            let back = InstallerChange::Restored { tenant: tenant.clone(), device: device.device.clone(), sha256, at: now };
            ("installer.restored", device.device.to_string(), device.device.clinic.clone(), Some(Change::Installer(back)))
        }
        Deed::RootTrusted { fingerprint } => root(device, number, "root.trusted", fingerprint)?,
        Deed::RootDistrusted { fingerprint } => root(device, number, "root.distrusted", fingerprint)?,
        Deed::LogContradicted { .. } => {
            tracing::error!(device = %device.device, "a device knows another audit log: if an older state was put back by hand, run `tegata state recover --by-hand`");
            ("log.contradicted", device.device.to_string(), device.device.clinic.clone(), None)
        }
    };
    batch.records.push(seen(device, action, object, (&receipt.deed, signed), now));
    batch.changes.push(Change::CountReceipt { tenant: tenant.clone(), device: device.device.clone(), number });
    batch.changes.extend(change);
    batch.changes.push(Change::Nudge { clinic: ClinicId { tenant, clinic }, at: now });
    Ok(())
}

fn seen(device: &DeviceRow, action: &'static str, object: String, (deed, signed): (&Deed, &SignedReceipt), at: Timestamp) -> NewRecord {
    NewRecord {
        tenant: device.tenant.clone(),
        at,
        stage: Stage::Seen,
        actor: format!("device:{}", device.device),
        action,
        object,
        details: told(device, deed, signed),
    }
}

/// Byte for byte as it was signed: whoever holds the device's public key can check it without us. A path holds the name of whoever logs on to the
/// PC, so that such a receipt is committed to as a whole, and what the file was is said beside it.
fn told(device: &DeviceRow, deed: &Deed, signed: &SignedReceipt) -> Value {
    let (signature, identity) = (&signed.signature, device.identity.to_string());
    match deed {
        Deed::InstallerRemoved { file, .. } | Deed::InstallerQuarantined { file, .. } | Deed::InstallerRestored { file, .. } => {
            let sha256 = file.sha256.to_lowercase();
            json!({ "receipt": Personal(&signed.receipt), "signature": signature, "identity": identity, "sha256": sha256 })
        }
        _ => json!({ "receipt": signed.receipt, "signature": signature, "identity": identity }),
    }
}

/// What a device says of a root is put on record, and changes nothing else: the root itself is in the receipt.
fn root(
    device: &DeviceRow,
    number: u64,
    action: &'static str,
    fingerprint: &str,
) -> Result<(&'static str, String, ClinicName, Option<Change>), ReceiptError> {
    fingerprint.parse::<Sha256>().map_err(|_| ReceiptError::NotYours { number })?;
    Ok((action, device.device.to_string(), device.device.clinic.clone(), None))
}

/// A certificate that is older than the device's identity was given to the PC that had the name before, and its key may be there still:
/// that this PC does not have it proves nothing.
fn revoke_what_another_pc_holds(device: &DeviceRow, row: &CertificateRow, now: Timestamp, batch: &mut Batch) {
    let is_own = row.template.key != KeyOrigin::Vendor;
    if is_own && row.issued_at < device.enrolled_at && row.revoked_at.is_none() && row.not_after >= now {
        revoke(row, row.serial, ("enrolled-again", Cause::KeyCompromise), now, batch);
    }
}

/// Make before break: what somebody wants to be replaced and revoked is revoked now that its successor works.
async fn revoke_what_it_replaces(store: &dyn Store, row: &CertificateRow, now: Timestamp, batch: &mut Batch) -> Result<(), StoreError> {
    if row.revoked_at.is_none() {
        for (serial, cause) in store.condemned(&row.serial).await? {
            revoke(row, serial, ("replaced", cause), now, batch);
        }
    }
    Ok(())
}

/// Revokes a certificate of the slot of `row`, unless that is on its way already.
fn revoke(row: &CertificateRow, serial: Serial, (why, cause): (&str, Cause), now: Timestamp, batch: &mut Batch) {
    if batch.changes.iter().any(|change| matches!(change, Change::Revoke { serial: other, .. } if *other == serial)) {
        return;
    }
    let details = json!({ "serial": serial.to_string(), "because": why, "reason": words::cause(cause) });
    batch.records.extend([Stage::Intended, Stage::Done].map(|stage| NewRecord {
        tenant: row.tenant.clone(),
        at: now,
        stage,
        actor: TEGATA.to_owned(),
        action: "certificate.revoke",
        object: row.slot.to_string(),
        details: details.clone(),
    }));
    batch.changes.push(Change::Revoke { serial, at: now, because: cause });
}

/// The certificate that a receipt speaks about, if it is this device's and was issued into that slot by that order.
async fn certificate(
    store: &dyn Store,
    device: &DeviceRow,
    number: u64,
    fingerprint: &str,
    place: Option<(&String, &String)>,
) -> Result<CertificateRow, ReceiptError> {
    let not_yours = || ReceiptError::NotYours { number };
    let fingerprint = fingerprint.parse().map_err(|_| not_yours())?;
    let mut rows = store.certificates_by_fingerprint(&device.tenant, &fingerprint).await?;
    rows.retain(|row| {
        let placed = place.is_none_or(|(slot, order)| row.slot.to_string() == *slot && row.order.to_string() == *order);
        row.slot.device == device.device && placed
    });
    // A vendor's certificate may have been here before, and gone.
    rows.into_iter().max_by_key(|row| (row.retired_at.is_none(), row.retired_at)).ok_or_else(not_yours)
}

#[cfg(test)]
mod tests;
