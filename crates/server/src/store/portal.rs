//! What the portal keeps, changes and asks.

use async_trait::async_trait;
use tegata_core::name::{AccountName, ClinicName, IssuerName, Serial, Sha256, TenantName};
use tegata_core::revocation::Cause;
use tegata_core::time::Timestamp;

use super::StoreError;
use super::revocation::Shard;

/// Why a draft was not kept: the memo belongs to another living certificate of the account.
pub const MEMO_TAKEN: &str = "the memo is in use";
/// Why a draft was not kept: the account has as many certificates as it may have.
pub const NO_ROOM: &str = "the account has no room for another certificate";

/// An account as the portal knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountId {
    /// Whose.
    pub tenant: TenantName,
    /// The clinic that declares it.
    pub clinic: ClinicName,
    /// Its name there.
    pub account: AccountName,
}

/// A mailed code. The digits themselves are nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalCodeRow {
    /// Its public part.
    pub handle: String,
    /// Whose portal it opens.
    pub tenant: TenantName,
    /// Which clinic's.
    pub clinic: ClinicName,
    /// HMAC of the mail address that was entered.
    pub subject: Sha256,
    /// Whose address it is; `None` for an address that nobody has.
    pub account: Option<AccountName>,
    /// HMAC of the digits under the server's own key.
    pub digest: Sha256,
    /// How often it may still be tried.
    pub tries_left: u32,
    /// Since when.
    pub made_at: Timestamp,
    /// From when on it is worth nothing.
    pub expires_at: Timestamp,
    /// When it was used.
    pub used_at: Option<Timestamp>,
}

/// Somebody who has shown a right code. The cookie itself is nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalSessionRow {
    /// SHA-256 of the cookie.
    pub digest: Sha256,
    /// Who.
    pub account: AccountId,
    /// From when on it is worth nothing.
    pub expires_at: Timestamp,
}

/// What is about to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalDraft {
    /// The serial number in it.
    pub serial: Serial,
    /// Under whose account.
    pub account: AccountId,
    /// Who signs.
    pub issuer: IssuerName,
    /// Whose revocation list it names. 0 for what was issued before the portal had shards.
    pub shard: Shard,
    /// Which of the issuer's certificates it is.
    pub n: u64,
    /// Subject CN.
    pub common_name: String,
    /// Subject O.
    pub organization: String,
    /// Which PC or person it is for. No two living certificates of an account share one.
    pub memo: String,
    /// The facility label that was asked for.
    pub label: Option<String>,
    /// What people note about it.
    pub remarks: String,
    /// What its file is called.
    pub file_name: String,
    /// SHA-256 of the public key in it.
    pub public_key: Sha256,
    /// The exact bytes (TBSCertificate, DER).
    pub tbs: Vec<u8>,
    /// Last moment of validity.
    pub not_after: Timestamp,
    /// When it was applied for.
    pub applied_at: Timestamp,
    /// The certificate that it follows.
    pub replaces: Option<Serial>,
}

/// How many certificates an account may have, as of a draft's application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Living ones, those that follow each other counted once; the devices' count too.
    pub living_max: u32,
    /// Issued since some moments.
    pub issued: Vec<Rolling>,
}

/// A bound on what was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rolling {
    /// Since when.
    pub since: Timestamp,
    /// How many at most.
    pub most: u32,
    /// True if those that were revoked do not count.
    pub unrevoked_only: bool,
}

/// What became of a draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalIssued {
    /// The draft's.
    pub serial: Serial,
    /// The certificate, DER.
    pub der: Vec<u8>,
    /// SHA-256 of `der`.
    pub fingerprint: Sha256,
    /// The PKCS#12 file, under a password that is not kept.
    pub bundle: Vec<u8>,
    /// When it was signed.
    pub at: Timestamp,
}

/// A certificate that was issued through the portal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalCertificateRow {
    /// What was on record before it was signed.
    pub draft: PortalDraft,
    /// The certificate, DER.
    pub der: Vec<u8>,
    /// SHA-256 of `der`.
    pub fingerprint: Sha256,
    /// When its file was fetched for the first time.
    pub fetched_at: Option<Timestamp>,
    /// Since when it is invalid.
    pub revoked_at: Option<Timestamp>,
    /// The certificate that follows it, if there is one that is not revoked.
    pub followed_by: Option<Serial>,
}

