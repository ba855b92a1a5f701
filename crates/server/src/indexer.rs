//! Lets the index of the audit log follow its records: soon after the act, never within it, and from the bytes that are kept.
//!
//! How far it is behind changes nothing but the time that an answer takes. A database without an index, such as one of an earlier version,
//! is one that is far behind.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::audit::Ledger;
use crate::store::audit::Indexed;
use crate::store::{Batch, Change, StoreError};

/// How long records gather. Nothing waits for it.
const GATHER: Duration = Duration::from_secs(1);
/// How many records are added in one commit: others commit in between.
const RECORDS_MAX: u32 = 1_024;

/// Works until `stopping`, or until the database has failed for good.
pub async fn run(ledger: Ledger, stopping: CancellationToken) {
    while !stopping.is_cancelled() {
        let work = async {
            match catch_up(&ledger).await {
                // Another server on this database was faster.
                Ok(()) | Err(StoreError::Conflict(_)) => {}
                Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "the index of the audit log did not grow"),
            }
            ledger.unindexed().await;
            tokio::time::sleep(GATHER).await;
        };
        tokio::select! {
            () = stopping.cancelled() => return,
            () = ledger.store().failed() => return,
            () = work => {}
        }
    }
}

/// Adds every record that the index lacks.
///
/// # Errors
/// If the database fails, or holds what is no record.
pub async fn catch_up(ledger: &Ledger) -> Result<(), StoreError> {
    for (tenant, mut from) in ledger.store().indexes_behind().await? {
        loop {
            let records = ledger.store().log_entries(&tenant, from, RECORDS_MAX).await?;
            if records.is_empty() {
                break;
            }
            let gained = Indexed::of(&tenant, from, &records);
            let gained = gained.map_err(|source| StoreError::Corrupt { place: "audit", source: source.into() })?;
            from = gained.through;
            ledger.note(Batch { records: vec![], changes: vec![Change::Index(gained)] }).await?;
        }
    }
    Ok(())
}
