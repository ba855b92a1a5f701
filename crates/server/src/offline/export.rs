//! Makes the bundle of one device.

use std::collections::BTreeMap;

use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_api::v1::device::{IssuedCertificate, SealedBundle, Source};
use tegata_api::v1::offline::{OfflineBundle, SignedBundle};
use tegata_core::name::{DeviceId, OrderId, TenantName};
use tegata_core::time::Timestamp;
use tegata_pki::key::sha256;

use super::{OfflineError, enrolled};
use crate::audit::Ledger;
use crate::issuers::order::Issuance;
use crate::serve::certificate::ServerCertificate;
use crate::store::{Batch, DeviceRow, NewRecord};
use crate::vendor::{self, VendorError};

/// What the device would fetch now, signed. That it leaves is on record before it is.
///
/// # Errors
/// [`OfflineError`].
pub async fn export(
    issuance: &Issuance,
    certificate: &ServerCertificate,
    tenant: &TenantName,
    device: &DeviceId,
    actor: &str,
) -> Result<SignedBundle, OfflineError> {
    let (ledger, now) = (&issuance.ledger, issuance.clock.now());
    let row = enrolled(ledger, tenant, device).await?;
    if row.manifest.generation == 0 {
        return Err(OfflineError::NothingYet);
    }
    let bundle = gather(issuance, row, now).await?;
    let text = serde_json::to_string(&bundle).expect("a bundle holds only texts, numbers and names");
    let record = NewRecord {
        tenant: tenant.clone(),
        at: now,
        stage: Stage::Intended,
        actor: actor.to_owned(),
        action: "bundle.export",
        object: device.to_string(),
        details: json!({
            "generation": bundle.manifest.generation, "identity": bundle.identity, "sha256": sha256(text.as_bytes()).to_string(),
            "sealed": bundle.sealed.keys().collect::<Vec<_>>(), "issued": bundle.issued.keys().collect::<Vec<_>>(),
        }),
    };
    let recorded = ledger.record(text, Batch { records: vec![record], changes: vec![] }).await?;
    Ok(certificate.sign(recorded)?)
}

async fn gather(issuance: &Issuance, row: DeviceRow, now: Timestamp) -> Result<OfflineBundle, OfflineError> {
    let (mut sealed, mut issued) = (BTreeMap::new(), BTreeMap::new());
    for slot in &row.manifest.slots {
        let Some(order) = slot.order.as_ref().and_then(|order| order.parse::<OrderId>().ok()) else { continue };
        match slot.source {
            Source::Bundle { .. } => sealed.extend(brought(&issuance.ledger, &row, &order).await?.map(|file| (order.to_string(), file))),
            Source::Request => issued.extend(signed(issuance, &row, &order).await?.map(|one| (order.to_string(), one))),
            // The device has what it takes, or gets it from the vendor.
            Source::Found { .. } | Source::Renewal { .. } => {}
        }
    }
    Ok(OfflineBundle {
        tenant: row.tenant.to_string(),
        identity: row.identity.to_string(),
        made_at: now.unix(),
        receipts: row.receipts,
        manifest: row.manifest,
        sealed,
        issued,
    })
}

/// The vendor's file of an order; none if the certificate came from the device itself.
async fn brought(ledger: &Ledger, row: &DeviceRow, order: &OrderId) -> Result<Option<SealedBundle>, OfflineError> {
    match vendor::sealed_bundle(ledger, row, order).await {
        Ok(file) => Ok(Some(file)),
        Err(VendorError::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The certificate of an order, if the device's request has come already.
async fn signed(issuance: &Issuance, row: &DeviceRow, order: &OrderId) -> Result<Option<IssuedCertificate>, OfflineError> {
    let certificate = issuance.ledger.store().certificate_of_order(order).await?;
    match certificate.filter(|one| one.tenant == row.tenant && one.slot.device == row.device) {
        Some(certificate) => Ok(Some(issuance.once_more(&certificate).await?)),
        None => Ok(None),
    }
}
