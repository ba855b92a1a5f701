//! Takes a vendor's file in that a person brings.

use std::collections::BTreeSet;

use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_api::v1::backup::Quorum;
use tegata_api::v1::vendor::{ImportAnswer, ImportRequest, Pin, Recipients};
use tegata_core::name::{OrderId, Sha256, TenantName};
use tegata_core::plan::Reason;
use tegata_core::time::Timestamp;
use tegata_pki::certificate::Certificate;

use super::{Checked, Place, VendorError, details, insist, opened, read_chain, read_sealed, read_slot, taken_in};
use crate::audit::Ledger;
use crate::backup::sealed_to;
use crate::bells::Bells;
use crate::manifest;
use crate::store::{Batch, Bundle, CertificateRow, Change, NewRecord, OrderRow, OrderState, Personal};

/// To whom a vendor's file for a slot is sealed.
///
/// # Errors
/// [`VendorError`]: among others, if the device has not enrolled or its agent is too old.
pub async fn recipients(ledger: &Ledger, tenant: &TenantName, slot: &str) -> Result<Recipients, VendorError> {
    let place = Place::of(ledger, tenant, &read_slot(slot)?).await?;
    let pin = place.expectation()?.pin.map(|pin| Pin { digits: pin.digits, tries: pin.tries });
    let (backup, quorum) = Quorum::told(manifest::keepers(&place.policy, &place.slot.clinic));
    Ok(Recipients { device: device_recipient(ledger, &place).await?, backup, quorum, pin })
}

async fn device_recipient(ledger: &Ledger, place: &Place) -> Result<String, VendorError> {
    let recipient = place.device(ledger).await?.facts.recipient;
    if recipient.is_empty() { Err(VendorError::NoRecipient) } else { Ok(recipient) }
}

/// Takes a vendor's file in: all of it in one commit, or nothing. The same file once more is only sealed anew.
///
/// # Errors
/// [`VendorError::Faults`] with everything that is wrong with the certificate at once, and the others. Nothing is kept then.
pub async fn import(
    ledger: &Ledger,
    bells: &Bells,
    tenant: &TenantName,
    request: &ImportRequest,
    actor: &str,
    now: Timestamp,
) -> Result<ImportAnswer, VendorError> {
    let slot = read_slot(&request.slot)?;
    let brought = Brought {
        chain: read_chain(&request.chain)?,
        bundle: read_sealed(&request.sealed, &request.file_name)?,
        installer: installer(request)?,
        actor,
        now,
    };
    let answer = insist(|| brought.take_in(ledger, tenant, &slot, request)).await?;
    bells.ring_turn();
    Ok(answer)
}

/// What a person brought.
struct Brought<'a> {
    chain: Vec<Certificate>,
    bundle: Bundle,
    installer: Sha256,
    actor: &'a str,
    now: Timestamp,
}

