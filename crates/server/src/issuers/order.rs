//! One order, one certificate: answers a device's request, however often it is repeated and wherever a crash came between.
//!
//! An order ends in exactly one of two ways: a certificate, or cancelled. Its serial number and exact bytes are on record before
//! the key signs them, the signed certificate before it is handed out. A draft that nobody signed is signed at the next request
//! or the next start. If the device comes back with another key than the draft's, nobody can use that certificate any more:
//! the order is cancelled with its draft unsigned, and planning orders anew. If the certificate was issued already and the device
//! comes with another key, a replacement is asked for.

use std::sync::Arc;

use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_api::v1::device::IssuedCertificate;
use tegata_core::name::{ClinicId, OrderId, Serial, Sha256};
use tegata_core::policy::{KeyAlgorithm, KeyOrigin};
use tegata_core::time::Timestamp;
use tegata_pki::authority::{Purpose, Tbs, new_serial};
use tegata_pki::certificate;
use tegata_pki::csr::{self, CsrError, RequestedKey};
use tegata_pki::key::{KeyError, sha256};

use crate::asks::{self, AskError};
use crate::audit::{Ledger, Recorded};
use crate::bells::Bells;
use crate::clock::Clock;
use crate::issuers::authorities::{Authorities, AuthorityError, Issuing};
use crate::issuers::publication::{Part, Publication};
use crate::issuers::shards::Shards;
use crate::issuers::signer::{Validity, intent};
use crate::store::revocation::Shard;
use crate::store::{Batch, CertificateRow, Change, Claim, Draft, Issued, NewRecord, OrderRow, OrderState, StoreError};
use crate::tls::Identity;

