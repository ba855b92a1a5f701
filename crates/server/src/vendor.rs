//! Certificates that vendors issue: files that people bring, what devices renew or find by themselves, and what people confirm.
//!
//! The server never sees a vendor's file in clear. It compares the certificate, which is public, with what policy expects, and keeps the
//! file sealed to the device and to the clinic's backup recipients. The device finds out whether the right key is in it, and proves it.

mod adopt;
mod import;
mod taken;
mod tries;

use std::sync::Arc;

use data_encoding::BASE64;
use serde_json::{Value, json};
use tegata_api::v1::audit::Stage;
use tegata_core::backup::Keepers;
use tegata_core::desire::desire;
use tegata_core::fleet::DesiredSlot;
use tegata_core::name::{ClinicId, Label, OrderId, Serial, Sha256, SlotId, TenantName};
use tegata_core::plan::Reason;
use tegata_core::policy::{ClinicNetwork, KeyOrigin, Tenant};
use tegata_core::time::Timestamp;
use tegata_core::vendor::{self, BundleFacts, BundleFault, Expectation};
use tegata_pki::bundle;
use tegata_pki::certificate::{self, Certificate, CertificateError};
use tegata_pki::key::sha256;

pub use self::adopt::{adopt, confirm};
pub use self::import::{import, recipients};
pub use self::taken::{sealed_bundle, taken};
pub use self::tries::spend_try;

use crate::audit::Ledger;
use crate::backup::is_sealed;
use crate::backup::keep::{Of, keep};
use crate::policy::PolicyError;
use crate::store::backup::Kind;
use crate::store::{Bundle, CertificateRow, Change, Closed, DeviceRow, NewRecord, OrderRow, OrderState, Personal, StoreError, TakenIn};
use crate::turn::announce::new_order_id;
use crate::words;

/// How often something is tried when others change the same things at the same moment.
const ATTEMPTS: u32 = 4;

