//! What is kept of sealed backups, and of their copies in targets.

use async_trait::async_trait;
use tegata_core::backup::{Copy, Keepers, Newer, Trouble};
use tegata_core::name::{BackupId, ClinicName, OrderId, Sha256, SlotId, TargetName, TenantName};
use tegata_core::time::Timestamp;

use super::StoreError;

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
    /// Who can open it, as far as that was written down.
    pub keepers: Keepers,
    /// When it came, sealed.
    pub sealed_at: Timestamp,
    /// When its certificate expires.
    pub not_after: Timestamp,
    /// Why it is of no use to anybody, wherever it lies, if a person has found that out.
    pub useless: Option<Trouble>,
    /// True once its bytes were dropped: it had landed nowhere, and too many newer ones came.
    pub is_emptied: bool,
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
    /// Newer backups of the same thing that were read back from the same place, and who can open each.
    pub newer: Vec<(Newer, Keepers)>,
    /// Why the last try failed.
    pub trouble: Option<Trouble>,
    /// Tries since it was last found whole.
    pub attempts: u32,
    /// When it is looked at next.
    pub at: Option<Timestamp>,
}

impl CopyRow {
    /// As much of it as decides what is done, where these people are to be able to open it.
    pub fn copy(&self, wanted: &Keepers) -> Copy {
        let newer = self.newer.iter().filter(|(_, known)| known.lacks(wanted).is_none()).map(|(newer, _)| *newer).collect();
        Copy { verified_at: self.verified_at, not_after: self.backup.not_after, newer }
    }

    /// True if it can be relied on.
    pub fn is_whole(&self, now: Timestamp) -> bool {
        self.copy(&Keepers::each(vec![])).is_whole(now)
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
    /// Forgets a copy at a place that policy does not name any more. Guard: it is known there.
    Forget { backup: BackupId, target: TargetName, place: Sha256 },
    /// Forgets a backup that lies nowhere and is wanted nowhere.
    Drop { backup: BackupId },
    /// Notes that a place was worked with.
    Mark { place: Sha256, at: Timestamp },
}

/// What is asked of a store about backups.
#[async_trait]
pub trait BackupQueries {
    /// The backups of a tenant, or of one of its clinics, with their copies, oldest first.
    async fn backups(&self, tenant: &TenantName, clinic: Option<&ClinicName>) -> Result<Vec<Backed>, StoreError>;
    /// The newest backup of this kind of a slot; one that is useless only if there is no other.
    async fn newest_backup(&self, tenant: &TenantName, slot: &SlotId, kind: Kind) -> Result<Option<BackupRow>, StoreError>;
    /// One backup of a tenant.
    async fn backup(&self, tenant: &TenantName, backup: &BackupId) -> Result<Option<BackupRow>, StoreError>;
    /// When the backups of this kind of a slot came, those of at least `since`.
    async fn backups_since(&self, tenant: &TenantName, slot: &SlotId, kind: Kind, since: Timestamp) -> Result<Vec<Timestamp>, StoreError>;
    /// Backups that lie nowhere and whose certificates expired before `before`, at most `limit`.
    async fn stray_backups(&self, before: Timestamp, limit: u32) -> Result<Vec<BackupRow>, StoreError>;
    /// True if a place was worked with.
    async fn is_marked(&self, place: &Sha256) -> Result<bool, StoreError>;
    /// What was sealed, as it came.
    async fn sealed_backup(&self, backup: &BackupId) -> Result<Option<Vec<u8>>, StoreError>;
    /// Targets with copies that are to be looked at.
    async fn targets_due(&self, now: Timestamp) -> Result<Vec<(TenantName, TargetName)>, StoreError>;
    /// Copies in a target that are to be looked at, longest overdue first, at most `limit`.
    async fn copies_due(&self, tenant: &TenantName, target: &TargetName, now: Timestamp, limit: u32) -> Result<Vec<CopyRow>, StoreError>;
    /// When the next copy is looked at after `now`, if any is.
    async fn next_copy(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError>;
}