/// How often a request is tried again when another one for the same order was faster. Two settle after one.
const ATTEMPTS: u32 = 4;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The identity that was shown is not in force.
    #[error("the identity is not in force")]
    Nobody,
    /// There is no such order, or it is another device's.
    #[error("there is no such order")]
    NotFound,
    /// The order has ended without a certificate for this key.
    #[error("the order is not open any more")]
    Closed,
    /// The request cannot be accepted.
    #[error(transparent)]
    Request(#[from] CsrError),
    /// The key is not of the kind that was ordered.
    #[error("the order asks for another kind of key: {wanted:?} instead of {got:?}")]
    WrongKey {
        /// What was ordered.
        wanted: KeyAlgorithm,
        /// What the request holds.
        got: KeyAlgorithm,
    },
    /// The authority cannot be had.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// A replacement could not be asked for.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The authority refuses to sign.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The database failed, or the state changed meanwhile.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Issues what was ordered.
#[derive(Clone)]
pub struct Issuance {
    /// Where orders and certificates are kept.
    pub ledger: Ledger,
    /// Rung when an order has to be planned anew.
    pub bells: Bells,
    /// What time it is.
    pub clock: Clock,
    /// Who signs.
    pub authorities: Arc<Authorities>,
    /// Where its certificates can be looked up.
    pub publication: Publication,
    /// Counts certificates into shards.
    pub shards: Arc<Shards>,
}

impl Issuance {
    /// Answers a device's request. The same order and key give the same certificate, byte for byte.
    ///
    /// # Errors
    /// [`IssueError`].
    pub async fn issue(&self, device: &Identity, order: &OrderId, csr: &str) -> Result<IssuedCertificate, IssueError> {
        let requested = csr::check(csr)?;
        for _ in 1..ATTEMPTS {
            match self.attempt(device, order, &requested).await {
                Err(IssueError::Store(StoreError::Conflict(_))) => {}
                settled => return settled,
            }
        }
        self.attempt(device, order, &requested).await
    }

    /// Signs what an earlier process had recorded and not signed any more.
    ///
    /// # Errors
    /// Only if the database fails; a draft that cannot be signed is logged and left.
    pub async fn finish_drafts(&self) -> Result<(), StoreError> {
        for order in self.ledger.store().unsigned_drafts().await? {
            let Some(draft) = order.draft.clone().filter(|_| order.state == OrderState::Open) else { continue };
            match self.resume(&order, draft).await {
                Ok(_) => {
                    tracing::info!(order = %order.id, slot = %order.slot, "signed a certificate that was recorded before the last stop")
                }
                Err(IssueError::Store(error)) => return Err(error),
                Err(error) => tracing::error!(order = %order.id, slot = %order.slot, %error, "a recorded certificate cannot be signed"),
            }
        }
        Ok(())
    }

    async fn attempt(&self, device: &Identity, order: &OrderId, requested: &RequestedKey) -> Result<IssuedCertificate, IssueError> {
        let Claim { holder, order } = self.ledger.store().claim(&device.key, order).await?.ok_or(IssueError::Nobody)?;
        if !device.is_in_force(&holder.tenant, holder.revoked_at, self.clock.now()) {
            return Err(IssueError::Nobody);
        }
        let order = order.ok_or(IssueError::NotFound)?;
        let key = sha256(&requested.public_key);
        match (order.state, order.draft.clone()) {
            (OrderState::Cancelled, _) => Err(IssueError::Closed),
            (OrderState::Fulfilled, _) => self.repeat(&order, &key).await,
            (OrderState::Open, None) => self.begin(&order, requested, key).await,
            (OrderState::Open, Some(draft)) if draft.public_key == key => self.resume(&order, draft).await,
            (OrderState::Open, Some(draft)) => self.abandon(&order, &draft, &key).await,
        }
    }

    /// The certificate that the order ended in, if it is for this key.
    async fn repeat(&self, order: &OrderRow, key: &Sha256) -> Result<IssuedCertificate, IssueError> {
        let row = self.ledger.store().certificate_of_order(&order.id).await?.ok_or(IssueError::Closed)?;
        if row.public_key != *key {
            self.replace_lost(&row).await?;
            return Err(IssueError::Closed);
        }
        Ok(self.once_more(&row).await?)
    }

    /// What the request for this certificate was answered with.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub async fn once_more(&self, row: &CertificateRow) -> Result<IssuedCertificate, AuthorityError> {
        let issuing = self.authorities.issuer(&row.tenant, &row.template.issuer).await?;
        Ok(answer(&row.serial, &row.der, &issuing))
    }

    /// The device does not have the key of this certificate: one that was never proven is nobody's now, and planning orders anew.
    async fn replace_lost(&self, row: &CertificateRow) -> Result<(), IssueError> {
        if row.proven_at.is_some() || row.retired_at.is_some() || row.revoked_at.is_some() {
            return Ok(());
        }
        let actor = format!("device:{}", row.slot.device);
        Ok(asks::ask_renewal(&self.ledger, &self.bells, &row.tenant, &row.serial, &actor, self.clock.now()).await?)
    }

    async fn begin(&self, order: &OrderRow, requested: &RequestedKey, key: Sha256) -> Result<IssuedCertificate, IssueError> {
        match order.template.key {
            KeyOrigin::Device(wanted) if wanted == requested.algorithm => {}
            KeyOrigin::Device(wanted) => return Err(IssueError::WrongKey { wanted, got: requested.algorithm }),
            // What a vendor issues is taken in, not signed.
            KeyOrigin::Vendor => return Err(IssueError::NotFound),
        }
        let issuing = self.authorities.issuer(&order.tenant, &order.template.issuer).await?;
        let (now, serial) = (self.clock.now(), new_serial());
        let validity = Validity::from_now(now, order.template.validity);
        let shard = self.shards.next(&self.ledger, &self.publication, &order.tenant, &order.template.issuer).await?;
        let tbs = issuing.signer.draft(&self.purpose(order, shard), &requested.public_key, serial, validity)?;
        let draft = Draft { serial, public_key: key, tbs: tbs.bytes.clone(), shard };
        let record = said(order, Stage::Intended, "certificate.sign", now, intent(serial, &tbs, &key));
        let change = Change::PutDraft { id: order.id, draft: draft.clone() };
        let recorded = self.ledger.record(tbs, Batch { records: vec![record], changes: vec![change] }).await?;
        self.complete(order, &draft, recorded, &issuing).await
    }

    /// Signs the exact bytes that were recorded before; says so in the log, because the key is about to be used.
    async fn resume(&self, order: &OrderRow, draft: Draft) -> Result<IssuedCertificate, IssueError> {
        let issuing = self.authorities.issuer(&order.tenant, &order.template.issuer).await?;
        let tbs = Tbs { bytes: draft.tbs.clone() };
        let mut details = intent(draft.serial, &tbs, &draft.public_key);
        details["resumed"] = true.into();
        let record = said(order, Stage::Intended, "certificate.sign", self.clock.now(), details);
        let recorded = self.ledger.record(tbs, Batch { records: vec![record], changes: vec![] }).await?;
        self.complete(order, &draft, recorded, &issuing).await
    }

    async fn complete(
        &self,
        order: &OrderRow,
        draft: &Draft,
        recorded: Recorded<Tbs>,
        issuing: &Issuing,
    ) -> Result<IssuedCertificate, IssueError> {
        let issued = issued(order, draft, issuing.signer.sign(&recorded)?, self.clock.now())?;
        let details = json!({
            "serial": issued.serial.to_string(), "fingerprint": issued.fingerprint.to_string(),
            "notBefore": issued.not_before.unix(), "notAfter": issued.not_after.unix(),
        });
        let record = said(order, Stage::Done, "certificate.issue", issued.at, details);
        let answer = answer(&issued.serial, &issued.der, issuing);
        self.ledger.record((), Batch { records: vec![record], changes: vec![Change::Fulfil(issued)] }).await?;
        Ok(answer)
    }

    /// Ends an order whose draft is for a key that the device does not have any more. The draft stays unsigned.
    async fn abandon(&self, order: &OrderRow, draft: &Draft, key: &Sha256) -> Result<IssuedCertificate, IssueError> {
        let now = self.clock.now();
        let details = json!({ "serial": draft.serial.to_string(), "publicKeySha256": key.to_string() });
        let record = said(order, Stage::Done, "certificate.abandon", now, details);
        let clinic = ClinicId { tenant: order.tenant.clone(), clinic: order.slot.clinic.clone() };
        let changes = vec![Change::CancelOrder { id: order.id, at: now }, Change::Nudge { clinic, at: now }];
        self.ledger.record((), Batch { records: vec![record], changes }).await?;
        self.bells.ring_turn();
        Err(IssueError::Closed)
    }

    fn purpose(&self, order: &OrderRow, shard: Shard) -> Purpose {
        let (tenant, template) = (&order.tenant, &order.template);
        Purpose::Client {
            common_name: template.common_name.clone(),
            organization: template.organization.clone(),
            unique: order.id.to_string(),
            crl_url: Some(self.publication.list(tenant, &template.issuer, Part::Shard(shard))),
            ocsp_url: Some(self.publication.ocsp(tenant, &template.issuer)),
        }
    }
}

fn said(order: &OrderRow, stage: Stage, action: &'static str, at: Timestamp, mut details: serde_json::Value) -> NewRecord {
    details["order"] = order.id.to_string().into();
    NewRecord {
        tenant: order.tenant.clone(),
        at,
        stage,
        actor: format!("device:{}", order.slot.device),
        action,
        object: order.slot.to_string(),
        details,
    }
}

fn issued(order: &OrderRow, draft: &Draft, der: Vec<u8>, at: Timestamp) -> Result<Issued, KeyError> {
    let read = certificate::read(&der).map_err(|error| KeyError { problem: error.to_string() })?;
    let (fingerprint, not_before, not_after) = (read.fingerprint, read.not_before, read.not_after);
    Ok(Issued { order: order.id, serial: draft.serial, der, fingerprint, not_before, not_after, at })
}

fn answer(serial: &Serial, der: &[u8], issuing: &Issuing) -> IssuedCertificate {
    IssuedCertificate { serial: serial.to_string(), certificate: certificate::to_pem(der), chain: issuing.signer.pem().to_owned() }
}
