//! The port to the database: what is kept, what can change, and what can be asked.
//!
//! Everything that changes goes through [`Store::commit`]: a closed set of [`Change`]s and the audit records that announce
//! them, in one durable transaction. Nothing else writes. Many batches may share one `fsync`.

pub mod access;
pub mod approvals;
pub mod audit;
pub mod backup;
pub mod installers;
pub mod log;
pub mod notices;
pub mod portal;
pub mod recovery;
pub mod revocation;
pub mod sessions;
pub mod signals;
mod snapshot;
pub mod sql;
pub mod telemetry;
pub mod vendor;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tegata_api::v1::audit::Record;
use tegata_api::v1::device::{Facts, FileHash, Manifest, Report};
use tegata_core::fleet::Template;
use tegata_core::name::{AccountName, ClinicId, ClinicName, DeviceId, IssuerName, OrderId, Serial, Sha256, SlotId, TenantName};
use tegata_core::plan::Reason;
use tegata_core::revocation::Cause;
use tegata_core::time::Timestamp;

pub use self::audit::personal::Personal;
pub use self::audit::{AuditQuery, NewRecord, Part};
use self::backup::BackupChange;
use self::notices::{DeliveryRow, ExpiringQuery, LetterRow, NewLetter, Outcome, Told, WebhookKeyRow};
pub use self::snapshot::Snapshot;
pub use self::vendor::{ApplicationRow, Bundle, Closed, TakenIn};

use self::recovery::RecoveryChange;
use self::revocation::{RevokedRow, Selected, Selection, Shard, ShardRow, Verdict};
use self::signals::Signal;

