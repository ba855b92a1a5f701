//! What people say about certificates that are there already: that one is a slot's, and that what depends on one was changed.

use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_api::v1::device::FoundCertificate;
use tegata_api::v1::vendor::{AdoptRequest, ConfirmRequest};
use tegata_core::name::{ClinicId, Serial, Sha256, TenantName};
use tegata_core::plan::Reason;
use tegata_core::time::Timestamp;

use super::{Place, VendorError, insist, opened, read_slot};
use crate::audit::Ledger;
use crate::bells::Bells;
use crate::store::{Batch, Change, OrderState};

/// So much of a fingerprint says which one is meant, if only one begins with it.
const DIGITS_MIN: usize = 8;

/// Orders a certificate into a slot that its device has found in one of its stores. The device takes it over, and proves it.
///
/// # Errors
/// [`VendorError`]. Nothing is kept then.
pub async fn adopt(
    ledger: &Ledger,
    bells: &Bells,
    tenant: &TenantName,
    request: &AdoptRequest,
    actor: &str,
    now: Timestamp,
) -> Result<(), VendorError> {
    insist(|| try_adopt(ledger, tenant, request, actor, now)).await?;
    bells.ring_turn();
    Ok(())
}

async fn try_adopt(ledger: &Ledger, tenant: &TenantName, request: &AdoptRequest, actor: &str, now: Timestamp) -> Result<(), VendorError> {
    let place = Place::of(ledger, tenant, &read_slot(&request.slot)?).await?;
    let found = which(&place.device(ledger).await?.report.found, &request.fingerprint)?;
    let held = ledger.store().certificates_by_fingerprint(tenant, &found).await?;
    if held.iter().any(|row| row.slot.device == place.slot.device && row.retired_at.is_none()) {
        return Err(VendorError::Gone("the certificate is in a slot of this device already"));
    }
    let mut batch = Batch { records: vec![], changes: vec![] };
    if let Some(open) = place.order(ledger).await?.filter(|order| order.state == OrderState::Open) {
        let details = json!({ "order": open.id.to_string(), "because": "adopt" });
        batch.records.push(place.record(Stage::Done, actor, "order.cancel", details, now));
        batch.changes.push(Change::CancelOrder { id: open.id, at: now });
    }
    let mut order = place.open(Reason::Missing, vec![], now)?;
    order.found = Some(found);
    let mut details = opened(&order);
    details["found"] = found.to_string().into();
    batch.records.push(place.record(Stage::Intended, actor, "order.open", details, now));
    batch.changes.extend([Change::OpenOrder(order), place.nudge(now)]);
    ledger.record((), batch).await?;
    Ok(())
}

/// The one found certificate whose fingerprint begins like this.
fn which(found: &[FoundCertificate], digits: &str) -> Result<Sha256, VendorError> {
    let digits = digits.to_ascii_lowercase();
    if digits.len() < DIGITS_MIN {
        return Err(VendorError::Malformed("at least eight digits of the fingerprint are needed"));
    }
    let mut meant = found.iter().filter(|one| one.fingerprint.starts_with(&digits));
    let one = meant.next().ok_or(VendorError::NotFound("found certificate"))?;
    if meant.any(|other| other.fingerprint != one.fingerprint) {
        return Err(VendorError::Malformed("several found certificates begin with these digits; write more of them"));
    }
    if !one.has_key {
        return Err(VendorError::Gone("the private key of this certificate is not on the device, or cannot be used"));
    }
    one.fingerprint.parse().map_err(|_| VendorError::NotFound("found certificate"))
}

/// Notes that what depends on a certificate was changed. Saying it again changes nothing.
///
/// # Errors
/// [`VendorError`]. Nothing is kept then.
pub async fn confirm(
    ledger: &Ledger,
    bells: &Bells,
    tenant: &TenantName,
    serial: &Serial,
    request: &ConfirmRequest,
    actor: &str,
    now: Timestamp,
) -> Result<(), VendorError> {
    let row = ledger.store().certificate(serial).await?.filter(|row| row.tenant == *tenant && row.retired_at.is_none());
    let row = row.ok_or(VendorError::NotFound("certificate"))?;
    let policy = ledger.policy(tenant).await?;
    let known = policy.profiles.get(&row.slot.profile).map(|profile| profile.dependants.as_slice()).unwrap_or_default();
    let meant: Vec<_> = known.iter().filter(|name| request.dependant.as_ref().is_none_or(|wanted| name.as_str() == wanted)).collect();
    if meant.is_empty() {
        return Err(VendorError::NotFound("dependant"));
    }
    let clinic = ClinicId { tenant: tenant.clone(), clinic: row.slot.clinic.clone() };
    let said = ledger.store().snapshot(&clinic, now).await?.confirmations.remove(serial).unwrap_or_default();
    let mut batch = Batch::default();
    for name in meant.into_iter().filter(|name| !said.contains(name.as_str())) {
        batch.records.push(crate::store::NewRecord {
            tenant: tenant.clone(),
            at: now,
            stage: Stage::Seen,
            actor: actor.to_owned(),
            action: "dependant.confirm",
            object: row.slot.to_string(),
            details: json!({ "serial": serial.to_string(), "dependant": name.as_str() }),
        });
        batch.changes.push(Change::Confirm { serial: *serial, dependant: name.to_string(), by: actor.to_owned(), at: now });
    }
    if batch.records.is_empty() {
        return Ok(());
    }
    batch.changes.push(Change::Nudge { clinic, at: now });
    ledger.record((), batch).await?;
    bells.ring_turn();
    Ok(())
}
