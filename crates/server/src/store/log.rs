//! What is derived from a tenant's records, so that nobody has to trust the server about them: tiles of hashes, and the newest checkpoint.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tegata_core::name::TenantName;
use tegata_core::time::Timestamp;
use tegata_tlog::merkle::Hash;
use tegata_tlog::tile::Tile;

use crate::store::StoreError;

/// What can be asked about logs.
#[async_trait]
pub trait LogQueries: Send + Sync {
    /// Tenants that have records which their log does not cover yet.
    async fn logs_behind(&self) -> Result<Vec<TenantName>, StoreError>;
    /// The newest checkpoint of a tenant's log, if there is one.
    async fn log_head(&self, tenant: &TenantName) -> Result<Option<HeadRow>, StoreError>;
    /// The hashes of a tile, as many as there are.
    async fn log_tile(&self, tenant: &TenantName, tile: Tile) -> Result<Vec<Hash>, StoreError>;
    /// The exact bytes of the records after `after`, oldest first, at most `limit`.
    async fn log_entries(&self, tenant: &TenantName, after: u64, limit: u32) -> Result<Vec<String>, StoreError>;
    /// Logs whose newest checkpoint no quorum of witnesses has cosigned, or only before `before`.
    async fn logs_unseen(&self, before: Timestamp) -> Result<Vec<UnseenRow>, StoreError>;
    /// The newest checkpoint of a tenant's log that a quorum of witnesses has cosigned.
    async fn log_cosigned(&self, tenant: &TenantName) -> Result<Option<CosignedRow>, StoreError>;
    /// Logs that are on record as unwitnessed, and since when no quorum has vouched for them.
    async fn log_alarms(&self) -> Result<BTreeMap<TenantName, Timestamp>, StoreError>;
    /// What witnesses have said about a tenant's log.
    async fn log_witnesses(&self, tenant: &TenantName) -> Result<Vec<WitnessRow>, StoreError>;
}

/// The newest checkpoint of a tenant's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadRow {
    /// How many records it covers: those with sequence numbers from 1 to this.
    pub size: u64,
    /// The signed note.
    pub note: String,
    /// When it was signed.
    pub at: Timestamp,
}

/// A tree that has grown.
#[derive(Debug, Clone)]
pub struct Grown {
    /// Whose.
    pub tenant: TenantName,
    /// How many records it covered before.
    pub from: u64,
    /// Every tile that is new or longer than before, whole.
    pub tiles: Vec<(Tile, Vec<Hash>)>,
    /// The checkpoint over it.
    pub head: HeadRow,
}

/// A log that witnesses are to be asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnseenRow {
    /// Whose.
    pub tenant: TenantName,
    /// Its newest checkpoint.
    pub head: HeadRow,
    /// When a quorum of them has vouched for an earlier one, or for this one.
    pub seen: Option<Timestamp>,
}

/// A checkpoint that a quorum of witnesses has cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CosignedRow {
    /// How many records it covers.
    pub size: u64,
    /// The note, with the log's signature and theirs.
    pub note: String,
    /// When that was, by the server's clock; in the note are their own times.
    pub seen: Timestamp,
}

/// What a witness has said about a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessRow {
    /// Its key, as signed notes write it.
    pub witness: String,
    /// The size that it has cosigned last.
    pub size: u64,
    /// When, by the server's clock; nothing if it never did.
    pub seen: Option<Timestamp>,
    /// Why it did not, the last time that it did not, and when that was.
    pub problem: Option<(String, Timestamp)>,
}

/// That it goes on record that a log is unwitnessed, or that it is so no more.
#[derive(Debug, Clone)]
pub struct Alarm {
    /// Whose.
    pub tenant: TenantName,
    /// Since when; `None`: it is over.
    pub since: Option<Timestamp>,
}

/// What came of asking about one log.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Whose.
    pub tenant: TenantName,
    /// What a quorum has cosigned, if it did. One that covers fewer records than what is kept changes nothing.
    pub cosigned: Option<CosignedRow>,
    /// What each said.
    pub told: Vec<WitnessRow>,
}
