//! How a PC becomes a device: a code made for that one device, a few tries, and a key that only the PC has.
//!
//! A code has a public handle and a secret. The handle finds it, so every guess is bound to one code; a try is taken off it,
//! durably, before the secret is compared. Whatever is wrong with a code, the answer is the same.

pub mod code;
pub mod freeze;
pub mod identity;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_api::v1::device::{EnrollRequest, Enrolled, IssuedCertificate, Manifest, Report};
use tegata_api::v1::fleet::{CodeAnswer, CodeKind};
use tegata_core::name::{DeviceId, Sha256, TenantName};
use tegata_core::time::{DAY, MINUTE, Timestamp};
use tegata_pki::csr::{self, CsrError, RequestedKey};
use tegata_pki::key::{KeyError, Seal, hmac_sha256, same, sha256};
use zeroize::Zeroizing;

use crate::asks::{self, AskError};
use crate::audit::Ledger;
use crate::bells::Bells;
use crate::clock::Clock;
use crate::enroll::code::{Handle, Secret};
use crate::enroll::freeze::Freeze;
use crate::enroll::identity::Identities;
use crate::issuers::signer::{Signer, fits_identity};
use crate::policy::PolicyError;
use crate::store::audit::personal;
use crate::store::{Batch, Change, CodeRow, DeviceRow, NewRecord, StoreError};

/// Wrong secrets that one code survives.
const TRIES: u32 = 5;
/// How long a typed code lives: long enough to walk to the PC.
const TYPED_LIFE: Duration = MINUTE.saturating_mul(10);
/// How long a join code lives.
const JOIN_LIFE: Duration = DAY;

