//! Certificates for staff whose PC has no agent: PKCS#12 files from web pages that this server serves.
//!
//! [`sign_in`] proves by a mailed code who somebody is; [`issue`] makes key, certificate and file in memory, the intention on record
//! first; [`account`] shows and ends what an account has; [`renewal`] gives a successor to whoever shows a certificate that is about to
//! end; [`pages`] are what people see. The server keeps files under passwords that it shows once and forgets.

pub mod account;
pub mod issue;
pub mod pages;
pub mod renewal;
pub mod sign_in;
pub mod words;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tegata_api::v1::audit::Stage;
use tegata_core::name::{AccountName, ClinicId, ClinicName, IssuerName, TenantName};
use tegata_core::policy::{Account, ClinicNetwork, Portal, Tenant};
use tegata_core::time::Timestamp;
use tegata_pki::key::{KeyError, Seal, hmac_sha256};
use tokio_util::task::TaskTracker;
use zeroize::Zeroizing;

use crate::audit::Ledger;
use crate::bells::Bells;
use crate::clock::Clock;
use crate::issuers::authorities::{Authorities, AuthorityError};
use crate::issuers::publication::Publication;
use crate::issuers::shards::Shards;
use crate::mail::Mailer;
use crate::policy::PolicyError;
use crate::portal::account::Candidate;
use crate::store::portal::AccountId;
use crate::store::{Change, NewRecord, StoreError};

/// How far the clock of a PC may be off: further off, codes and new certificates would not work there.
pub const CLOCK_MAX: Duration = Duration::from_secs(300);

/// Why somebody does not get what they asked for. Each has its words in both languages: [`words::trouble`].
#[derive(Debug, thiserror::Error)]
pub enum PortalError {
    /// There is no such portal.
    #[error("there is no such portal")]
    Unknown,
    /// The server has nowhere to hand mail in.
    #[error("the server sends no mail")]
    NoMail,
    /// The clock of the PC is off by so many seconds.
    #[error("the clock of the PC is off by {0} seconds")]
    ClockOff(i64),
    /// What was entered is no mail address.
    #[error("that is no mail address")]
    NotAnAddress,
    /// What was entered is no code.
    #[error("that is no code of six digits")]
    NotACode,
    /// The code is wrong; so many tries are left.
    #[error("the code is wrong; {0} tries are left")]
    WrongCode(u32),
    /// The code has been tried too often, was used, or never existed.
    #[error("the code cannot be used any more")]
    SpentCode,
    /// The code has run out.
    #[error("the code has run out")]
    ExpiredCode,
    /// Nobody is signed in, or not any more.
    #[error("nobody is signed in")]
    SignedOut,
    /// The request does not come from our own page.
    #[error("the request does not come from the portal's own page")]
    Forged,
    /// There is no memo.
    #[error("the memo is missing")]
    NoMemo,
    /// The memo cannot be shown on one line of 64 characters.
    #[error("the memo cannot be shown on one line of 64 characters")]
    UnreadableMemo,
    /// Another living certificate of the account has this memo.
    #[error("the memo is in use")]
    MemoTaken,
    /// The facility label has other characters than half-width letters and digits, or more than 32.
    #[error("the facility label may hold half-width letters and digits only, at most 32")]
    BadLabel,
    /// The account has as many certificates as it may have. What could go comes first that was applied for first.
    #[error("the account has as many certificates as it may have: {limit}")]
    Full {
        /// The bound.
        limit: u32,
        /// Certificates whose revocation would make room.
        candidates: Vec<Candidate>,
    },
    /// The account has no such certificate.
    #[error("the account has no such certificate")]
    NoCertificate,
    /// The certificate is revoked.
    #[error("the certificate is revoked")]
    Revoked,
    /// The certificate was renewed already.
    #[error("the certificate was renewed already")]
    Followed,
    /// Somebody else was faster, several times.
    #[error("somebody else was faster")]
    Busy,
    /// The authority cannot be had.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The certificate or its file cannot be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The policy cannot be had.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The database failed, or the state changed meanwhile.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What codes and cookies are digested under. Derived from the seal, so that the database alone is worth nothing to who tries digits.
pub struct PortalKey(Zeroizing<[u8; 32]>);

impl PortalKey {
    /// The same for the same seal.
    pub fn of(seal: &Seal) -> Self {
        Self(Zeroizing::new(hmac_sha256(seal.text().as_bytes(), b"tegata portal").0))
    }
}

/// Where staff are served.
#[derive(Clone)]
pub struct Desk {
    /// Where everything is kept.
    pub ledger: Ledger,
    /// Rung when an account's room has changed.
    pub bells: Bells,
    /// What time it is.
    pub clock: Clock,
    /// Who signs.
    pub authorities: Arc<Authorities>,
    /// How this server is reached: `https://host:port`.
    pub address: Arc<str>,
    /// Where revocation data is published, as certificates name it.
    pub publication: Publication,
    /// Counts certificates into shards: the same as for devices.
    pub shards: Arc<Shards>,
    /// Mails codes.
    pub mailer: Option<Mailer>,
    /// What codes and cookies are digested under.
    pub key: Arc<PortalKey>,
    /// Letters on their way.
    pub tasks: TaskTracker,
}

/// One clinic's portal, as policy has it now.
#[derive(Clone)]
pub struct Place {
    policy: Arc<Tenant>,
    clinic: ClinicName,
    /// Who signs.
    pub issuer: IssuerName,
}

impl Place {
    /// Whose.
    pub fn tenant(&self) -> &TenantName {
        &self.policy.name
    }

