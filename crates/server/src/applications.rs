//! Applications at vendors: recorded by a person who holds the notice, closed when the certificate was brought in.
//!
//! The reference ID and the PIN come sealed to the clinic's own recipients. What is not sealed is refused, so that it is never stored in clear.

use serde_json::json;
use tegata_api::v1::application::{Application, KeepPin, RecordApplication, SealedPin};
use tegata_api::v1::audit::Stage;
use tegata_api::v1::vendor::Pin;
use tegata_core::application::ApplicationRule;
use tegata_core::calendar::Date;
use tegata_core::name::{ClinicId, ClinicName, DeviceId, SlotId, TenantName};
use tegata_core::policy::{ClinicNetwork, Tenant};
use tegata_core::time::{DAY, Timestamp};

use crate::asks::AskError;
use crate::audit::Ledger;
use crate::bells::Bells;
use crate::store::{ApplicationRow, Batch, Change, Closed, NewRecord};
use crate::words;

/// The longest sealed text, in bytes: a short text for ten recipients is far below.
const SEALED_MAX: usize = 16 << 10;
/// The longest request ID.
const REQUEST_ID_MAX: usize = 64;

/// The applications of a tenant, or of one clinic: open ones first, then by deadline.
pub async fn list(ledger: &Ledger, tenant: &TenantName, clinic: Option<&ClinicName>, now: Timestamp) -> Result<Vec<Application>, AskError> {
    let policy = ledger.policy(tenant).await?;
    let mut rows = ledger.store().applications(tenant, clinic).await?;
    rows.sort_by_key(|row| (row.closed.is_some(), row.applied_at));
    Ok(rows.iter().map(|row| shown(&policy, row, now)).collect())
}

/// Keeps an application.
///
/// Refuses a slot that policy does not know or whose profile takes no applications, and a reference that is not sealed.
pub async fn record(
    ledger: &Ledger,
    bells: &Bells,
    tenant: &TenantName,
    asked: &RecordApplication,
    actor: &str,
    now: Timestamp,
) -> Result<(), AskError> {
    let slot: SlotId = asked.slot.parse().map_err(|_| AskError::Malformed("slot must be clinic/device/profile"))?;
    let policy = ledger.policy(tenant).await?;
    let clinic = known(&policy, &slot).ok_or(AskError::NotFound("slot"))?;
    let rule = rule(&policy, &slot).ok_or(AskError::Malformed("the profile of this slot says nothing about an application"))?;
    let applied: Date = asked.applied.parse().map_err(|_| AskError::Malformed("applied must be a day, written 2026-10-01"))?;
    let applied_at = clinic.hours.begins(applied);
    if applied_at > now.after(DAY) {
        return Err(AskError::Malformed("the day of the application lies ahead"));
    }
    if !is_request_id(&asked.request_id) {
        return Err(AskError::Malformed("requestId must be 1 to 64 letters, digits and hyphens"));
    }
    if !is_sealed(&asked.sealed_reference) {
        return Err(AskError::Malformed("sealedReference must be an armored age file: a reference ID is never sent in clear"));
    }
    if ledger.store().applications(tenant, Some(&slot.clinic)).await?.iter().any(|row| row.slot == slot && row.closed.is_none()) {
        return Err(AskError::Gone("this slot has an open application; close it first"));
    }
    let details = json!({ "applied": asked.applied, "requestId": asked.request_id, "deadline": rule.deadline(applied_at).unix() });
    let row = ApplicationRow {
        tenant: tenant.clone(),
        slot: slot.clone(),
        applied_at,
        request_id: asked.request_id.clone(),
        sealed_reference: asked.sealed_reference.clone(),
        sealed_pin: None,
        recorded_at: now,
        recorded_by: actor.to_owned(),
        closed: None,
    };
    let record = entry(tenant, &slot, "application.record", details, actor, now);
    ledger.record((), Batch { records: vec![record], changes: vec![Change::RecordApplication(row), nudge(tenant, &slot, now)] }).await?;
    bells.ring_turn();
    Ok(())
}

/// Keeps the PIN that was made for a slot's open application.
///
/// Refuses one that is not sealed, and one that would take another's place without being told to: whoever has used that at the vendor's
/// needs it still.
pub async fn keep_pin(
    ledger: &Ledger,
    tenant: &TenantName,
    slot: &SlotId,
    asked: &KeepPin,
    actor: &str,
    now: Timestamp,
) -> Result<(), AskError> {
    let rows = ledger.store().applications(tenant, Some(&slot.clinic)).await?;
    let open = rows.iter().find(|row| row.slot == *slot && row.closed.is_none()).ok_or(AskError::NotFound("application"))?;
    if pin_rule(&*ledger.policy(tenant).await?, slot).is_none() {
        return Err(AskError::Malformed("the profile of this slot says nothing about a PIN"));
    }
    if !is_sealed(&asked.sealed_pin) {
        return Err(AskError::Malformed("sealedPin must be an armored age file: a PIN is never sent in clear"));
    }
    if open.sealed_pin.is_some() && !asked.replace {
        return Err(AskError::Gone("a PIN was made for this application already; replace it only if it was not used yet"));
    }
    let record = entry(tenant, slot, "application.pin", json!({ "replaces": open.sealed_pin.is_some() }), actor, now);
    let (tenant, slot, sealed) = (tenant.clone(), slot.clone(), asked.sealed_pin.clone());
    let keep = Change::KeepPin { tenant, slot, sealed, replace: asked.replace };
    ledger.record((), Batch { records: vec![record], changes: vec![keep] }).await?;
    Ok(())
}

