//! The times that the database was put back from a backup.

use async_trait::async_trait;
use tegata_core::time::Timestamp;

use super::Database;
use super::changes::{Applied, guard, of_device};
use super::db::{Db, query};
use super::rows::{Columns, number};
use crate::store::recovery::{EpochRow, RecoveryChange, RecoveryQueries};
use crate::store::{OrderRow, StoreError};

/// How many portal certificates of one issuer may have been issued between a backup and its restoring.
const NUMBERS_LEFT_OUT: i64 = 1_000;

/// What can be used once may have been used since the backup was made, and whoever was signed in then may have been signed out.
const USED_ONCE: [&str; 6] = [
    "DELETE FROM codes",
    "DELETE FROM portal_codes",
    "DELETE FROM portal_sessions",
    "DELETE FROM portal_deliveries",
    "DELETE FROM approvals",
    "DELETE FROM sessions",
];

pub(super) async fn apply(db: &mut Db, change: &RecoveryChange) -> Applied {
    match change {
        RecoveryChange::Begin { at } => {
            let none_is_open =
                "INSERT INTO epochs (restored_at) SELECT $1 WHERE NOT EXISTS (SELECT 1 FROM epochs WHERE recorded_at IS NULL)";
            guard(query(none_is_open).bind(at.unix()).execute(db).await?, "an epoch is open already")
        }
        RecoveryChange::Record { at } => record(db, *at).await,
        RecoveryChange::Ahead { tenant, device, manifest } => {
            let ahead = "UPDATE devices SET manifest = $4, generation = $5
                WHERE tenant = $1 AND home = $2 AND device = $3 AND generation < $5";
            let manifest_text = serde_json::to_string(manifest).expect("a manifest is plain data");
            let ahead = of_device(ahead, tenant, device).bind(manifest_text).bind(number(manifest.generation));
            guard(ahead.execute(db).await?, "the device is not ahead")
        }
    }
}

async fn record(db: &mut Db, at: Timestamp) -> Applied {
    let end = query("UPDATE epochs SET recorded_at = $1 WHERE recorded_at IS NULL").bind(at.unix());
    guard(end.execute(&mut *db).await?, "no epoch is open")?;
    for forget in USED_ONCE {
        query(forget).execute(&mut *db).await?;
    }
    let skip = "INSERT INTO portal_numbers (tenant, issuer, n)
        SELECT tenant, issuer, (SELECT coalesce(max(n), 0) FROM portal_certificates AS given
            WHERE given.tenant = own.tenant AND given.issuer = own.issuer) + $1
        FROM (SELECT tenant, replace(name, '/issuing', '') AS issuer FROM authorities WHERE tenant <> '' AND name LIKE '%/issuing') AS own
        WHERE true
        ON CONFLICT (tenant, issuer) DO UPDATE SET n = max(excluded.n, portal_numbers.n + $1)";
    query(skip).bind(NUMBERS_LEFT_OUT).execute(&mut *db).await?;
    query("UPDATE clinics SET wake_at = $1, nudges = nudges + 1").bind(at.unix()).execute(db).await?;
    Ok(())
}

#[async_trait]
impl RecoveryQueries for Database {
    async fn epochs(&self) -> Result<Vec<EpochRow>, StoreError> {
        self.all("epochs", query("SELECT * FROM epochs ORDER BY number"), epoch).await
    }

    async fn open_orders(&self) -> Result<Vec<OrderRow>, StoreError> {
        self.all("orders", query("SELECT * FROM orders WHERE state = 0 ORDER BY number"), Columns::order).await
    }
}

fn epoch(row: &Columns) -> Result<EpochRow, StoreError> {
    Ok(EpochRow {
        number: row.count("number")?,
        backed_up_at: row.optional_moment("backed_up_at")?,
        restored_at: row.moment("restored_at")?,
        recorded_at: row.optional_moment("recorded_at")?,
    })
}