    /// The clinic.
    pub fn clinic(&self) -> &ClinicNetwork {
        &self.policy.clinics[&self.clinic]
    }

    /// What it hands out.
    pub fn portal(&self) -> &Portal {
        self.policy.issuers[&self.issuer].portal.as_ref().expect("a place is made only where there is a portal")
    }

    /// An account that may be used.
    pub fn account(&self, name: &AccountName) -> Option<&Account> {
        self.clinic().accounts.get(name).filter(|account| account.active && account.mail.is_some())
    }

    fn id(&self, account: AccountName) -> AccountId {
        AccountId { tenant: self.tenant().clone(), clinic: self.clinic.clone(), account }
    }
}

impl Desk {
    /// Finds a clinic's portal. Names that nothing has and clinics without a portal are the same.
    ///
    /// # Errors
    /// [`PortalError::Unknown`], or that the policy cannot be had.
    pub async fn place(&self, tenant: &str, clinic: &str) -> Result<Place, PortalError> {
        let tenant: TenantName = tenant.parse().map_err(|_| PortalError::Unknown)?;
        let clinic: ClinicName = clinic.parse().map_err(|_| PortalError::Unknown)?;
        // Asked by anyone, for any name: a tenant without documents must not leave a trace in memory.
        if self.ledger.store().policy_revision(&tenant).await? == 0 {
            return Err(PortalError::Unknown);
        }
        let policy = self.ledger.policy(&tenant).await?;
        let issuer = policy.clinics.get(&clinic).and_then(|clinic| clinic.portal.clone()).ok_or(PortalError::Unknown)?;
        let has_portal = policy.issuers.get(&issuer).is_some_and(|issuer| issuer.portal.is_some());
        if has_portal { Ok(Place { policy, clinic, issuer }) } else { Err(PortalError::Unknown) }
    }
}

/// A record about an account.
fn said(account: &AccountId, actor: &str, stage: Stage, action: &'static str, at: Timestamp, details: Value) -> NewRecord {
    NewRecord { tenant: account.tenant.clone(), at, stage, actor: actor.to_owned(), action, object: object(account), details }
}

/// How the log names an account: a part of its clinic.
pub(crate) fn object(account: &AccountId) -> String {
    format!("{}/accounts/{}", account.clinic, account.account)
}

/// How the log names who is signed in.
fn actor(account: &AccountId) -> String {
    format!("account:{}/{}", account.clinic, account.account)
}

/// The clinic's plan counts what its accounts have.
fn nudge(account: &AccountId, at: Timestamp) -> Change {
    Change::Nudge { clinic: ClinicId { tenant: account.tenant.clone(), clinic: account.clinic.clone() }, at }
}