/// Why a certificate was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum VendorError {
    /// There is no such slot, order, certificate or found certificate in this tenant.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The slot's profile is not a vendor's.
    #[error("certificates for this slot are not issued by a vendor; the device gets them by itself")]
    NotVendors,
    /// The device has not enrolled, or its identity was ended.
    #[error("the device has not enrolled; enrol it first, then bring the file")]
    NotEnrolled,
    /// The device's agent cannot open sealed files.
    #[error("the device has not said to whom files are sealed; update its agent, or wait for its next report")]
    NoRecipient,
    /// The file was not sealed to those who have to open it.
    #[error("the file is not sealed to the device and to all backup recipients; fetch the recipients again, and seal it anew")]
    SealedToOthers,
    /// Something in the request cannot be read.
    #[error("{0}")]
    Malformed(&'static str),
    /// What was sent is not a certificate.
    #[error(transparent)]
    Unreadable(#[from] CertificateError),
    /// It is not the certificate that policy wants.
    #[error("the certificate is not what policy expects")]
    Faults(Vec<BundleFault>),
    /// The device holds the same certificate in another slot.
    #[error("the device holds this certificate already, in {0}")]
    OnThisDevice(SlotId),
    /// Only the last try of the PIN is left, or none.
    #[error("so many wrong PINs were tried on this file already that one more would lock it; ask the vendor, or look at the notice again")]
    LastTry,
    /// It is too late for that.
    #[error("{0}")]
    Gone(&'static str),
    /// The policy cannot be had.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The database failed, or the state changed meanwhile.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A slot for vendors' certificates, and all that a check needs to know about it.
struct Place {
    policy: Arc<Tenant>,
    tenant: TenantName,
    slot: SlotId,
    wanted: DesiredSlot,
}

impl Place {
    async fn of(ledger: &Ledger, tenant: &TenantName, slot: &SlotId) -> Result<Self, VendorError> {
        let policy = ledger.policy(tenant).await?;
        let wanted = desire(&policy, &slot.clinic).slots.remove(slot).ok_or(VendorError::NotFound("slot"))?;
        match wanted.template.key {
            KeyOrigin::Vendor => Ok(Self { policy, tenant: tenant.clone(), slot: slot.clone(), wanted }),
            KeyOrigin::Device(_) => Err(VendorError::NotVendors),
        }
    }

    fn clinic(&self) -> Result<&ClinicNetwork, VendorError> {
        self.policy.clinics.get(&self.slot.clinic).ok_or(VendorError::NotFound("slot"))
    }

    fn expectation(&self) -> Result<&Expectation, VendorError> {
        let profile = self.policy.profiles.get(&self.slot.profile);
        profile.and_then(|profile| profile.expect.as_ref()).ok_or(VendorError::NotVendors)
    }

    async fn device(&self, ledger: &Ledger) -> Result<DeviceRow, VendorError> {
        let row = ledger.store().device(&self.tenant, &self.slot.device).await?;
        row.filter(|row| row.revoked_at.is_none()).ok_or(VendorError::NotEnrolled)
    }

    /// The newest order for the slot that was not taken back.
    async fn order(&self, ledger: &Ledger) -> Result<Option<OrderRow>, VendorError> {
        let orders = ledger.store().orders_on(&self.tenant, &self.slot.device).await?;
        Ok(orders.into_iter().find(|order| order.slot == self.slot))
    }

    /// Compares a certificate with what policy expects, and with what is known already. One that lay in a store came in no file: neither
    /// a name nor the authorities above it can be asked for.
    async fn check(&self, ledger: &Ledger, chain: &[Certificate], file: Option<&str>, now: Timestamp) -> Result<Checked, VendorError> {
        let ders: Vec<Vec<u8>> = chain.iter().map(|one| one.der.clone()).collect();
        let facts = bundle::facts(&ders, file.unwrap_or_default()).map_err(|error| VendorError::Faults(vec![error.fault()]))?;
        let same = ledger.store().certificates_by_fingerprint(&self.tenant, &facts.fingerprint).await?;
        let present: Vec<CertificateRow> = same.into_iter().filter(|row| row.retired_at.is_none()).collect();
        let here = present.iter().find(|row| row.slot == self.slot).cloned();
        let expected = self.expectation()?;
        let mut faults = vendor::check(&facts, expected, self.clinic()?, now);
        faults.extend(vendor::check_against(&facts, expected, &self.slot, &self.held(ledger, &present).await?));
        faults.retain(|fault| file.is_some() || !matches!(fault, BundleFault::WrongFileName { .. } | BundleFault::NoAnchor));
        if !faults.is_empty() {
            return Err(VendorError::Faults(faults));
        }
        match present.iter().find(|row| row.slot.device == self.slot.device && row.slot != self.slot) {
            Some(row) => Err(VendorError::OnThisDevice(row.slot.clone())),
            None => Ok(Checked { facts, here }),
        }
    }

    /// The same certificate elsewhere, and what the slot holds.
    async fn held(&self, ledger: &Ledger, same: &[CertificateRow]) -> Result<Vec<vendor::Held>, VendorError> {
        let filter = crate::store::CertificateFilter { device: Some(self.slot.device.clone()), present: true, ..Default::default() };
        let mut rows = ledger.store().certificates(&self.tenant, filter).await?;
        rows.retain(|row| row.slot == self.slot && row.revoked_at.is_none() && row.retiring_at.is_none());
        let held = |row: &CertificateRow| vendor::Held { slot: row.slot.clone(), fingerprint: row.fingerprint, not_after: row.not_after };
        Ok(rows.iter().chain(same).map(held).collect())
    }

    /// An order that the certificate answers: the one that is open, or one that is opened with it.
    fn open(&self, because: Reason, replaces: Vec<Serial>, now: Timestamp) -> Result<OrderRow, VendorError> {
        Ok(OrderRow {
            id: new_order_id()?,
            tenant: self.tenant.clone(),
            slot: self.slot.clone(),
            template: self.wanted.template.clone(),
            account: self.wanted.account.clone(),
            because,
            replaces,
            opened_at: now,
            state: OrderState::Open,
            draft: None,
            found: None,
        })
    }

    /// Whatever was applied for has come, if anything was.
    fn answered(&self, at: Timestamp) -> Change {
        Change::CloseApplication { tenant: self.tenant.clone(), slot: self.slot.clone(), because: Closed::Imported, at }
    }

    /// The sealed file is a backup too, for those of its recipients that policy names.
    fn backup(
        &self,
        (order, fingerprint, not_after): (OrderId, Sha256, Timestamp),
        keepers: Keepers,
        bundle: &Bundle,
        now: Timestamp,
    ) -> Result<Change, StoreError> {
        let of = Of { tenant: &self.tenant, slot: &self.slot, kind: Kind::File, order, fingerprint, not_after };
        keep(&of, keepers, &bundle.sealed, now)
    }

    fn nudge(&self, now: Timestamp) -> Change {
        Change::Nudge { clinic: ClinicId { tenant: self.tenant.clone(), clinic: self.slot.clinic.clone() }, at: now }
    }

    fn record(&self, stage: Stage, actor: &str, action: &'static str, details: Value, now: Timestamp) -> NewRecord {
        let (tenant, actor, object) = (self.tenant.clone(), actor.to_owned(), self.slot.to_string());
        NewRecord { tenant, at: now, stage, actor, action, object, details }
    }
}

/// A certificate that is what policy expects.
struct Checked {
    facts: BundleFacts,
    /// The very same one, if the slot holds it already.
    here: Option<CertificateRow>,
}

/// The row that a certificate becomes.
fn taken_in(order: OrderId, own: &Certificate, bundle: Option<Bundle>, now: Timestamp) -> TakenIn {
    TakenIn {
        order,
        serial: Serial::of_vendor(order),
        common_name: own.common_name.clone().unwrap_or_default(),
        organization: own.organization.clone().unwrap_or_default(),
        der: own.der.clone(),
        fingerprint: own.fingerprint,
        public_key: sha256(&own.public_key),
        not_before: own.not_before,
        not_after: own.not_after,
        at: now,
        bundle,
    }
}

/// What the record of a certificate that was taken in says.
fn details(taken: &TakenIn, facts: &BundleFacts) -> Value {
    json!({
        "order": taken.order.to_string(), "serial": taken.serial.to_string(), "fingerprint": taken.fingerprint.to_string(),
        "vendorSerial": facts.serial, "issuer": facts.issuer_common_name, "commonName": taken.common_name,
        "organization": taken.organization, "notBefore": taken.not_before.unix(), "notAfter": taken.not_after.unix(),
        "fileName": Personal(&facts.file_name),
    })
}

fn opened(order: &OrderRow) -> Value {
    json!({
        "order": order.id.to_string(), "because": words::reason(order.because), "issuer": order.template.issuer.as_str(),
        "key": words::key(order.template.key), "account": order.account.as_ref().map(|name| name.as_str()),
        "replaces": order.replaces.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn read_chain(pem: &str) -> Result<Vec<Certificate>, VendorError> {
    Ok(certificate::read_pem(pem)?)
}

/// Reads a sealed file. One in clear is refused, whoever sends it.
fn read_sealed(sealed: &str, file_name: &str) -> Result<Bundle, VendorError> {
    let sealed = BASE64.decode(sealed.as_bytes()).ok().filter(|sealed| is_sealed(sealed));
    let sealed = sealed.ok_or(VendorError::Malformed("the sealed file must be an age file of at most 2 MiB, in base64"))?;
    let name: Label = file_name.parse().map_err(|_| VendorError::Malformed("the file name must be 1 to 64 readable characters"))?;
    Ok(Bundle { file_name: name.to_string(), sealed })
}

fn read_slot(text: &str) -> Result<SlotId, VendorError> {
    text.parse().map_err(|_| VendorError::NotFound("slot"))
}

/// Tries again when somebody else was faster: each attempt begins with what is there now.
async fn insist<T, Attempt: Future<Output = Result<T, VendorError>>>(attempt: impl Fn() -> Attempt) -> Result<T, VendorError> {
    for _ in 1..ATTEMPTS {
        match attempt().await {
            Err(VendorError::Store(StoreError::Conflict(_))) => {}
            settled => return settled,
        }
    }
    attempt().await
}