/// Why the database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A guard did not hold: somebody was faster, or it is not so any more. Nothing of the batch was applied.
    #[error("the state has changed meanwhile: {0}")]
    Conflict(&'static str),
    /// The database failed. A failed commit is never retried as if it could succeed: see [`Store::failed`].
    #[error("the database failed")]
    Database(#[source] Arc<sqlx::Error>),
    /// The database server does not answer, or is too busy. Whether the batch was applied is not known; whoever asks again may be answered.
    #[error("the database does not answer")]
    Away(#[source] Arc<sqlx::Error>),
    /// The database was put back from a backup, and nobody has put that on record yet. Nothing of the batch was applied.
    #[error("the database was put back from a backup, and nothing is given out until that is on record")]
    Recovering,
    /// What is stored cannot be read back.
    #[error("the database holds something unreadable in {place}")]
    Corrupt {
        /// The table and column.
        place: &'static str,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database is not set up to survive a power cut.
    #[error("unsafe database setting: {0}")]
    Unsafe(String),
}

/// Changes and the records that announce them. All or nothing, durable when [`Store::commit`] returns.
#[derive(Debug, Default, Clone)]
pub struct Batch {
    /// Written in this order, each with the next sequence number of its tenant.
    pub records: Vec<NewRecord>,
    /// Applied in this order.
    pub changes: Vec<Change>,
}

impl Batch {
    /// About how many rows it writes: what it adds to the database's log.
    pub(crate) fn rows(&self) -> usize {
        let rows = |change: &Change| match change {
            Change::RevokeAll { serials, .. } | Change::Condemn { serials, .. } => serials.len(),
            Change::Index(indexed) => indexed.keys.len(),
            Change::Erase(erase) => erase.texts.len(),
            _ => 1,
        };
        self.records.len() + self.changes.iter().map(rows).sum::<usize>()
    }
}

/// Everything that can change. Guards are named where there are any; one that fails refuses the whole batch.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "each variant is explained as a whole; its fields are what the nine words say")]
pub enum Change {
    /// Keeps a policy document, counting its revision up.
    PutDocument { tenant: TenantName, kind: String, name: String, body: serde_json::Value, author: String, at: Timestamp },
    /// Drops a policy document.
    DeleteDocument { tenant: TenantName, kind: String, name: String },
    /// Changes nothing. Guard: the tenant's policy is still at this revision.
    ExpectPolicy { tenant: TenantName, revision: u64 },
    /// Changes nothing. Guard: the clinic was nudged this often, so that nothing has changed for it since.
    ExpectNudges { clinic: ClinicId, nudges: u64 },
    /// Says when a clinic is looked at next; `None` is "when something changes".
    Wake { clinic: ClinicId, at: Option<Timestamp> },
    /// Has a clinic looked at no later than this.
    Nudge { clinic: ClinicId, at: Timestamp },
    /// Lets others look at a clinic that was claimed for a turn which was not finished.
    Release { clinic: ClinicId },
    /// Says when a clinic is looked at next, unless it was nudged since `as_of` (then the earlier one stays).
    Rest { clinic: ClinicId, as_of: u64, at: Option<Timestamp> },

    /// Keeps an enrolment code, replacing earlier ones of the same device.
    PutCode(CodeRow),
    /// Takes one try off a code before it is compared. Guard: the code exists, has tries left, is unused, and expires after `now`.
    SpendTry { handle: String, now: Timestamp },
    /// Marks a code as used by this key. Guard: unused, or used by the very same key.
    UseCode { handle: String, identity: Sha256 },

    /// Keeps a device at (re-)enrolment. Receipt numbers begin at 1 again; an earlier identity is gone. A manifest that is already
    /// stored stays, because generations never go back.
    PutDevice(Box<DeviceRow>),
    /// Notes that a device was heard.
    Heard { tenant: TenantName, device: DeviceId, at: Timestamp },
    /// Keeps a device's newest report, and which installer files it saw.
    PutReport { tenant: TenantName, device: DeviceId, report: Report, clock_offset: i64, at: Timestamp },
    /// Ends a device's identity, and every code that could give it a new one. Guard: it is not ended yet.
    RevokeDevice { tenant: TenantName, device: DeviceId, at: Timestamp },
    /// Keeps a device's manifest. Guard: its generation is exactly one above the stored one.
    PutManifest { tenant: TenantName, device: DeviceId, manifest: Manifest },
    /// Counts a receipt. Guard: its number is exactly one above the stored one.
    CountReceipt { tenant: TenantName, device: DeviceId, number: u64 },

    /// Opens an order. Guard: the slot has no open order.
    OpenOrder(OrderRow),
    /// Takes an open order back. Guard: it is open.
    CancelOrder { id: OrderId, at: Timestamp },
    /// Keeps the exact bytes that are about to be signed. Guard: the order is open and has no draft.
    PutDraft { id: OrderId, draft: Draft },
    /// Keeps a signed certificate and closes its order. Guard: the order is open and its draft has this serial.
    Fulfil(Issued),
    /// Keeps a certificate that somebody else signed, and closes its order. Guard: the order is open and has no draft, and its device
    /// holds no such certificate.
    TakeIn(Box<TakenIn>),
    /// Seals a file anew, for a device that cannot open what was sealed before. Guard: the order was fulfilled by a vendor's certificate.
    PutBundle { order: OrderId, bundle: Bundle },
    /// Notes that a person said that something was changed for a certificate. Saying it again changes nothing.
    Confirm { serial: Serial, dependant: String, by: String, at: Timestamp },
    /// Notes how far a certificate has come. An earlier moment that is already stored stays.
    Installed { serial: Serial, at: Timestamp },
    /// As above.
    Proven { serial: Serial, at: Timestamp },
    /// A certificate is ordered off its device.
    Retiring { serial: Serial, at: Timestamp },
    /// A certificate is gone from its device.
    Retired { serial: Serial, at: Timestamp },
    /// A certificate is invalid from now on. Guard: it was not revoked yet.
    Revoke { serial: Serial, at: Timestamp, because: Cause },
    /// All of these are invalid from now on. Guard: none of them was revoked yet.
    RevokeAll { serials: Vec<Serial>, at: Timestamp, because: Cause },
    /// Begins a shard. Guard: there is none of that number.
    BeginShard { tenant: TenantName, issuer: IssuerName, shard: Shard, url: String },
    /// These are to be revoked as soon as their successors are proven. Those that are revoked already stay as they are.
    Condemn { serials: Vec<Serial>, because: Cause },
    /// Somebody asked for a replacement; cleared by the next order for the slot. While an order is open, one is on its way already.
    AskRenewal { tenant: TenantName, slot: SlotId },

    /// A file with these contents is an installer; `order` is the one whose certificate came in it, if one did.
    PutInstaller { tenant: TenantName, file: FileHash, name: String, order: Option<OrderId>, at: Timestamp },
    /// An installer file is ordered off a device.
    RemovingInstaller { tenant: TenantName, device: DeviceId, sha256: Sha256 },
    /// Something about installer files that were removed.
    Installer(installers::InstallerChange),

    /// Keeps an application. Guard: the slot has no open one.
    RecordApplication(ApplicationRow),
    /// Closes a slot's open application, if it has one.
    CloseApplication { tenant: TenantName, slot: SlotId, because: Closed, at: Timestamp },
    /// Keeps the sealed PIN of a slot's open application. Guards: there is one, and it has no PIN yet, or it may be replaced.
    KeepPin { tenant: TenantName, slot: SlotId, sealed: String, replace: bool },
    /// Counts a try of a PIN on a file of a slot before it is made. Guard: fewer than `below` were counted before.
    SpendPinTry { tenant: TenantName, slot: SlotId, file: Sha256, below: u32 },
    /// Forgets the tries of a PIN that turned out right.
    ForgetPinTries { tenant: TenantName, slot: SlotId, file: Sha256 },
    /// Keeps what a clinic is told, and to whom it goes. Guard: none of its rungs was told before.
    PutLetter(Box<NewLetter>),
    /// Counts a try before it is made; `next` is when it is made again if nothing more is heard of it. Guard: it waits, and this is its next try.
    TryDelivery { id: String, attempt: u32, next: Timestamp },
    /// Notes what became of a try. Guard: it has not ended.
    EndTry { id: String, outcome: Outcome, at: Timestamp },
    /// A webhook's requests are signed with this key from now on. Guard: its generation is exactly one above the stored one.
    UseWebhookKey { clinic: ClinicId, url: String, key: WebhookKeyRow },

    /// Keeps an authority. Guard: there is none of that name.
    PutAuthority(AuthorityRow),
    /// What happens to tokens.
    Token(access::TokenChange),
    /// What happens to sessions of people.
    Session(sessions::SessionChange),
    /// What happens to acts that take two people.
    Approval(approvals::ApprovalChange),

    /// What the portal does.
    Portal(portal::PortalChange),
    /// What happens to backups.
    Backup(BackupChange),
    /// Keeps a tree that has grown. Guard: it covered as many records before.
    GrowLog(log::Grown),
    /// Keeps what witnesses have said about a log.
    Witness(log::Asked),
    /// Notes since when a log is unwitnessed, or that it is so no more.
    LogAlarm(log::Alarm),
    /// Lets the index of the audit log go on. Guard: it went as far as this before.
    Index(audit::Indexed),
    /// Erases texts beside the audit log. Guard: all of them are there.
    Erase(audit::personal::Erase),
    /// Notes that records were taken by whoever they are exported to. Guard: it had as many before as this says.
    Export(telemetry::Exported),
    /// What happens because the database was put back.
    Recovery(RecoveryChange),
}

/// A policy document as it is kept: parsed, canonical, without comments.
#[derive(Debug, Clone, PartialEq)]
pub struct DocumentRow {
    /// Its kind, such as `ClinicNetwork`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Counts up from 1 with every change.
    pub revision: u64,
    /// What it says.
    pub body: serde_json::Value,
    /// Who applied it.
    pub author: String,
    /// When.
    pub applied_at: Timestamp,
}

/// An enrolment code. The secret itself is nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeRow {
    /// Its public part.
    pub handle: String,
    /// Whose.
    pub tenant: TenantName,
    /// The one device that it is for.
    pub device: DeviceId,
    /// HMAC of the secret under the server's own key.
    pub digest: Sha256,
    /// How often it may still be tried.
    pub tries_left: u32,
    /// From when on it is worth nothing.
    pub expires_at: Timestamp,
    /// SHA-256 of the public key that used it.
    pub used_by: Option<Sha256>,
}

/// A device that has enrolled.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceRow {
    /// Whose.
    pub tenant: TenantName,
    /// Its name.
    pub device: DeviceId,
    /// SHA-256 of its public key (SubjectPublicKeyInfo, DER). Unique.
    pub identity: Sha256,
    /// SubjectPublicKeyInfo, DER.
    pub public_key: Vec<u8>,
    /// When this identity was given to it.
    pub enrolled_at: Timestamp,
    /// When it was last heard, give or take a few minutes.
    pub last_seen: Timestamp,
    /// Its clock minus ours, in seconds.
    pub clock_offset: i64,
    /// When its identity was ended.
    pub revoked_at: Option<Timestamp>,
    /// What it says about itself.
    pub facts: Facts,
    /// What it said last.
    pub report: Report,
    /// Generation 0 until the first one is made.
    pub manifest: Manifest,
    /// Receipts up to this number are on record.
    pub receipts: u64,
}

/// Who asks, and for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Who.
    pub holder: Holder,
    /// The order, if there is one of that name and it is the holder's own.
    pub order: Option<OrderRow>,
}

