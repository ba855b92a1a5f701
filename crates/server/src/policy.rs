//! The policy documents that are in force: loading, previewing and applying them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tegata_api::v1::fleet::{ApplyRequest, Documents, Preview};
use tegata_api::v1::problem::Finding;
use tegata_core::name::TenantName;
use tegata_core::policy::Tenant;
use tegata_core::time::Timestamp;

use crate::audit::Ledger;
use crate::bells::Bells;
use crate::store::{Store, StoreError};

/// Why a tenant's policy cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored was acceptable once and is not any more. Applying corrected documents heals it.
    #[error("the stored policy of tenant {tenant} is not acceptable any more ({} findings)", findings.len())]
    Stored {
        /// Whose.
        tenant: TenantName,
        /// What is wrong.
        findings: Vec<Finding>,
    },
}

/// Why documents were not applied. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Something is wrong with them: everything that was found.
    #[error("the documents have {} errors", .0.len())]
    Invalid(Vec<Finding>),
    /// Devices could no longer sign in, more of them than the caller allowed.
    #[error("{} devices could no longer sign in", .0.locked_out.len())]
    WouldLockOut(Preview),
    /// The database failed, or somebody else applied documents at the same moment.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The policy of every tenant that was asked for, remembered for as long as no document of it changes.
#[derive(Clone, Default)]
pub struct Policies(Arc<Mutex<HashMap<TenantName, (u64, Arc<Tenant>)>>>);

impl Policies {
    /// The policy of one tenant as it is now.
    pub async fn at(&self, store: &dyn Store, name: &TenantName) -> Result<Arc<Tenant>, PolicyError> {
        let revision = store.policy_revision(name).await?;
        if let Some((_, known)) = self.known().get(name).filter(|(known, _)| *known == revision) {
            return Ok(known.clone());
        }
        // Read after the revision was: documents that changed in between are newer than the number kept here, so the next call reads again.
        let policy = Arc::new(tenant(store, name).await?);
        self.known().insert(name.clone(), (revision, policy.clone()));
        Ok(policy)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<TenantName, (u64, Arc<Tenant>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything that a tenant declared, put together from the stored documents. [`Ledger::policy`] is the same, remembered.
pub async fn tenant(store: &dyn Store, tenant: &TenantName) -> Result<Tenant, PolicyError> {
    let _ = (store, tenant);
    todo!()
}

/// What applying these documents would do.
pub async fn preview(ledger: &Ledger, tenant: &TenantName, documents: &Documents, now: Timestamp) -> Result<Preview, ApplyError> {
    let _ = (ledger, tenant, documents, now);
    todo!()
}

/// Applies documents, all or none.
pub async fn apply(
    ledger: &Ledger,
    bells: &Bells,
    tenant: &TenantName,
    request: &ApplyRequest,
    author: &str,
    now: Timestamp,
) -> Result<Preview, ApplyError> {
    let _ = (ledger, bells, tenant, request, author, now);
    todo!()
}
