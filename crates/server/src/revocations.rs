//! Many certificates at once: which ones a wish means and what it would do, and then exactly that, in bounded batches.
//!
//! A crash in the middle leaves some done and some not, each on record; asking again does the rest.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_api::v1::revocation::{Blast, ClinicBlast, Mode, RevokeMany, RevokedMany, Selection as Said};
use tegata_core::name::{ClinicId, ClinicName, DeviceId, Serial, SlotId, TenantName};
use tegata_core::revocation::Cause;
use tegata_core::time::Timestamp;
use tegata_pki::key::sha256;

use crate::approvals::{self, Act};
use crate::asks::AskError;
use crate::audit::Ledger;
use crate::bells::Bells;
use crate::portal;
use crate::store::approvals::What;
use crate::store::revocation::{Holder, Selected, Selection};
use crate::store::{Batch, Change, NewRecord, Personal, StoreError};
use crate::words;

/// How many certificates one wish may mean.
const MEANT_MAX: u32 = 200_000;
/// How many serial numbers one wish may name: each of them is looked up, because one that is not there is refused.
const NAMED_MAX: usize = 1_000;
/// How many certificates share a commit.
const TOGETHER: usize = 500;
/// How often a batch is tried when others change the same certificates at the same moment.
const ATTEMPTS: u32 = 4;

/// What revoking a selection would do.
///
/// # Errors
/// [`AskError`]: a serial number that is not this tenant's answers like one that is nobody's.
pub async fn preview(ledger: &Ledger, tenant: &TenantName, said: &Said, now: Timestamp) -> Result<Blast, AskError> {
    let selection = selection(said)?;
    let meant = meant(ledger, tenant, &selection, now).await?;
    let cut_off = ledger.store().cut_off(tenant, &selection, now).await?;
    let mut clinics: BTreeMap<&ClinicName, u64> = BTreeMap::new();
    for one in &meant {
        *clinics.entry(one.holder.clinic()).or_default() += 1;
    }
    let devices: BTreeSet<(&ClinicName, &DeviceId)> = cut_off.iter().map(|slot| (&slot.clinic, &slot.device)).collect();
    let in_clinic = |clinic: &ClinicName| devices.iter().filter(|(other, _)| *other == clinic).count() as u64;
    let blast = |(clinic, certificates): (&&ClinicName, &u64)| ClinicBlast {
        clinic: clinic.to_string(),
        certificates: *certificates,
        cut_off: in_clinic(clinic),
    };
    let distinct: BTreeSet<&DeviceId> = cut_off.iter().map(|slot| &slot.device).collect();
    Ok(Blast {
        certificates: meant.len() as u64,
        digest: digest(&meant),
        cut_off: distinct.len() as u64,
        from_portal: meant.iter().filter(|one| matches!(one.holder, Holder::Account(_))).count() as u64,
        clinics: clinics.iter().map(blast).collect(),
    })
}

/// Revokes exactly what was shown, or has it replaced first.
///
/// # Errors
/// [`AskError`]; if the certificates that are meant are not the same any more, nothing is done.
pub async fn carry_out(
    ledger: &Ledger,
    bells: &Bells,
    tenant: &TenantName,
    wish: &RevokeMany,
    actor: &str,
    now: Timestamp,
) -> Result<RevokedMany, AskError> {
    carry_out_within(ledger, bells, tenant, wish, (actor, None), now).await
}

/// The same for somebody who may reach at most `alone` devices without somebody else's word.
///
/// # Errors
/// As above, and [`AskError::Approval`].
pub async fn carry_out_within(
    ledger: &Ledger,
    bells: &Bells,
    tenant: &TenantName,
    wish: &RevokeMany,
    (actor, alone): (&str, Option<u32>),
    now: Timestamp,
) -> Result<RevokedMany, AskError> {
    let meant = meant(ledger, tenant, &selection(&wish.selection)?, now).await?;
    if digest(&meant) != wish.digest {
        return Err(StoreError::Conflict("the certificates that are meant are not those that were shown").into());
    }
    if meant.is_empty() {
        return Ok(RevokedMany::default());
    }
    let wish = Wish { ledger, tenant, said: wish, cause: wish.reason.into(), actor, now };
    let release = wish.release(&meant, alone).await?;
    wish.announce(Stage::Intended, json!({ "certificates": meant.len() }), release).await?;
    let mut done = RevokedMany::default();
    for some in meant.chunks(TOGETHER) {
        let batch = wish.insist(some).await?;
        done.revoked += batch.revoked;
        done.replacing += batch.replacing;
        done.left += batch.left;
        bells.ring_turn();
    }
    wish.announce(Stage::Done, json!({ "revoked": done.revoked, "replacing": done.replacing, "left": done.left }), Batch::default())
        .await?;
    Ok(done)
}