impl PortalCertificateRow {
    /// True until it ends or is revoked.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && now <= self.draft.not_after
    }

    /// True if it takes a place of its account.
    pub fn takes_a_place(&self, now: Timestamp) -> bool {
        self.is_valid(now) && self.followed_by.is_none()
    }
}

/// Where a renewed file can be fetched. The address itself is nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRow {
    /// SHA-256 of the last part of the address.
    pub digest: Sha256,
    /// The certificate in the file.
    pub serial: Serial,
    /// SHA-256 of the certificate that asked for it.
    pub holder: Sha256,
    /// From when on there is nothing.
    pub expires_at: Timestamp,
    /// When it was fetched for the first time.
    pub fetched_at: Option<Timestamp>,
}

/// A certificate as far as the quota of its account asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalSeat {
    /// The account.
    pub account: AccountName,
    /// When it was applied for.
    pub applied_at: Timestamp,
    /// Its end: the natural one, or the moment from which it takes no place any more.
    pub takes_a_place_until: Timestamp,
}

/// Everything that can change.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "each variant is explained as a whole")]
pub enum PortalChange {
    /// Keeps a code. Guard: fewer than `most` were made for the same address since `since`. Older ones are forgotten.
    PutCode { code: PortalCodeRow, since: Timestamp, most: u32 },
    /// Takes one try off a code before it is compared. Guard: it has tries left, is unused, and expires after `now`.
    SpendTry { handle: String, now: Timestamp },
    /// Ends a code in a session. Guard: it is unused. Sessions that have run out are forgotten.
    UseCode { handle: String, at: Timestamp, session: PortalSessionRow },
    /// Forgets a session.
    EndSession { digest: Sha256 },
    /// Keeps the exact bytes that are about to be signed. Guards: the memo is free, there is room, and what it follows can be followed.
    PutDraft { draft: Box<PortalDraft>, room: Room },
    /// Keeps a signed certificate and its file. Guard: there is a draft of that serial number, unsigned.
    Fulfil(PortalIssued),
    /// Forgets a draft whose key is gone. Guard: it is unsigned.
    Abandon { serial: Serial },
    /// Keeps what people note about a certificate. Guard: it is the account's.
    Remark { account: AccountId, serial: Serial, remarks: String },
    /// Notes that a file was fetched. An earlier moment stays.
    Fetched { serial: Serial, at: Timestamp },
    /// A certificate is invalid from now on. Guard: it was not revoked yet.
    Revoke { serial: Serial, at: Timestamp, because: Cause },
    /// Keeps where a file can be fetched. Those that have run out by `now` are forgotten.
    PutDelivery { delivery: DeliveryRow, now: Timestamp },
    /// A delivery and its file were fetched for the first time. Guard: they were not before.
    Deliver { digest: Sha256, serial: Serial, at: Timestamp },
}

/// What can be asked.
#[async_trait]
pub trait PortalQueries {
    /// A code by its public part.
    async fn portal_code(&self, handle: &str) -> Result<Option<PortalCodeRow>, StoreError>;
    /// A session by the SHA-256 of its cookie.
    async fn portal_session(&self, digest: &Sha256) -> Result<Option<PortalSessionRow>, StoreError>;
    /// An account's certificates, newest first.
    async fn portal_certificates(&self, account: &AccountId) -> Result<Vec<PortalCertificateRow>, StoreError>;
    /// A certificate by its serial number.
    async fn portal_certificate(&self, serial: &Serial) -> Result<Option<PortalCertificateRow>, StoreError>;
    /// A certificate by the SHA-256 of its DER.
    async fn portal_certificate_by_fingerprint(&self, fingerprint: &Sha256) -> Result<Option<PortalCertificateRow>, StoreError>;
    /// A certificate's PKCS#12 file.
    async fn portal_bundle(&self, serial: &Serial) -> Result<Option<Vec<u8>>, StoreError>;
    /// The number that the issuer's next certificate gets.
    async fn portal_next(&self, tenant: &TenantName, issuer: &IssuerName) -> Result<u64, StoreError>;
    /// Drafts that nobody signed: what a crash left between two commits.
    async fn portal_drafts(&self) -> Result<Vec<PortalDraft>, StoreError>;
    /// A delivery by the SHA-256 of its address.
    async fn portal_delivery(&self, digest: &Sha256) -> Result<Option<DeliveryRow>, StoreError>;
}
