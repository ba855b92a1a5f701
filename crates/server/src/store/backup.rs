//! What is kept of sealed backups, and of their copies in targets.

use async_trait::async_trait;
use tegata_core::backup::{Copy, Trouble};
use tegata_core::name::{BackupId, OrderId, Sha256, SlotId, TargetName, TenantName};
use tegata_core::time::Timestamp;

use crate::store::StoreError;

/// What was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A vendor's file, its name and its password.
    File,
    /// monsiaj's certificates, passwords and settings on one device.
    Monsiaj,
}

/// A sealed backup, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupRow {
    /// What its objects are called.
    pub id: BackupId,
    /// Whose.
    pub tenant: TenantName,
    /// The slot that it is of.
    pub slot: SlotId,
    /// What was sealed.
    pub kind: Kind,
    /// The order whose certificate it belongs to.
    pub order: OrderId,
    /// SHA-256 of that certificate's DER.
    pub fingerprint: Sha256,
    /// Who can open it, as far as that was written down: age recipients.
    pub recipients: Vec<String>,
    /// When it came, sealed.
    pub sealed_at: Timestamp,
    /// When its certificate expires.
    pub not_after: Timestamp,
    /// Why it is of no use to anybody, wherever it lies, if a person has found that out.
    pub useless: Option<Trouble>,
}

/// A read that somebody has asked for, where it takes two people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRow {
    /// What people call it.
    pub id: String,
    /// Whose.
    pub tenant: TenantName,
    /// A backup of which slot.
    pub slot: SlotId,
    /// Who asked.
    pub asked_by: String,
    /// Until when somebody else may agree, and the first may read.
    pub expires_at: Timestamp,
    /// Who agreed.
    pub approved_by: Option<String>,
    /// When it was read.
    pub used_at: Option<Timestamp>,
}

/// A backup to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBackup {
    /// What it is.
    pub row: BackupRow,
    /// An age file.
    pub sealed: Vec<u8>,
}

/// A backup in a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyRow {
    /// The backup.
    pub backup: BackupRow,
    /// The target.
    pub target: TargetName,
    /// SHA-256 of where that is: a copy in another place is another copy.
    pub place: Sha256,
    /// When it was put there.
    pub stored_at: Option<Timestamp>,
    /// When it was last read back and found whole.
    pub verified_at: Option<Timestamp>,
    /// When a person last opened it, and found the certificate's key.
    pub opened_at: Option<Timestamp>,
    /// True once it was taken away.
    pub is_gone: bool,
    /// True once a newer backup of the same thing was read back from the same target.
    pub superseded: bool,
    /// Why the last try failed.
    pub trouble: Option<Trouble>,
    /// Tries since it was last found whole.
    pub attempts: u32,
    /// When it is looked at next.
    pub at: Option<Timestamp>,
}

impl CopyRow {
    /// As much of it as decides what is done.
    pub fn copy(&self) -> Copy {
        Copy { verified_at: self.verified_at, not_after: self.backup.not_after, superseded: self.superseded }
    }
}

/// A backup and its copies, as a turn reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backed {
    /// The backup.
    pub backup: BackupRow,
    /// What is known of it in each target.
    pub copies: Vec<CopyRow>,
}

/// What became of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was read back and found whole; `next` is when it is looked at again.
    Whole {
        /// When it is looked at again.
        next: Timestamp,
    },
    /// It failed. It is tried again as counted.
    Failed(Trouble),
    /// What had been there is not, or is something else: it has to be put there again, at once.
    Lost(Trouble),
    /// It was taken away.
    Removed,
}

/// What happens to backups and their copies.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "each variant is explained as a whole")]
pub enum BackupChange {
    /// Keeps a backup.
    Keep(Box<NewBackup>),
    /// A copy is to be put into a target, at this place. One that was at another place counts as not stored.
    Order { backup: BackupId, target: TargetName, place: Sha256, at: Timestamp },
    /// Counts a try before it is made; `next` is when it is made again if nothing more is heard of it. Guard: this is its next try.
    Try { backup: BackupId, target: TargetName, attempt: u32, next: Timestamp },
    /// Notes what became of a try. What was taken away from everywhere is forgotten. Guard: it was ordered, and is at this place still.
    End { backup: BackupId, target: TargetName, place: Sha256, outcome: Outcome, at: Timestamp },
    /// A person opened a copy, and found the certificate's key. Guard: it is at this place still.
    Opened { backup: BackupId, target: TargetName, place: Sha256, at: Timestamp },
    /// A person found out that a backup is of no use to anybody.
    Useless { backup: BackupId, because: Trouble },
    /// Somebody asks to read a backup.
    AskRead(ReadRow),
    /// Somebody else agrees. Guard: nobody did before, and it was not read yet.
    ApproveRead { id: String, by: String },
    /// It is read. Guard: somebody agreed, and it was not read yet.
    UseRead { id: String, at: Timestamp },
    /// Forgets a copy whose target policy does not name any more.
    Forget { backup: BackupId, target: TargetName },
}

/// What can be asked about reads that take two people.
#[async_trait]
pub trait ReadQueries {
    /// One of them.
    async fn read_asked(&self, tenant: &TenantName, id: &str) -> Result<Option<ReadRow>, StoreError>;
    /// Those of a slot.
    async fn reads_of(&self, tenant: &TenantName, slot: &SlotId) -> Result<Vec<ReadRow>, StoreError>;
}