impl Brought<'_> {
    async fn take_in(
        &self,
        ledger: &Ledger,
        tenant: &TenantName,
        slot: &tegata_core::name::SlotId,
        request: &ImportRequest,
    ) -> Result<ImportAnswer, VendorError> {
        let place = Place::of(ledger, tenant, slot).await?;
        let device = device_recipient(ledger, &place).await?;
        let keepers = manifest::keepers(&place.policy, &slot.clinic);
        let needed: BTreeSet<String> = keepers.of.iter().cloned().chain([device]).collect();
        let sealed_to = sealed_to(&self.bundle.sealed, &keepers.of);
        let is_right = sealed_to.is_some_and(|sealed_to| sealed_to.threshold == keepers.threshold);
        if !is_right || needed != request.recipients.iter().cloned().collect() {
            return Err(VendorError::SealedToOthers);
        }
        let Checked { facts, here } = place.check(ledger, &self.chain, Some(&self.bundle.file_name), self.now).await?;
        let own = self.chain.first().ok_or(VendorError::Malformed("the file holds no certificate"))?;
        let open = place.order(ledger).await?.filter(|order| order.state == OrderState::Open);
        let mut batch = Batch { records: vec![self.noted(tenant, request)], changes: vec![] };
        let (tenant_of, file) = (tenant.clone(), self.installer);
        batch.changes.push(Change::ForgetPinTries { tenant: tenant_of, slot: slot.clone(), file });
        batch.changes.push(place.nudge(self.now));
        let again = here.is_some();
        let serial = match here {
            Some(row) => {
                batch.changes.push(self.noting(tenant, request, row.order));
                let of = (row.order, row.fingerprint, row.not_after);
                let kept = place.backup(of, keepers, &self.bundle, self.now)?;
                let serial = self.seal_anew(&place, row, open, &mut batch);
                batch.changes.push(kept);
                serial
            }
            None => {
                let order = match open {
                    Some(order) => order,
                    None => self.order(ledger, &place, &mut batch).await?,
                };
                batch.changes.push(self.noting(tenant, request, order.id));
                let taken = taken_in(order.id, own, Some(self.bundle.clone()), self.now);
                batch.records.push(place.record(Stage::Done, self.actor, "certificate.import", details(&taken, &facts), self.now));
                let serial = taken.serial;
                let kept = place.backup((taken.order, taken.fingerprint, taken.not_after), keepers, &self.bundle, self.now)?;
                batch.changes.extend([Change::TakeIn(taken.into()), place.answered(self.now), kept]);
                serial
            }
        };
        ledger.record((), batch).await?;
        Ok(ImportAnswer {
            slot: slot.to_string(),
            serial: serial.to_string(),
            fingerprint: own.fingerprint.to_string(),
            subject: own.subject(),
            not_after: own.not_after.unix(),
            again,
        })
    }

    /// A person brings a successor before anybody has asked for one.
    async fn order(&self, ledger: &Ledger, place: &Place, batch: &mut Batch) -> Result<OrderRow, VendorError> {
        let filter = crate::store::CertificateFilter { device: Some(place.slot.device.clone()), present: true, ..Default::default() };
        let held = ledger.store().certificates(&place.tenant, filter).await?.into_iter();
        let replaces: Vec<_> = held.filter(|row| row.slot == place.slot && row.retiring_at.is_none()).map(|row| row.serial).collect();
        let because = if replaces.is_empty() { Reason::Missing } else { Reason::RenewalAsked };
        let order = place.open(because, replaces, self.now)?;
        batch.records.push(place.record(Stage::Intended, self.actor, "order.open", opened(&order), self.now));
        batch.changes.push(Change::OpenOrder(order.clone()));
        Ok(order)
    }

    /// The device cannot open what was sealed before: it has a new key, or another PC has its name now.
    fn seal_anew(&self, place: &Place, row: CertificateRow, open: Option<OrderRow>, batch: &mut Batch) -> tegata_core::name::Serial {
        let details =
            json!({ "order": row.order.to_string(), "serial": row.serial.to_string(), "fileName": Personal(&self.bundle.file_name) });
        batch.records.push(place.record(Stage::Done, self.actor, "certificate.seal", details, self.now));
        batch.changes.push(Change::PutBundle { order: row.order, bundle: self.bundle.clone() });
        batch.changes.extend(open.map(|order| Change::CancelOrder { id: order.id, at: self.now }));
        row.serial
    }

    /// Copies of the file must not stay on PCs.
    fn noting(&self, tenant: &TenantName, request: &ImportRequest, order: OrderId) -> Change {
        let (file, name) = (request.file.clone(), self.bundle.file_name.clone());
        Change::PutInstaller { tenant: tenant.clone(), file, name, order: Some(order), at: self.now }
    }

    fn noted(&self, tenant: &TenantName, request: &ImportRequest) -> NewRecord {
        NewRecord {
            tenant: tenant.clone(),
            at: self.now,
            stage: Stage::Done,
            actor: self.actor.to_owned(),
            action: "installer.record",
            object: self.installer.to_string(),
            details: json!({ "sha256": self.installer.to_string(), "size": request.file.size, "name": Personal(&self.bundle.file_name) }),
        }
    }
}

fn installer(request: &ImportRequest) -> Result<Sha256, VendorError> {
    request.file.sha256.parse().map_err(|_| VendorError::Malformed("the file's sha256 must be 64 hexadecimal digits"))
}
