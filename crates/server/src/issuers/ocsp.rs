//! Answers to strangers who ask about single certificates (RFC 6960): always as the database is now, however much is revoked.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tegata_api::v1::audit::Stage;
use tegata_core::name::{IssuerName, TenantName};
use tegata_core::policy::KeyAlgorithm;
use tegata_core::time::{DAY, HOUR, Timestamp};
use tegata_pki::authority::{Purpose, new_serial};
use tegata_pki::key::{KeyError, PrivateKey, sha256};
use tegata_pki::ocsp::{Question, Refusal, Request, Responder, Status};
use tokio::sync::Mutex;

use crate::audit::{Ledger, TEGATA};
use crate::clock::Clock;
use crate::issuers::authorities::{Authorities, AuthorityError, Issuing};
use crate::issuers::signer::{Validity, intent};
use crate::store::{Batch, NewRecord, StoreError};

/// How long a responder's certificate lives: nobody can ask whether it is revoked.
const LIFE: Duration = DAY.saturating_mul(28);
/// How long an answer may be relied on.
pub const ANSWER_LIFE: Duration = HOUR;

/// An answer, DER.
pub struct Answer {
    /// An OCSPResponse.
    pub response: Vec<u8>,
    /// Whether it may be kept and given to others who ask the same.
    pub is_for_everybody: bool,
}

/// Answers for every issuer that was asked about. The keys of responders are in memory only: after a restart there are new ones.
pub struct Responders {
    ledger: Ledger,
    clock: Clock,
    authorities: Arc<Authorities>,
    ready: RwLock<HashMap<(TenantName, IssuerName), Arc<Ready>>>,
    /// Held while one is made, so that a rush of first requests makes one.
    making: Mutex<()>,
}

struct Ready {
    responder: Responder,
    made_at: Timestamp,
    /// Half of its life is left then, however short that is.
    renewed_at: Timestamp,
}

impl Ready {
    fn is_fresh(&self, now: Timestamp) -> bool {
        self.made_at <= now && now < self.renewed_at
    }
}

impl Responders {
    /// Answers from what `ledger` says.
    pub fn new(ledger: Ledger, clock: Clock, authorities: Arc<Authorities>) -> Self {
        Self { ledger, clock, authorities, ready: RwLock::default(), making: Mutex::default() }
    }

    /// Answers a request (OCSPRequest, DER) about certificates of one issuer. One that cannot be read is answered with a refusal.
    ///
    /// # Errors
    /// [`AuthorityError`], such as that there is no such issuer.
    pub async fn answer(&self, tenant: &TenantName, issuer: &IssuerName, request: &[u8]) -> Result<Answer, AuthorityError> {
        self.ledger.expect_settled()?;
        let issuing = self.authorities.issuer(tenant, issuer).await?;
        let request = match Request::read(request) {
            Ok(request) => request,
            Err(_) => return Ok(Answer { response: Refusal::MalformedRequest.response(), is_for_everybody: false }),
        };
        let now = self.clock.now();
        let ready = self.ready(tenant, issuer, &issuing, now).await?;
        let mut statuses = Vec::with_capacity(request.questions().len());
        for question in request.questions() {
            statuses.push(self.status(tenant, issuer, &ready.responder, question).await?);
        }
        let response =
            ready.responder.answer(&request, &statuses, now, now.after(ANSWER_LIFE)).map_err(|error| unusable(&issuing, error))?;
        Ok(Answer { response, is_for_everybody: !request.has_nonce() })
    }

    async fn status(
        &self,
        tenant: &TenantName,
        issuer: &IssuerName,
        responder: &Responder,
        question: &Question,
    ) -> Result<Status, StoreError> {
        let Some(serial) = question.serial().filter(|_| responder.is_asked(question)) else { return Ok(Status::Unknown) };
        let verdict = self.ledger.store().verdict(tenant, issuer, &serial).await?;
        Ok(match verdict.map(|verdict| verdict.revoked) {
            None => Status::Unknown,
            Some(None) => Status::Good,
            Some(Some((at, because))) => Status::Revoked { at, because },
        })
    }

    async fn ready(
        &self,
        tenant: &TenantName,
        issuer: &IssuerName,
        issuing: &Issuing,
        now: Timestamp,
    ) -> Result<Arc<Ready>, AuthorityError> {
        let key = (tenant.clone(), issuer.clone());
        let known = || self.ready.read().unwrap_or_else(PoisonError::into_inner).get(&key).filter(|ready| ready.is_fresh(now)).cloned();
        if let Some(ready) = known() {
            return Ok(ready);
        }
        let _making = self.making.lock().await;
        if let Some(ready) = known() {
            return Ok(ready);
        }
        let ready = Arc::new(self.make(tenant, issuer, issuing, now).await?);
        self.ready.write().unwrap_or_else(PoisonError::into_inner).insert(key, ready.clone());
        Ok(ready)
    }

    /// Makes a key and has it certified: on record before the authority's key is used, like everything that it signs.
    async fn make(&self, tenant: &TenantName, issuer: &IssuerName, issuing: &Issuing, now: Timestamp) -> Result<Ready, AuthorityError> {
        let signer = &issuing.signer;
        let failed = |error| unusable(issuing, error);
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).map_err(failed)?;
        let (serial, validity) = (new_serial(), Validity::from_now(now, LIFE));
        let purpose = Purpose::OcspResponder { common_name: format!("{issuer} OCSP"), organization: tenant.to_string() };
        let tbs = signer.draft(&purpose, &key.public_key(), serial, validity).map_err(failed)?;
        let record = NewRecord {
            tenant: tenant.clone(),
            at: now,
            stage: Stage::Intended,
            actor: TEGATA.to_owned(),
            action: "ocsp.sign",
            object: issuer.to_string(),
            details: intent(serial, &tbs, &sha256(&key.public_key())),
        };
        let recorded = self.ledger.record(tbs, Batch { records: vec![record], changes: vec![] }).await?;
        let certificate = signer.sign(&recorded).map_err(failed)?;
        let responder = Responder::new(signer.certificate(), &certificate, key).map_err(failed)?;
        let life = validity.not_after.min(signer.not_after()).since(now);
        Ok(Ready { responder, made_at: now, renewed_at: now.after(life / 2) })
    }
}

fn unusable(issuing: &Issuing, source: KeyError) -> AuthorityError {
    AuthorityError::Unusable { name: issuing.signer.common_name().to_owned(), source }
}
