//! The certificate by which a device is known: issued at enrolment, renewed by the agent for the same key.

use std::sync::Arc;
use std::time::Duration;

use tegata_api::v1::audit::Stage;
use tegata_api::v1::device::IssuedCertificate;
use tegata_core::name::Serial;
use tegata_core::time::DAY;
use tegata_pki::authority::{Purpose, Tbs, new_serial};
use tegata_pki::certificate;
use tegata_pki::key::KeyError;

use crate::audit::{Ledger, Recorded};
use crate::clock::Clock;
use crate::enroll::EnrollError;
use crate::issuers::signer::{Signer, Validity, intent};
use crate::store::{Batch, DeviceRow, NewRecord};

/// How long an identity certificate lives. Agents renew it when a third of that is gone.
const IDENTITY_LIFE: Duration = DAY.saturating_mul(90);

/// Issues identity certificates.
pub struct Identities {
    pub(super) ledger: Ledger,
    pub(super) clock: Clock,
    pub(super) signer: Arc<Signer>,
}

/// An identity certificate before it is signed, and the record that announces it.
pub struct IdentityDraft {
    /// Its serial number.
    pub serial: Serial,
    /// The exact bytes.
    pub tbs: Tbs,
    /// What has to be durable first.
    pub record: NewRecord,
}

impl Identities {
    /// Says what would be signed for a device.
    ///
    /// # Errors
    /// If its name or key cannot be written into a certificate.
    pub fn draft(&self, device: &DeviceRow) -> Result<IdentityDraft, KeyError> {
        let (now, serial) = (self.clock.now(), new_serial());
        let purpose = Purpose::Identity { common_name: device.device.to_string(), organization: device.tenant.to_string() };
        let tbs = self.signer.draft(&purpose, &device.public_key, serial, Validity::from_now(now, IDENTITY_LIFE))?;
        let record = NewRecord {
            tenant: device.tenant.clone(),
            at: now,
            stage: Stage::Intended,
            actor: format!("device:{}", device.device),
            action: "identity.sign",
            object: device.device.to_string(),
            details: intent(serial, &tbs, &device.identity),
        };
        Ok(IdentityDraft { serial, tbs, record })
    }

    /// Signs what is on record.
    ///
    /// # Errors
    /// If the recorded bytes are not a certificate by this authority.
    pub fn sign(&self, serial: Serial, intent: &Recorded<Tbs>) -> Result<IssuedCertificate, KeyError> {
        let der = self.signer.sign(intent)?;
        Ok(IssuedCertificate { serial: serial.to_string(), certificate: certificate::to_pem(&der), chain: String::new() })
    }

    /// Records and signs an identity for a device that is on record already.
    ///
    /// # Errors
    /// If it cannot be recorded or signed.
    pub async fn issue(&self, device: &DeviceRow) -> Result<IssuedCertificate, EnrollError> {
        let draft = self.draft(device)?;
        let recorded = self.ledger.record(draft.tbs, Batch { records: vec![draft.record], changes: vec![] }).await?;
        Ok(self.sign(draft.serial, &recorded)?)
    }
}