/// Why there is no code.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// Policy names no such device.
    #[error("there is no such device")]
    NotFound,
    /// The policy cannot be had.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The database failed, or the state changed meanwhile.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a PC did not become a device, or a device did not get its identity renewed.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// The code is wrong, spent, expired, used or for another device. Nobody is told which.
    #[error("the code was refused")]
    Refused,
    /// The certificate request cannot be accepted.
    #[error(transparent)]
    Request(#[from] CsrError),
    /// The key in the certificate request is not acceptable, and why.
    #[error("{0}")]
    Key(&'static str),
    /// The identity certificate cannot be signed.
    #[error(transparent)]
    Sign(#[from] KeyError),
    /// The policy cannot be had.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The database failed, or the state changed meanwhile.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What secrets of codes are digested under. Derived from the seal, so that the database alone is worth nothing to who tries digits.
pub struct CodeKey(Zeroizing<[u8; 32]>);

impl CodeKey {
    /// The same for the same seal.
    pub fn of(seal: &Seal) -> Self {
        Self(Zeroizing::new(hmac_sha256(seal.text().as_bytes(), b"tegata enrolment codes").0))
    }
}

/// Makes codes and redeems them.
pub struct Enrolment {
    ledger: Ledger,
    bells: Bells,
    clock: Clock,
    identities: Identities,
    /// Signs the server's TLS certificate; enrolled agents trust only this one.
    server: Arc<Signer>,
    /// Secrets are kept as HMAC under this key: whoever reads the database cannot try out six digits.
    code_key: CodeKey,
    freeze: Mutex<Freeze>,
}

impl Enrolment {
    /// Keeps codes and devices in `ledger`; identities come from `devices`, the server's certificate from `server`.
    pub fn new(ledger: Ledger, bells: Bells, clock: Clock, devices: Arc<Signer>, server: Arc<Signer>, code_key: CodeKey) -> Self {
        let identities = Identities { ledger: ledger.clone(), clock: clock.clone(), signer: devices };
        Self { ledger, bells, clock, identities, server, code_key, freeze: Mutex::default() }
    }

    /// The authority that the server's certificate comes from, PEM.
    pub fn server_authority(&self) -> &str {
        self.server.pem()
    }

    /// Makes a code for a device that policy names. Earlier codes of the device are gone.
    ///
    /// # Errors
    /// [`CodeError`].
    pub async fn create(&self, tenant: &TenantName, device: &DeviceId, kind: CodeKind, actor: &str) -> Result<CodeAnswer, CodeError> {
        let policy = self.ledger.policy(tenant).await?;
        let clinic = policy.clinics.get(&device.clinic).ok_or(CodeError::NotFound)?;
        clinic.devices.get(&device.device).ok_or(CodeError::NotFound)?;
        let now = self.clock.now();
        let (secret, life) = match kind {
            CodeKind::Typed => (Secret::typed(), TYPED_LIFE),
            CodeKind::Join => (Secret::long(), JOIN_LIFE),
        };
        let handle = self.free_handle().await?;
        let row = CodeRow {
            handle: handle.to_string(),
            tenant: tenant.clone(),
            device: device.clone(),
            digest: self.digest(&handle, &secret),
            tries_left: TRIES,
            expires_at: now.after(life),
            used_by: None,
        };
        let details = json!({ "handle": handle.to_string(), "kind": kind, "expiresAt": row.expires_at.unix() });
        let record = NewRecord {
            tenant: tenant.clone(),
            at: now,
            stage: Stage::Done,
            actor: actor.to_owned(),
            action: "device.code",
            object: device.to_string(),
            details,
        };
        let answer = self.shown(&handle, &secret, kind, row.expires_at);
        self.ledger.record((), Batch { records: vec![record], changes: vec![Change::PutCode(row)] }).await?;
        Ok(answer)
    }

    /// Makes a device of whoever holds a code and a key. The same code and key give the same outcome again, because answers get lost.
    ///
    /// # Errors
    /// [`EnrollError`]. Everything about the code itself is `Refused`.
    pub async fn redeem(&self, request: EnrollRequest) -> Result<Enrolled, EnrollError> {
        // Before the code is looked at: this answer says nothing about the code, and a broken agent spends no try.
        let key = checked_key(&request.csr)?;
        let identity = sha256(&key.public_key);
        let handle = Handle::read(&request.handle).ok_or(EnrollError::Refused)?;
        let secret = Secret::read(&request.secret).ok_or(EnrollError::Refused)?;
        let code = self.ledger.store().code(handle.as_str()).await?.ok_or(EnrollError::Refused)?;
        let now = self.clock.now();
        let is_spent = code.tries_left == 0 && code.used_by.is_none();
        if now >= code.expires_at || is_spent || self.frozen(&code.tenant, now) {
            return Err(EnrollError::Refused);
        }
        self.still_wanted(&code).await?;
        if code.used_by.is_some() {
            return self.redeem_again(&request, &code, &handle, &secret, &key).await;
        }
        self.spend_try(&handle, now).await?;
        self.compare(&request, &code, &handle, &secret, now).await?;
        self.acceptable(&code, &identity).await?;
        let device = self.admit(request, &code, key, now).await?;
        self.enrolled(&device.row, device.certificate)
    }

    /// Issues a device's identity anew, for the key that it has.
    ///
    /// # Errors
    /// [`EnrollError`], but never `Refused`.
    pub async fn renew(&self, device: &DeviceRow, csr: &str) -> Result<IssuedCertificate, EnrollError> {
        let key = checked_key(csr)?;
        if key.public_key != device.public_key {
            return Err(EnrollError::Key(
                "a device's identity is renewed for the key that it has; for another key the device has to be enrolled again",
            ));
        }
        self.identities.issue(device).await
    }

    /// Policy may have dropped the device since the code was made. Asked before a try is spent, because the policy may be unreadable.
    async fn still_wanted(&self, code: &CodeRow) -> Result<(), EnrollError> {
        let policy = self.ledger.policy(&code.tenant).await.map_err(AskError::from)?;
        let clinic = policy.clinics.get(&code.device.clinic);
        if clinic.is_some_and(|clinic| clinic.devices.contains_key(&code.device.device)) { Ok(()) } else { Err(EnrollError::Refused) }
    }

    /// Takes a try off, durably, before anything is compared.
    async fn spend_try(&self, handle: &Handle, now: Timestamp) -> Result<(), EnrollError> {
        let spend = Change::SpendTry { handle: handle.to_string(), now };
        match self.ledger.note(Batch { records: vec![], changes: vec![spend] }).await {
            Err(StoreError::Conflict(_)) => Err(EnrollError::Refused),
            settled => Ok(settled?),
        }
    }

    /// Says no to a wrong secret, and puts on record that somebody tried.
    async fn compare(
        &self,
        request: &EnrollRequest,
        code: &CodeRow,
        handle: &Handle,
        secret: &Secret,
        now: Timestamp,
    ) -> Result<(), EnrollError> {
        let right_secret = same(&self.digest(handle, secret).0, &code.digest.0);
        let right_device = request.device.as_ref().is_none_or(|claimed| *claimed == code.device.to_string());
        if right_secret && right_device {
            return Ok(());
        }
        self.freeze.lock().unwrap_or_else(PoisonError::into_inner).failed(&code.tenant, now);
        let record = NewRecord {
            tenant: code.tenant.clone(),
            at: now,
            stage: Stage::Seen,
            actor: "anyone".into(),
            action: "device.code-refused",
            object: code.device.to_string(),
            details: json!({ "handle": code.handle }),
        };
        self.ledger.record((), Batch { records: vec![record], changes: vec![] }).await?;
        Err(EnrollError::Refused)
    }

    /// A key is one device's, and never comes back once it was revoked.
    async fn acceptable(&self, code: &CodeRow, identity: &Sha256) -> Result<(), EnrollError> {
        let Some(holder) = self.ledger.store().device_by_identity(identity).await? else { return Ok(()) };
        if holder.revoked_at.is_some() {
            return Err(EnrollError::Key("this key was revoked; remove the agent's state folder and enrol with a new key"));
        }
        if (&holder.tenant, &holder.device) != (&code.tenant, &code.device) {
            return Err(EnrollError::Key("this key belongs to another device; remove the agent's state folder and enrol with a new key"));
        }
        Ok(())
    }

    async fn admit(&self, request: EnrollRequest, code: &CodeRow, key: RequestedKey, now: Timestamp) -> Result<Admitted, EnrollError> {
        let identity = sha256(&key.public_key);
        let row = DeviceRow {
            tenant: code.tenant.clone(),
            device: code.device.clone(),
            identity,
            public_key: key.public_key,
            enrolled_at: now,
            last_seen: now,
            clock_offset: 0,
            revoked_at: None,
            report: Report { facts: request.facts.clone(), ..Report::default() },
            facts: request.facts,
            manifest: Manifest::default(),
            receipts: 0,
        };
        let draft = self.identities.draft(&row)?;
        let mut facts = json!(row.facts);
        personal::wrap(&mut facts["hostname"]);
        let enrolled = NewRecord {
            tenant: row.tenant.clone(),
            at: now,
            stage: Stage::Done,
            actor: format!("device:{}", row.device),
            action: "device.enroll",
            object: row.device.to_string(),
            details: json!({ "handle": code.handle, "publicKeySha256": identity.to_string(), "facts": facts }),
        };
        let mut changes = vec![Change::UseCode { handle: code.handle.clone(), identity }, Change::PutDevice(row.clone().into())];
        changes.extend(asks::on_enrolment(&self.ledger, &row, now).await?);
        let batch = Batch { records: vec![enrolled, draft.record.clone()], changes };
        let recorded = match self.ledger.record(draft.tbs, batch).await {
            // The code was used at the same moment, with another key.
            Err(StoreError::Conflict(_)) => return Err(EnrollError::Refused),
            recorded => recorded?,
        };
        self.bells.ring_turn();
        // An earlier identity of this device may hold a request open.
        self.bells.ring_device(&row.tenant, &row.device);
        Ok(Admitted { certificate: self.identities.sign(draft.serial, &recorded)?, row })
    }

    /// The answer to a first redemption was lost, or somebody else tries a code that was used.
    async fn redeem_again(
        &self,
        request: &EnrollRequest,
        code: &CodeRow,
        handle: &Handle,
        secret: &Secret,
        key: &RequestedKey,
    ) -> Result<Enrolled, EnrollError> {
        self.compare(request, code, handle, secret, self.clock.now()).await?;
        let identity = sha256(&key.public_key);
        let device = self.ledger.store().device(&code.tenant, &code.device).await?;
        let by_the_same = |device: &DeviceRow| code.used_by == Some(identity) && device.identity == identity && device.revoked_at.is_none();
        let device = device.filter(by_the_same).ok_or(EnrollError::Refused)?;
        let certificate = self.identities.issue(&device).await?;
        self.enrolled(&device, certificate)
    }

    fn enrolled(&self, device: &DeviceRow, certificate: IssuedCertificate) -> Result<Enrolled, EnrollError> {
        Ok(Enrolled {
            tenant: device.tenant.to_string(),
            device: device.device.to_string(),
            identity: certificate.certificate,
            server_authorities: self.server.pem().to_owned(),
        })
    }

    fn frozen(&self, tenant: &TenantName, now: Timestamp) -> bool {
        self.freeze.lock().unwrap_or_else(PoisonError::into_inner).is_frozen(tenant, now)
    }

    fn digest(&self, handle: &Handle, secret: &Secret) -> Sha256 {
        hmac_sha256(&*self.code_key.0, format!("{handle}-{}", secret.text()).as_bytes())
    }

    /// A handle that no code has. Thirty random bits rarely meet.
    async fn free_handle(&self) -> Result<Handle, StoreError> {
        loop {
            let handle = Handle::random();
            if self.ledger.store().code(handle.as_str()).await?.is_none() {
                return Ok(handle);
            }
        }
    }

    fn shown(&self, handle: &Handle, secret: &Secret, kind: CodeKind, expires_at: Timestamp) -> CodeAnswer {
        let authority_sha256 = self.server.fingerprint().to_string();
        let code = match kind {
            CodeKind::Typed => format!("{handle}-{}", secret.text()),
            CodeKind::Join => format!("tgj1.{handle}.{}.{authority_sha256}", secret.text()),
        };
        CodeAnswer { code, authority_sha256, expires_at: expires_at.unix() }
    }
}

/// A device that has just become one.
struct Admitted {
    row: DeviceRow,
    certificate: IssuedCertificate,
}

fn checked_key(csr: &str) -> Result<RequestedKey, EnrollError> {
    let key = csr::check(csr)?;
    if fits_identity(&key) { Ok(key) } else { Err(EnrollError::Key("a device's identity key has to be ECDSA on P-256")) }
}
