//! The audit log, and the proof that something is in it.
//!
//! [`Recorded`] can be minted only here, and only after the database has said that the record is durable. Whatever has an
//! effect outside the database takes a `Recorded`: no effect without a record, enforced by the compiler.

use std::sync::Arc;

use tegata_core::name::{TargetName, TenantName};
use tegata_core::policy::Tenant;
use tegata_core::time::Timestamp;
use tokio::sync::{Notify, watch};

use crate::policy::{Policies, PolicyError};
use crate::recovery::{self, History};
use crate::store::backup::CopyRow;
use crate::store::notices::DeliveryRow;
use crate::store::{Batch, Store, StoreError};
use crate::telemetry::instruments::{Instruments, Tally};

/// The actor of everything that no person and no device has asked for.
pub const TEGATA: &str = "tegata";

/// Proof that the intention to do `T` is on record, durably.
///
/// It cannot be made up:
///
/// ```compile_fail
/// let forged = tegata_server::audit::Recorded("revoke everything");
/// ```
#[derive(Debug)]
pub struct Recorded<T>(T);

impl<T> Recorded<T> {
    /// What was recorded.
    pub fn get(&self) -> &T {
        &self.0
    }

    /// Gives up the proof for what it proves.
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// The one way to change anything.
#[derive(Clone)]
pub struct Ledger {
    store: Arc<dyn Store>,
    policies: Policies,
    appended: Arc<Notify>,
    unindexed: Arc<Notify>,
    unexported: Arc<Notify>,
    history: watch::Sender<History>,
    instruments: Instruments,
}

impl Ledger {
    /// Writes to `store`, as its past allows.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn open(store: Arc<dyn Store>) -> Result<Self, StoreError> {
        let history = History::of(&store.epochs().await?);
        Ok(Self {
            store,
            policies: Policies::default(),
            appended: Arc::default(),
            unindexed: Arc::default(),
            unexported: Arc::default(),
            history: watch::Sender::new(history),
            instruments: Instruments::default(),
        })
    }

    /// The same ledger, counting what becomes durable through it.
    #[must_use]
    pub fn counting(self, instruments: Instruments) -> Self {
        Self { instruments, ..self }
    }

    /// What is known of the database's past.
    #[must_use]
    pub fn history(&self) -> History {
        *self.history.borrow()
    }

    /// Refuses while nothing may be given out.
    ///
    /// # Errors
    /// [`StoreError::Recovering`].
    pub fn expect_settled(&self) -> Result<(), StoreError> {
        if self.history().is_open { Err(StoreError::Recovering) } else { Ok(()) }
    }

    /// Returns once work may begin: at once, unless the database was put back and nobody has put that on record yet.
    pub async fn until_settled(&self) {
        // It cannot be closed: the sender is our own.
        let _ = self.history.subscribe().wait_for(|history| !history.is_open).await;
    }

    /// The epoch is on record.
    pub(crate) fn settle(&self, history: History) {
        self.history.send_replace(history);
    }

    fn admit(&self, batch: &Batch) -> Result<(), StoreError> {
        if recovery::is_safe(batch) { Ok(()) } else { self.expect_settled() }
    }

    /// Commits a batch that announces `what`; gives the proof once it is durable.
    pub async fn record<T>(&self, what: T, batch: Batch) -> Result<Recorded<T>, StoreError> {
        debug_assert!(!batch.records.is_empty(), "a proof needs a record");
        self.note(batch).await?;
        Ok(Recorded(what))
    }

    /// The proof for an empty list: nothing was decided, so nothing is on record and nothing can be carried out.
    pub fn nothing<T>(&self) -> Recorded<Vec<T>> {
        Recorded(Vec::new())
    }

    /// Deliveries whose next try is due. None is in the database without the record that announced it: a letter and its record are one
    /// commit.
    pub async fn deliveries_due(&self, now: Timestamp, limit: u32) -> Result<Vec<Recorded<DeliveryRow>>, StoreError> {
        Ok(self.store.deliveries_due(now, limit).await?.into_iter().map(Recorded).collect())
    }

    /// Copies that are to be looked at. None is in the database without the record that announced it: they are one commit.
    pub async fn copies_due(
        &self,
        (tenant, target): (&TenantName, &TargetName),
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Recorded<CopyRow>>, StoreError> {
        Ok(self.store.copies_due(tenant, target, now, limit).await?.into_iter().map(Recorded).collect())
    }

    /// Commits changes that need no proof: what was heard, seen or asked.
    pub async fn note(&self, batch: Batch) -> Result<(), StoreError> {
        self.admit(&batch)?;
        let (has_records, tally) = (!batch.records.is_empty(), Tally::of(&batch.records));
        self.store.commit(batch).await?;
        self.instruments.count(tally);
        if has_records {
            self.hear_of_records();
        }
        Ok(())
    }

    /// Another server has written records.
    pub(crate) fn hear_of_records(&self) {
        self.appended.notify_one();
        self.unindexed.notify_one();
        self.unexported.notify_one();
    }

    /// Waits until there are new records; returns at once if there were since the last wait. For one waiter.
    pub async fn appended(&self) {
        self.appended.notified().await;
    }

    /// As [`appended`](Self::appended), for whoever keeps the index.
    pub async fn unindexed(&self) {
        self.unindexed.notified().await;
    }

    /// As [`appended`](Self::appended), for whoever exports records.
    pub async fn unexported(&self) {
        self.unexported.notified().await;
    }

    /// A tenant's policy as it is in force now. Parsed once for each revision of its documents.
    pub async fn policy(&self, tenant: &TenantName) -> Result<Arc<Tenant>, PolicyError> {
        self.policies.at(self.store(), tenant).await
    }

    /// For reading.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }
}