/// What is meant, as one value: the serial numbers in order.
fn digest(meant: &[Selected]) -> String {
    let serials: BTreeSet<&Serial> = meant.iter().map(|one| &one.serial).collect();
    sha256(&serials.into_iter().flat_map(|serial| serial.0).collect::<Vec<u8>>()).to_string()
}

async fn meant(ledger: &Ledger, tenant: &TenantName, selection: &Selection, now: Timestamp) -> Result<Vec<Selected>, AskError> {
    for serial in selection.serials.iter().flatten() {
        let on_device = ledger.store().certificate(serial).await?.map(|row| row.tenant);
        let from_portal = ledger.store().portal_certificate(serial).await?.map(|row| row.draft.account.tenant);
        on_device.or(from_portal).filter(|owner| owner == tenant).ok_or(AskError::NotFound("certificate"))?;
    }
    let meant = ledger.store().selected(tenant, selection, now, MEANT_MAX + 1).await?;
    if meant.len() > MEANT_MAX as usize {
        return Err(AskError::Malformed("more than 200,000 certificates are meant at once; say it for shorter spans of time"));
    }
    Ok(meant)
}

/// Reads a selection. One that says nothing is refused: it would mean everything.
fn selection(said: &Said) -> Result<Selection, AskError> {
    fn named<T: std::str::FromStr>(name: Option<&String>, otherwise: &'static str) -> Result<Option<T>, AskError> {
        name.map(|name| name.parse().map_err(|_| AskError::Malformed(otherwise))).transpose()
    }
    if said.serials.len() > NAMED_MAX {
        return Err(AskError::Malformed("more than 1,000 serial numbers at once; say it by device, account, profile, issuer or time"));
    }
    let serials: Result<Vec<Serial>, _> = said.serials.iter().map(|serial| serial.parse()).collect();
    let serials = serials.map_err(|_| AskError::Malformed("a serial number is 32 hexadecimal digits"))?;
    let selection = Selection {
        serials: Some(serials).filter(|serials| !serials.is_empty()),
        device: named(said.device.as_ref(), "a device is named clinic/device")?,
        account: named(said.account.as_ref(), "that is not the name of an account")?,
        profile: named(said.profile.as_ref(), "that is not the name of a profile")?,
        issuer: named(said.issuer.as_ref(), "that is not the name of an issuer")?,
        issued_from: said.issued_from.map(Timestamp::from_unix),
        issued_until: said.issued_until.map(Timestamp::from_unix),
    };
    if selection.is_empty() {
        return Err(AskError::Malformed("say which certificates are meant: by serial number, device, account, profile, issuer or time"));
    }
    Ok(selection)
}

/// Somebody wants these revoked.
struct Wish<'a> {
    ledger: &'a Ledger,
    tenant: &'a TenantName,
    said: &'a RevokeMany,
    cause: Cause,
    actor: &'a str,
    now: Timestamp,
}

