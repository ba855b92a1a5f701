//! What devices fetch, and what they came to by themselves: renewed at the vendor's, or found in one of their stores.

use data_encoding::BASE64;
use tegata_api::v1::audit::Stage;
use tegata_api::v1::device::{SealedBundle, TakenCertificate};
use tegata_core::backup::Keepers;
use tegata_core::name::{OrderId, TenantName};
use tegata_core::policy::KeyOrigin;
use tegata_core::time::Timestamp;

use super::{Place, VendorError, details, insist, read_chain, read_sealed, taken_in};
use crate::audit::Ledger;
use crate::backup::sealed_to;
use crate::bells::Bells;
use crate::store::{Batch, Bundle, Change, DeviceRow, OrderRow, OrderState};

/// The most recipients that a backup has: ten targets with twenty each.
const RECIPIENTS_MAX: usize = 200;

/// The vendor's file that answers an order of this device.
///
/// # Errors
/// [`VendorError::NotFound`] if there is none, or it is another device's.
pub async fn sealed_bundle(ledger: &Ledger, device: &DeviceRow, order: &OrderId) -> Result<SealedBundle, VendorError> {
    let order = own_order(ledger, device, order).await?;
    let row = ledger.store().certificate_of_order(&order.id).await?.ok_or(VendorError::NotFound("bundle"))?;
    let bundle = ledger.store().bundle(&order.id).await?.ok_or(VendorError::NotFound("bundle"))?;
    Ok(SealedBundle { fingerprint: row.fingerprint.to_string(), sealed: BASE64.encode(&bundle.sealed) })
}

/// Takes in what a device came to by itself for one of its orders. Saying it again changes nothing.
///
/// # Errors
/// [`VendorError`]: among others, if the certificate is not what policy expects.
pub async fn taken(
    ledger: &Ledger,
    bells: &Bells,
    device: &DeviceRow,
    order: &OrderId,
    said: &TakenCertificate,
    now: Timestamp,
) -> Result<(), VendorError> {
    insist(|| try_taken(ledger, device, order, said, now)).await?;
    bells.ring_turn();
    Ok(())
}

async fn try_taken(
    ledger: &Ledger,
    device: &DeviceRow,
    order: &OrderId,
    said: &TakenCertificate,
    now: Timestamp,
) -> Result<(), VendorError> {
    let order = own_order(ledger, device, order).await?;
    let chain = read_chain(&said.chain)?;
    let own = chain.first().ok_or(VendorError::Malformed("the chain holds no certificate"))?;
    match order.state {
        OrderState::Cancelled => return Err(VendorError::Gone("the order was taken back")),
        OrderState::Fulfilled => return is_answered_by(ledger, &order, own.fingerprint).await,
        OrderState::Open => {}
    }
    if order.found.is_some_and(|found| found != own.fingerprint) {
        return Err(VendorError::Malformed("this is not the certificate that the order names"));
    }
    let place = Place::of(ledger, &device.tenant, &order.slot).await?;
    let file = Some(said.file_name.as_str()).filter(|_| order.found.is_none());
    let checked = place.check(ledger, &chain, file, now).await?;
    let taken = taken_in(order.id, own, bundle(said)?, now);
    let actor = format!("device:{}", device.device);
    let action = if order.found.is_some() { "certificate.adopt" } else { "certificate.renewed" };
    let record = place.record(Stage::Done, &actor, action, details(&taken, &checked.facts), now);
    let kept = match &taken.bundle {
        Some(bundle) => Some(place.backup((taken.order, taken.fingerprint, taken.not_after), keepers(said, bundle)?, bundle, now)?),
        None => None,
    };
    let changes = [Change::TakeIn(taken.into()), place.answered(now), place.nudge(now)].into_iter().chain(kept).collect();
    ledger.record((), Batch { records: vec![record], changes }).await?;
    Ok(())
}

/// The answer to a device that did not hear the first one.
async fn is_answered_by(ledger: &Ledger, order: &OrderRow, fingerprint: tegata_core::name::Sha256) -> Result<(), VendorError> {
    let row = ledger.store().certificate_of_order(&order.id).await?;
    match row.filter(|row| row.fingerprint == fingerprint) {
        Some(_) => Ok(()),
        None => Err(VendorError::Gone("the order was answered by another certificate")),
    }
}

async fn own_order(ledger: &Ledger, device: &DeviceRow, order: &OrderId) -> Result<OrderRow, VendorError> {
    let is_own = |order: &OrderRow| belongs(&device.tenant, device, order) && order.template.key == KeyOrigin::Vendor;
    ledger.store().order(order).await?.filter(is_own).ok_or(VendorError::NotFound("order"))
}

fn belongs(tenant: &TenantName, device: &DeviceRow, order: &OrderRow) -> bool {
    order.tenant == *tenant && order.slot.device == device.device
}

/// To whom the device says that it sealed: what it was told meanwhile is something else.
fn keepers(said: &TakenCertificate, bundle: &Bundle) -> Result<Keepers, VendorError> {
    let malformed = VendorError::Malformed("its recipients must be at most 200 age keys");
    let is_key = |text: &String| text.len() == 62 && text.starts_with("age1") && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if said.recipients.len() > RECIPIENTS_MAX || !said.recipients.iter().all(is_key) {
        return Err(malformed);
    }
    sealed_to(&bundle.sealed, &said.recipients).ok_or(VendorError::Malformed("its recipients are not those that the sealed file names"))
}

fn bundle(said: &TakenCertificate) -> Result<Option<Bundle>, VendorError> {
    if said.sealed.is_empty() { Ok(None) } else { read_sealed(&said.sealed, &said.file_name).map(Some) }
}
