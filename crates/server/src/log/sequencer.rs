//! Adds records to their trees, in order, and signs what they come to.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tegata_api::v1::audit::Stage;
use tegata_core::name::TenantName;
use tegata_core::time::MINUTE;
use tegata_tlog::checkpoint::Checkpoint;
use tegata_tlog::entry;
use tegata_tlog::merkle::{Hash, leaf};
use tegata_tlog::note::Note;
use tegata_tlog::tile::{Edge, Tile};
use tokio_util::sync::CancellationToken;

use super::keys::LogKeys;
use super::root;
use crate::audit::{Ledger, TEGATA};
use crate::clock::Clock;
use crate::issuers::authorities::{INSTANCE, instance};
use crate::store::log::{Grown, HeadRow};
use crate::store::{Batch, Change, NewRecord, StoreError};

/// How long records gather before their tree grows. Nothing waits for it.
const GATHER: Duration = Duration::from_secs(1);
/// How long the installation's log may be silent: longer silence is a server that did not run.
const HEARTBEAT: Duration = MINUTE.saturating_mul(10);
/// How many records are added at once.
const RECORDS_MAX: u32 = 4_096;

/// Why a tree did not grow.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The database failed, or somebody else has let it grow.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is kept of the tree does not fit its size.
    #[error("the log of {0} is damaged: its tiles do not come to its checkpoint; restore the state from a backup")]
    Damaged(TenantName),
}

/// The one who lets trees grow.
pub struct Sequencer {
    /// Reads and records.
    pub ledger: Ledger,
    /// What time it is.
    pub clock: Clock,
    /// Signs.
    pub keys: Arc<LogKeys>,
}

impl Sequencer {
    /// Works until `stopping`, or until the database has failed for good.
    pub async fn run(self, stopping: CancellationToken) {
        let failed = async { self.ledger.store().failed().await };
        tokio::pin!(failed);
        // Nothing is signed over a past that nobody has put on record yet.
        tokio::select! {
            () = stopping.cancelled() => return,
            () = self.ledger.until_settled() => {}
        }
        while !stopping.is_cancelled() {
            match self.catch_up().await {
                // Another server on this database was faster.
                Ok(()) | Err(LogError::Store(StoreError::Conflict(_))) => {}
                Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "the log did not grow"),
            }
            tokio::select! {
                () = stopping.cancelled() => {}
                () = &mut failed => return,
                () = self.rest() => {}
            }
        }
        // What was done until the end is covered too.
        let _ = self.catch_up().await;
    }

    /// Waits for records, or says that there is still somebody here.
    async fn rest(&self) {
        if tokio::time::timeout(HEARTBEAT, self.ledger.appended()).await.is_err() {
            let beat = Batch { records: vec![self.record("log.heartbeat", TEGATA.into(), json!({}))], changes: vec![] };
            if let Err(error) = self.ledger.note(beat).await {
                tracing::error!(error = &error as &dyn std::error::Error, "no heartbeat was recorded");
            }
        }
        tokio::time::sleep(GATHER).await;
    }

    /// Lets every tree grow that lacks records.
    ///
    /// # Errors
    /// The first [`LogError`]; the other trees have grown all the same.
    pub async fn catch_up(&self) -> Result<(), LogError> {
        let mut outcome = Ok(());
        for tenant in self.ledger.store().logs_behind().await? {
            outcome = outcome.and(self.grow(&tenant).await);
        }
        // Checkpoints of tenants are its records.
        outcome.and(self.grow(&instance()).await)
    }

    async fn grow(&self, tenant: &TenantName) -> Result<(), LogError> {
        while self.add(tenant).await? == RECORDS_MAX as usize {}
        Ok(())
    }

    /// Adds the next records; gives how many there were.
    async fn add(&self, tenant: &TenantName) -> Result<usize, LogError> {
        let store = self.ledger.store();
        let head = store.log_head(tenant).await?;
        let from = head.as_ref().map_or(0, |head| head.size);
        let records = store.log_entries(tenant, from, RECORDS_MAX).await?;
        if records.is_empty() {
            return Ok(0);
        }
        let mut edge = self.edge(tenant, from).await?;
        if head.is_some_and(|head| root_of(&head) != Some(edge.tree().root())) {
            return Err(LogError::Damaged(tenant.clone()));
        }
        records.iter().for_each(|record| edge.push(leaf(&entry::of(record))));
        let (size, signed) = (edge.tree().size(), edge.tree().root());
        let tiles = edge.into_tiles();
        // The same root on another way, from what will be kept.
        let kept = |wanted| tiles.iter().find(|(tile, _)| *tile == wanted).map(|(_, hashes)| hashes.clone());
        if root(size, kept) != Some(signed) {
            return Err(LogError::Damaged(tenant.clone()));
        }
        self.sign(tenant, from, tiles, (size, signed)).await?;
        Ok(records.len())
    }

    async fn edge(&self, tenant: &TenantName, size: u64) -> Result<Edge, LogError> {
        let mut tiles = Vec::new();
        for tile in Edge::wanted(size) {
            tiles.push(self.ledger.store().log_tile(tenant, tile).await?);
        }
        Edge::new(size, tiles).ok_or_else(|| LogError::Damaged(tenant.clone()))
    }

    async fn sign(&self, tenant: &TenantName, from: u64, tiles: Vec<(Tile, Vec<Hash>)>, (size, root): (u64, Hash)) -> Result<(), LogError> {
        let head = HeadRow { size, note: self.keys.signed(tenant, size, root), at: self.clock.now() };
        let grown = Grown { tenant: tenant.clone(), from, tiles, head };
        let told = self.record("log.checkpoint", tenant.to_string(), json!({ "size": size, "root": root.to_string() }));
        let records = if tenant.as_str() == INSTANCE { vec![] } else { vec![told] };
        Ok(self.ledger.note(Batch { records, changes: vec![Change::GrowLog(grown)] }).await?)
    }

    fn record(&self, action: &'static str, object: String, details: Value) -> NewRecord {
        NewRecord { tenant: instance(), at: self.clock.now(), stage: Stage::Done, actor: TEGATA.into(), action, object, details }
    }
}

/// What a checkpoint says.
fn root_of(head: &HeadRow) -> Option<Hash> {
    let checkpoint: Checkpoint = head.note.parse::<Note>().ok()?.text().parse().ok()?;
    Some(checkpoint.root)
}