/// Whose an identity is: as much of a [`DeviceRow`] as a claim needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its tenant.
    pub tenant: TenantName,
    /// The device.
    pub device: DeviceId,
    /// When its identity was ended, if it was.
    pub revoked_at: Option<Timestamp>,
}

/// A decision to issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderRow {
    /// Its name.
    pub id: OrderId,
    /// Whose.
    pub tenant: TenantName,
    /// Where the certificate goes.
    pub slot: SlotId,
    /// What it must say.
    pub template: Template,
    /// The account that it counts against.
    pub account: Option<AccountName>,
    /// Why.
    pub because: Reason,
    /// The certificates that go once the new one is proven.
    pub replaces: Vec<Serial>,
    /// Since when.
    pub opened_at: Timestamp,
    /// What became of it.
    pub state: OrderState,
    /// What is about to be signed for it, or was.
    pub draft: Option<Draft>,
    /// The certificate to take over, if it lies on the device already.
    pub found: Option<Sha256>,
}

/// What became of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderState {
    /// Nothing yet.
    Open,
    /// A certificate.
    Fulfilled,
    /// Nothing ever: it was taken back.
    Cancelled,
}

/// What is about to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The serial number in it.
    pub serial: Serial,
    /// SHA-256 of the public key in it.
    pub public_key: Sha256,
    /// The exact bytes (TBSCertificate, DER).
    pub tbs: Vec<u8>,
    /// The shard whose revocation list they name.
    pub shard: Shard,
}