/// Hands out the sealed PIN of a slot's newest application that has one. That is on record before it is done.
pub async fn sealed_pin(ledger: &Ledger, tenant: &TenantName, slot: &SlotId, actor: &str, now: Timestamp) -> Result<SealedPin, AskError> {
    let rows = ledger.store().applications(tenant, Some(&slot.clinic)).await?;
    let newest = rows.into_iter().rev().filter(|row| row.slot == *slot).find_map(|row| row.sealed_pin);
    let sealed_pin = newest.ok_or(AskError::NotFound("PIN"))?;
    let record = entry(tenant, slot, "application.sealed-pin", json!({}), actor, now);
    ledger.record((), Batch { records: vec![record], changes: vec![] }).await?;
    Ok(SealedPin { sealed_pin })
}

/// Closes a slot's open application by hand.
pub async fn close(
    ledger: &Ledger,
    bells: &Bells,
    tenant: &TenantName,
    slot: &SlotId,
    actor: &str,
    now: Timestamp,
) -> Result<(), AskError> {
    let rows = ledger.store().applications(tenant, Some(&slot.clinic)).await?;
    if !rows.iter().any(|row| row.slot == *slot && row.closed.is_none()) {
        return Err(AskError::NotFound("application"));
    }
    let record = entry(tenant, slot, "application.close", json!({ "because": words::closed(Closed::Withdrawn) }), actor, now);
    let change = Change::CloseApplication { tenant: tenant.clone(), slot: slot.clone(), because: Closed::Withdrawn, at: now };
    ledger.record((), Batch { records: vec![record], changes: vec![change, nudge(tenant, slot, now)] }).await?;
    bells.ring_turn();
    Ok(())
}

/// The clinic has to be told of another deadline, or of one less.
fn nudge(tenant: &TenantName, slot: &SlotId, at: Timestamp) -> Change {
    Change::Nudge { clinic: ClinicId { tenant: tenant.clone(), clinic: slot.clinic.clone() }, at }
}

fn entry(tenant: &TenantName, slot: &SlotId, action: &'static str, details: serde_json::Value, actor: &str, now: Timestamp) -> NewRecord {
    let (tenant, actor, object) = (tenant.clone(), actor.to_owned(), slot.to_string());
    NewRecord { tenant, at: now, stage: Stage::Done, actor, action, object, details }
}

fn shown(policy: &Tenant, row: &ApplicationRow, now: Timestamp) -> Application {
    let rule = rule(policy, &row.slot);
    let hours = policy.clinics.get(&row.slot.clinic).map(|clinic| clinic.hours.clone()).unwrap_or_default();
    let open = row.closed.is_none();
    let state = match (row.closed, rule) {
        (Some((_, because)), _) => words::closed(because),
        (None, Some(rule)) => words::urgency(rule.urgency(row.applied_at, &hours, now)),
        (None, None) => "open",
    };
    Application {
        slot: row.slot.to_string(),
        state: state.to_owned(),
        applied: hours.day_of(row.applied_at).map_or_else(|| row.applied_at.to_string(), |date| date.to_string()),
        deadline: rule.map(|rule| rule.deadline(row.applied_at).unix()),
        next_notice: rule.filter(|_| open).and_then(|rule| rule.next_notice(row.applied_at, &hours, now)).map(Timestamp::unix),
        request_id: row.request_id.clone(),
        sealed_reference: row.sealed_reference.clone(),
        pin: pin_rule(policy, &row.slot),
        has_pin: row.sealed_pin.is_some(),
        recorded_by: row.recorded_by.clone(),
        closed_at: row.closed.map(|(at, _)| at.unix()),
    }
}

/// The clinic of a slot, if policy knows its device and its profile.
fn known<'a>(policy: &'a Tenant, slot: &SlotId) -> Option<&'a ClinicNetwork> {
    let clinic = policy.clinics.get(&slot.clinic)?;
    let DeviceId { clinic: home, device } = &slot.device;
    let is_there = if *home == slot.clinic { clinic.devices.contains_key(device) } else { clinic.guests.contains(&slot.device) };
    (is_there && policy.profiles.contains_key(&slot.profile)).then_some(clinic)
}

fn rule<'a>(policy: &'a Tenant, slot: &SlotId) -> Option<&'a ApplicationRule> {
    policy.profiles.get(&slot.profile)?.application.as_ref()
}

fn pin_rule(policy: &Tenant, slot: &SlotId) -> Option<Pin> {
    let pin = policy.profiles.get(&slot.profile)?.expect.as_ref()?.pin?;
    Some(Pin { digits: pin.digits, tries: pin.tries })
}

fn is_request_id(text: &str) -> bool {
    (1..=REQUEST_ID_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// True for the armor of an age file (C2SP age, "ASCII armor"), as far as can be told without a key.
fn is_sealed(text: &str) -> bool {
    let begins = text.trim_start().strip_prefix("-----BEGIN AGE ENCRYPTED FILE-----");
    let inside = begins.and_then(|rest| rest.trim_end().strip_suffix("-----END AGE ENCRYPTED FILE-----"));
    let packed = inside.map(|inside| inside.split_ascii_whitespace().collect::<String>());
    let header = packed.and_then(|packed| data_encoding::BASE64.decode(packed.as_bytes()).ok());
    text.len() <= SEALED_MAX && header.is_some_and(|bytes| bytes.starts_with(b"age-encryption.org/v1\n"))
}

#[cfg(test)]
mod tests;
