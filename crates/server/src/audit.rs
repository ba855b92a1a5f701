//! The audit log, and the proof that something is in it.
//!
//! [`Recorded`] can be minted only here, and only after the database has said that the record is durable. Whatever has an
//! effect outside the database takes a `Recorded`: no effect without a record, enforced by the compiler.

use std::sync::Arc;

use tegata_core::name::{TargetName, TenantName};
use tegata_core::policy::Tenant;
use tegata_core::time::Timestamp;

use crate::policy::{Policies, PolicyError};
use crate::store::backup::CopyRow;
use crate::store::notices::DeliveryRow;
use crate::store::{Batch, Store, StoreError};

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
}

impl Ledger {
    /// Writes to `store`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, policies: Policies::default() }
    }

    /// Commits a batch that announces `what`; gives the proof once it is durable.
    pub async fn record<T>(&self, what: T, batch: Batch) -> Result<Recorded<T>, StoreError> {
        debug_assert!(!batch.records.is_empty(), "a proof needs a record");
        self.store.commit(batch).await?;
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
        self.store.commit(batch).await
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