/// A certificate that has just been signed. Whose it is, where it goes, what it says and its key are those of its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The decision that it answers.
    pub order: OrderId,
    /// Its serial number: that of the order's draft.
    pub serial: Serial,
    /// The certificate, DER.
    pub der: Vec<u8>,
    /// SHA-256 of `der`.
    pub fingerprint: Sha256,
    /// First moment of validity.
    pub not_before: Timestamp,
    /// Last moment of validity.
    pub not_after: Timestamp,
    /// When it was signed.
    pub at: Timestamp,
}

/// A certificate that was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRow {
    /// Its serial number. Unique.
    pub serial: Serial,
    /// The decision that it answers. Unique.
    pub order: OrderId,
    /// Whose.
    pub tenant: TenantName,
    /// Where it was issued into.
    pub slot: SlotId,
    /// What it says.
    pub template: Template,
    /// The account that it counts against.
    pub account: Option<AccountName>,
    /// The certificate, DER.
    pub der: Vec<u8>,
    /// SHA-256 of `der`.
    pub fingerprint: Sha256,
    /// SHA-256 of its public key.
    pub public_key: Sha256,
    /// First moment of validity.
    pub not_before: Timestamp,
    /// Last moment of validity.
    pub not_after: Timestamp,
    /// When it was signed.
    pub issued_at: Timestamp,
    /// When its device said that it is in its stores.
    pub installed_at: Option<Timestamp>,
    /// When its device said that it answered over a real handshake.
    pub proven_at: Option<Timestamp>,
    /// When it was ordered off its device.
    pub retiring_at: Option<Timestamp>,
    /// When its device said that it is gone.
    pub retired_at: Option<Timestamp>,
    /// Since when it is invalid.
    pub revoked_at: Option<Timestamp>,
}