impl Wish<'_> {
    /// Somebody else's word, where the wish reaches more devices than whoever has it may reach alone. What lies where nobody knows counts
    /// as one each.
    async fn release(&self, meant: &[Selected], alone: Option<u32>) -> Result<Batch, AskError> {
        let holder = |one: &Selected| match &one.holder {
            Holder::Slot(slot) => slot.device.to_string(),
            Holder::Account(_) => one.serial.to_string(),
        };
        let devices = meant.iter().map(holder).collect::<BTreeSet<String>>().len() as u64;
        if alone.is_none_or(|alone| devices <= u64::from(alone)) {
            return Ok(Batch::default());
        }
        let object = sha256(json!(self.said).to_string().as_bytes()).to_string();
        let act = Act { tenant: self.tenant, what: What::RevokeMany, object: &object, devices };
        Ok(approvals::expect(self.ledger, act, (self.actor, self.now)).await?)
    }

    /// Puts the wish as a whole on record, with what is committed beside it.
    async fn announce(&self, stage: Stage, mut details: serde_json::Value, mut with: Batch) -> Result<(), StoreError> {
        details["selection"] = json!(self.said.selection);
        details["mode"] = json!(self.said.mode);
        details["digest"] = self.said.digest.clone().into();
        details["reason"] = words::cause(self.cause).into();
        details["note"] = json!(Personal(&self.said.note));
        let record = self.record(stage, "certificates.revoke", self.tenant, details);
        with.records.push(record);
        self.ledger.record((), with).await?;
        Ok(())
    }

    /// Does a part. Who is faster with one of its certificates takes it out of it.
    async fn insist(&self, some: &[Selected]) -> Result<RevokedMany, AskError> {
        let mut outcome = self.attempt(some).await;
        for _ in 1..ATTEMPTS {
            let Err(StoreError::Conflict(_)) = outcome else { break };
            let serials = some.iter().map(|one| one.serial).collect();
            let left = Selection { serials: Some(serials), ..Selection::default() };
            let left = self.ledger.store().selected(self.tenant, &left, self.now, MEANT_MAX).await?;
            outcome = self.attempt(&left).await;
        }
        Ok(outcome?)
    }

    async fn attempt(&self, some: &[Selected]) -> Result<RevokedMany, StoreError> {
        let (mut at_once, mut later, mut left) = (vec![], vec![], 0);
        for one in some {
            match &one.holder {
                _ if self.said.mode == Mode::Now || one.is_replaced || !one.is_present => at_once.push(one),
                Holder::Slot(slot) => later.push((one, slot)),
                Holder::Account(_) => left += 1,
            }
        }
        let mut batch = Batch::default();
        self.revoke(&at_once, &mut batch);
        self.replace(&later, &mut batch);
        let clinics: BTreeSet<&ClinicName> = some.iter().map(|one| one.holder.clinic()).collect();
        batch.changes.extend(clinics.into_iter().map(|clinic| self.nudge(clinic.clone())));
        if !batch.records.is_empty() {
            self.ledger.record((), batch).await?;
        }
        Ok(RevokedMany { revoked: at_once.len() as u64, replacing: later.len() as u64, left })
    }

    /// Revocation lists are made from the database: once it is there, it is done.
    fn revoke(&self, some: &[&Selected], batch: &mut Batch) {
        for one in some {
            let details = json!({ "serial": one.serial.to_string(), "because": "asked", "reason": words::cause(self.cause),
                "note": Personal(&self.said.note), "digest": self.said.digest });
            let (action, object) = match &one.holder {
                Holder::Slot(slot) => ("certificate.revoke", slot.to_string()),
                Holder::Account(account) => ("portal.revoke", portal::object(account)),
            };
            batch.records.extend([Stage::Intended, Stage::Done].map(|stage| self.record(stage, action, &object, details.clone())));
        }
        if !some.is_empty() {
            batch.changes.push(Change::RevokeAll {
                serials: some.iter().map(|one| one.serial).collect(),
                at: self.now,
                because: self.cause,
            });
        }
    }

    /// Make before break: a renewal is asked for, and its proof revokes what it replaces.
    fn replace(&self, some: &[(&Selected, &SlotId)], batch: &mut Batch) {
        for (one, slot) in some {
            let details = json!({ "serial": one.serial.to_string(), "thenRevoked": words::cause(self.cause), "note": Personal(&self.said.note),
                "digest": self.said.digest });
            batch.records.push(self.record(Stage::Intended, "certificate.renew", slot, details));
        }
        if !some.is_empty() {
            batch.changes.push(Change::Condemn { serials: some.iter().map(|(one, _)| one.serial).collect(), because: self.cause });
        }
        let slots: BTreeSet<&SlotId> = some.iter().map(|(_, slot)| *slot).collect();
        let ask = |slot: &SlotId| Change::AskRenewal { tenant: self.tenant.clone(), slot: slot.clone() };
        batch.changes.extend(slots.into_iter().map(ask));
    }

    fn nudge(&self, clinic: ClinicName) -> Change {
        Change::Nudge { clinic: ClinicId { tenant: self.tenant.clone(), clinic }, at: self.now }
    }

    fn record(&self, stage: Stage, action: &'static str, object: &impl ToString, details: serde_json::Value) -> NewRecord {
        let (tenant, actor, object) = (self.tenant.clone(), self.actor.to_owned(), object.to_string());
        NewRecord { tenant, at: self.now, stage, actor, action, object, details }
    }
}

#[cfg(test)]
mod tests;
