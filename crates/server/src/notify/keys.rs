//! The keys that webhook requests are signed with: derived from the seal, one for each tenant, clinic, URL and generation.

use data_encoding::BASE64;
use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_api::v1::notice::{SecretAnswer, SecretRequest};
use tegata_core::name::ClinicId;
use tegata_core::time::Timestamp;
use tegata_pki::key::{Seal, hmac_sha256};
use zeroize::Zeroizing;

use super::shown;
use crate::audit::Ledger;
use crate::policy::PolicyError;
use crate::store::notices::{Channel, WebhookKeyRow};
use crate::store::{Batch, Change, NewRecord, StoreError};

/// What all keys of webhooks are derived from.
pub struct WebhookKeys(Zeroizing<[u8; 32]>);

/// Why a key was not shown.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The clinic's document has no such webhook.
    #[error("there is no such webhook")]
    NotFound,
    /// It was shown before.
    #[error("the key was shown already on {0}; ask for a new one with --rotate")]
    Shown(Timestamp),
    /// The database failed or the state changed meanwhile.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The policy cannot be had.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

impl WebhookKeys {
    /// The same for the same seal.
    pub fn of(seal: &Seal) -> Self {
        Self(Zeroizing::new(hmac_sha256(seal.text().as_bytes(), b"tegata webhooks").0))
    }

    /// Signs as Standard Webhooks says: `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`.
    pub(super) fn sign(&self, clinic: &ClinicId, url: &str, generation: u32, id: &str, at: Timestamp, body: &[u8]) -> String {
        let message = [format!("{id}.{}.", at.unix()).as_bytes(), body].concat();
        let key = self.key(clinic, url, generation);
        format!("v1,{}", BASE64.encode(&hmac_sha256(key.as_slice(), &message).0))
    }

    /// Shows a key, and puts that on record. Each is shown once: who lost it gets a new one.
    ///
    /// # Errors
    /// [`SecretError`].
    pub async fn show(
        &self,
        ledger: &Ledger,
        clinic: &ClinicId,
        asked: &SecretRequest,
        actor: &str,
        now: Timestamp,
    ) -> Result<SecretAnswer, SecretError> {
        let policy = ledger.policy(&clinic.tenant).await?;
        let network = policy.clinics.get(&clinic.clinic).ok_or(SecretError::NotFound)?;
        if !network.notify.webhooks.iter().any(|webhook| webhook.url.as_str() == asked.url) {
            return Err(SecretError::NotFound);
        }
        let generation = match ledger.store().webhook_key(clinic, &asked.url).await? {
            None => 1,
            Some(row) if asked.rotate => row.generation + 1,
            Some(row) => return Err(SecretError::Shown(row.shown_at)),
        };
        let record = NewRecord {
            tenant: clinic.tenant.clone(),
            at: now,
            stage: Stage::Intended,
            actor: actor.to_owned(),
            action: "webhook.show-key",
            object: clinic.clinic.to_string(),
            details: json!({ "to": shown(Channel::Webhook, &asked.url), "generation": generation }),
        };
        let key = WebhookKeyRow { generation, shown_at: now };
        let change = Change::UseWebhookKey { clinic: clinic.clone(), url: asked.url.clone(), key };
        let recorded = ledger.record(generation, Batch { records: vec![record], changes: vec![change] }).await?;
        let key = self.key(clinic, &asked.url, *recorded.get());
        Ok(SecretAnswer { secret: format!("whsec_{}", BASE64.encode(key.as_slice())), generation })
    }

    fn key(&self, clinic: &ClinicId, url: &str, generation: u32) -> Zeroizing<[u8; 32]> {
        // No name holds a slash and no URL a line break, so different webhooks never give the same text.
        Zeroizing::new(hmac_sha256(self.0.as_slice(), format!("{clinic}\n{url}\n{generation}").as_bytes()).0)
    }
}