/// One of our certificate authorities.
#[derive(Debug, Clone)]
pub struct AuthorityRow {
    /// `None` for the server's own (agents' identities, the server's certificate).
    pub tenant: Option<TenantName>,
    /// The issuer's name, and which of its two authorities: `portal/root`, `portal/issuing`.
    pub name: String,
    /// DER.
    pub certificate: Vec<u8>,
    /// PKCS#8, sealed.
    pub sealed_key: Vec<u8>,
}

/// Which certificates are meant.
#[derive(Debug, Clone, Default)]
pub struct CertificateFilter {
    /// Only those of this clinic's slots.
    pub clinic: Option<ClinicName>,
    /// Only those of this device's slots.
    pub device: Option<DeviceId>,
    /// Only those that were not seen gone from their devices.
    pub present: bool,
}

/// For how long a clinic is one server's own: much longer than a turn takes, and short enough to be taken over from one that is gone.
pub const CLAIM: Duration = Duration::from_secs(15);

/// What the server needs from a database.
#[async_trait]
pub trait Store:
    access::TokenQueries
    + sessions::SessionQueries
    + backup::BackupQueries
    + log::LogQueries
    + approvals::ApprovalQueries
    + audit::personal::PersonalQueries
    + portal::PortalQueries
    + recovery::RecoveryQueries
    + telemetry::TelemetryQueries
    + Send
    + Sync
    + 'static
{
    /// Applies a batch. When this returns `Ok`, it survives a power cut; when it returns `Conflict`, nothing has changed.
    async fn commit(&self, batch: Batch) -> Result<(), StoreError>;

    /// Returns once the database has failed for good: from then on nothing is committed any more, and the process has to stop.
    async fn failed(&self);

    /// Waits until another server on the same database has changed something; for ever, where there can be no other. For one waiter.
    async fn overheard(&self) -> Signal;

    /// Tenants that have, or once had, a policy document.
    async fn tenants(&self) -> Result<Vec<TenantName>, StoreError>;
    /// Counts up with every change to the tenant's documents; 0 before the first.
    async fn policy_revision(&self, tenant: &TenantName) -> Result<u64, StoreError>;
    /// The documents in force, by kind and name.
    async fn documents(&self, tenant: &TenantName) -> Result<Vec<DocumentRow>, StoreError>;

    /// Clinics whose time has come, longest overdue first, at most `limit`. Where several servers share the database, each is given to one of
    /// them, until it says when the clinic is looked at next or has kept it for [`CLAIM`].
    async fn due(&self, now: Timestamp, limit: u32) -> Result<Vec<ClinicId>, StoreError>;
    /// When the next clinic is due, if any.
    async fn next_wake(&self) -> Result<Option<Timestamp>, StoreError>;
    /// When each clinic of a tenant is looked at next. Clinics that left policy but still have slots are in it.
    async fn clinics(&self, tenant: &TenantName) -> Result<BTreeMap<ClinicName, Option<Timestamp>>, StoreError>;
    /// What a turn starts from, as of one moment.
    async fn snapshot(&self, clinic: &ClinicId, history_since: Timestamp) -> Result<Snapshot, StoreError>;

    /// An enrolment code by its public part.
    async fn code(&self, handle: &str) -> Result<Option<CodeRow>, StoreError>;
    /// A device by its name, revoked or not.
    async fn device(&self, tenant: &TenantName, device: &DeviceId) -> Result<Option<DeviceRow>, StoreError>;
    /// Who asks for an order to be answered, by SHA-256 of its public key; nothing if it is nobody's key.
    async fn claim(&self, identity: &Sha256, order: &OrderId) -> Result<Option<Claim>, StoreError>;
    /// A device by SHA-256 of its public key, revoked or not.
    async fn device_by_identity(&self, identity: &Sha256) -> Result<Option<DeviceRow>, StoreError>;
    /// Every device of a tenant, by name, revoked or not.
    async fn devices(&self, tenant: &TenantName) -> Result<Vec<DeviceRow>, StoreError>;
    /// Every slot's newest order on one device that was not cancelled, whichever clinic it opens.
    async fn orders_on(&self, tenant: &TenantName, device: &DeviceId) -> Result<Vec<OrderRow>, StoreError>;
    /// Devices that stand in this clinic and hold, or held, slots of other clinics.
    async fn devices_away(&self, clinic: &ClinicId) -> Result<BTreeSet<DeviceId>, StoreError>;
    /// An order by its name.
    async fn order(&self, id: &OrderId) -> Result<Option<OrderRow>, StoreError>;
    /// A certificate by its serial number.
    async fn certificate(&self, serial: &Serial) -> Result<Option<CertificateRow>, StoreError>;
    /// The certificate that answers an order.
    async fn certificate_of_order(&self, id: &OrderId) -> Result<Option<CertificateRow>, StoreError>;
    /// A tenant's certificates by SHA-256 of their DER: several if a vendor's is on several devices.
    async fn certificates_by_fingerprint(&self, tenant: &TenantName, fingerprint: &Sha256) -> Result<Vec<CertificateRow>, StoreError>;
    /// The vendor's file that answers an order.
    async fn bundle(&self, order: &OrderId) -> Result<Option<Bundle>, StoreError>;
    /// The certificates of a tenant that pass the filter, oldest first.
    async fn certificates(&self, tenant: &TenantName, filter: CertificateFilter) -> Result<Vec<CertificateRow>, StoreError>;
    /// What an issuer has revoked in one shard, or everywhere, of that which lives until `alive_at` or longer: at most `limit`.
    async fn revoked(
        &self,
        tenant: &TenantName,
        issuer: &IssuerName,
        shard: Option<Shard>,
        alive_at: Timestamp,
        limit: u32,
    ) -> Result<Vec<RevokedRow>, StoreError>;
    /// A shard of an issuer, if it was begun; the newest one, if none is named.
    async fn shard(&self, tenant: &TenantName, issuer: &IssuerName, shard: Option<Shard>) -> Result<Option<ShardRow>, StoreError>;
    /// Some of the certificates of a shard that are valid now but for revocation, the oldest and the newest: serial numbers and DER.
    async fn sample(
        &self,
        tenant: &TenantName,
        issuer: &IssuerName,
        shard: Shard,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Serial, Vec<u8>)>, StoreError>;
    /// What is on record about a serial number; nothing if this issuer never signed for it.
    async fn verdict(&self, tenant: &TenantName, issuer: &IssuerName, serial: &Serial) -> Result<Option<Verdict>, StoreError>;
    /// The certificates of a tenant that are meant, neither revoked nor over, oldest first: at most `limit`.
    async fn selected(&self, tenant: &TenantName, selection: &Selection, now: Timestamp, limit: u32) -> Result<Vec<Selected>, StoreError>;
    /// The slots whose device signs in now, and could not without the certificates that are meant. One may come twice.
    async fn cut_off(&self, tenant: &TenantName, selection: &Selection, now: Timestamp) -> Result<Vec<SlotId>, StoreError>;
    /// The condemned certificates that are older than this one and in the same slot, and why they go.
    async fn condemned(&self, by: &Serial) -> Result<Vec<(Serial, Cause)>, StoreError>;
    /// Orders that have a draft but no certificate: what a crash left between two commits.
    async fn unsigned_drafts(&self) -> Result<Vec<OrderRow>, StoreError>;
    /// Installer files ordered off one device and not seen gone.
    async fn installers_to_remove(&self, tenant: &TenantName, device: &DeviceId) -> Result<Vec<FileHash>, StoreError>;

    /// Files that were ordered out of the way on one device, and are not gone.
    async fn installers_to_quarantine(&self, tenant: &TenantName, device: &DeviceId) -> Result<BTreeSet<Sha256>, StoreError>;
    /// Which of these files are on record, and what the device was recognised to have before.
    async fn files_on_record(&self, tenant: &TenantName, device: &DeviceId, files: &[Sha256]) -> Result<BTreeSet<Sha256>, StoreError>;
    /// Installer files that were removed from one device.
    async fn tombstones(&self, tenant: &TenantName, device: &DeviceId) -> Result<Vec<installers::Tombstone>, StoreError>;
    /// Devices on which a file with these contents was seen last.
    async fn devices_with_file(&self, tenant: &TenantName, sha256: &Sha256) -> Result<Vec<DeviceId>, StoreError>;

    /// The applications of a tenant, or of one of its clinics, in the order in which they were recorded.
    async fn applications(&self, tenant: &TenantName, clinic: Option<&ClinicName>) -> Result<Vec<ApplicationRow>, StoreError>;
    /// How often a PIN was tried on a file of a slot.
    async fn pin_tries(&self, tenant: &TenantName, slot: &SlotId, file: &Sha256) -> Result<u32, StoreError>;
    /// The newest rung that was told of each of these deadlines; what `asked` says of rungs does not count.
    async fn told(&self, tenant: &TenantName, asked: &[Told]) -> Result<Vec<Told>, StoreError>;
    /// What a tenant's clinics were told, newest first, at most `limit`.
    async fn letters(&self, tenant: &TenantName, clinic: Option<&ClinicName>, limit: u32) -> Result<Vec<LetterRow>, StoreError>;
    /// A letter by its name.
    async fn letter(&self, id: &str) -> Result<Option<LetterRow>, StoreError>;
    /// Who gets these letters.
    async fn deliveries_of(&self, letters: &[String]) -> Result<Vec<DeliveryRow>, StoreError>;
    /// Deliveries whose next try is due, longest overdue first, at most `limit`.
    async fn deliveries_due(&self, now: Timestamp, limit: u32) -> Result<Vec<DeliveryRow>, StoreError>;
    /// When the next delivery is tried, if any waits.
    async fn next_delivery(&self) -> Result<Option<Timestamp>, StoreError>;
    /// Which of a webhook's keys is in use, if one was ever shown.
    async fn webhook_key(&self, clinic: &ClinicId, url: &str) -> Result<Option<WebhookKeyRow>, StoreError>;
    /// Certificates on devices that expire, soonest first. What was revoked is not asked for.
    async fn expiring(&self, asked: &ExpiringQuery) -> Result<Vec<CertificateRow>, StoreError>;

    /// A tenant's authorities, or the server's own.
    async fn authorities(&self, tenant: Option<&TenantName>) -> Result<Vec<AuthorityRow>, StoreError>;

    /// The records that are asked for, oldest first.
    async fn records(&self, tenant: &TenantName, query: &AuditQuery) -> Result<Vec<Record>, StoreError>;
    /// The records that are asked for, by the index and by what it does not cover yet: oldest first.
    async fn search(&self, tenant: &TenantName, search: &audit::Search) -> Result<Vec<audit::Entry>, StoreError>;
    /// The number of a tenant's newest record.
    async fn newest(&self, tenant: &TenantName) -> Result<u64, StoreError>;
    /// Tenants that have records which the index does not cover, each with how far it goes.
    async fn indexes_behind(&self) -> Result<Vec<(TenantName, u64)>, StoreError>;
    /// Records after `after`, oldest first, at most `limit`.
    async fn audit(&self, tenant: &TenantName, after: u64, limit: u32) -> Result<Vec<Record>, StoreError> {
        self.records(tenant, &AuditQuery { part: Part::After(after), limit, object: None }).await
    }
}
