//! A database outside of any server: copied while one works, looked through, and put back.

use std::path::Path;

use sqlx::{ConnectOptions, Connection};
use tegata_core::name::TenantName;
use tegata_core::time::Timestamp;

use super::super::db::{Db, Source, query};
use super::super::rows::Columns;
use super::super::{all, database, index};
use super::settings;
use crate::store::{AuthorityRow, StoreError};

/// What was found in a database.
#[derive(Debug)]
pub struct Found {
    /// What SQLite has to say against it, at most a few lines; empty if it is whole.
    pub damages: Vec<String>,
    /// The audit log of each tenant.
    pub logs: Vec<Log>,
    /// Every authority, the server's own included.
    pub authorities: Vec<AuthorityRow>,
}

/// The audit log of one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Whose.
    pub tenant: TenantName,
    /// The number of its last record.
    pub last: u64,
    /// True if it has every record from 1 on, each under its own number.
    pub is_whole: bool,
}

/// Copies a database as it is at one moment, however much is written meanwhile. `to` must not be there.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    let mut db = settings::reader(from).connect().await.map_err(database)?;
    let copied = sqlx::query("VACUUM INTO ?").bind(to.to_string_lossy().into_owned()).execute(&mut db).await;
    db.close().await.map_err(database)?;
    copied.map(drop).map_err(database)
}

/// Looks through a database that nobody writes to.
///
/// # Errors
/// [`StoreError`]: it cannot be read at all.
pub async fn look_through(path: &Path) -> Result<Found, StoreError> {
    let mut db = Db::Sqlite(settings::reader(path).connect().await.map_err(database)?);
    let found = find(&mut db).await;
    db.close().await.map_err(database)?;
    found
}

async fn find(db: &mut Db) -> Result<Found, StoreError> {
    let said = db.rows(query("PRAGMA integrity_check(5)")).await.map_err(database)?;
    let said: Result<Vec<String>, _> = said.iter().map(|row| row.text("integrity_check")).collect();
    let mut damages: Vec<String> = said.map_err(database)?.into_iter().filter(|line| line != "ok").collect();
    let orphans = db.rows(query("PRAGMA foreign_key_check")).await.map_err(database)?;
    damages.extend((!orphans.is_empty()).then(|| format!("{} rows refer to nothing", orphans.len())));
    let logs = query(
        "SELECT tenant, max(sequence) AS last,
            min(sequence) = 1 AND count(*) = max(sequence) AND min(sequence = record ->> 'sequence') AS is_whole
        FROM audit GROUP BY tenant ORDER BY tenant",
    );
    let log = |row: &Columns| Ok(Log { tenant: row.tenant()?, last: row.count("last")?, is_whole: row.flag("is_whole")? });
    let logs = all(&mut *db, "audit", logs, log).await?;
    let authorities = all(db, "authorities", query("SELECT * FROM authorities ORDER BY tenant, name"), Columns::authority).await?;
    Ok(Found { damages, logs, authorities })
}

/// Brings a copy up to date, and notes in it that it is one: whoever serves from it gives nothing out until that is on record.
///
/// # Errors
/// [`StoreError`]: among others, if it was made by a newer version.
pub async fn begin_epoch(path: &Path, backed_up_at: Timestamp, now: Timestamp) -> Result<(), StoreError> {
    let mut db = Db::Sqlite(super::opened(&settings::writer(path)).await?);
    // Nobody has looked through it, and it is made anew from the records.
    index::forget(&mut db).await?;
    let begin = query("INSERT INTO epochs (backed_up_at, restored_at) VALUES ($1, $2)").bind(backed_up_at.unix()).bind(now.unix());
    begin.execute(&mut db).await.map_err(database)?;
    // The last one out puts the log back into the file.
    db.close().await.map_err(database)
}

/// Changes a copy as nobody should.
#[cfg(test)]
pub(crate) async fn forge(path: &Path, sql: &'static str) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let mut db = options.connect().await.unwrap();
    for trigger in ["audit_is_append_only_update", "audit_is_append_only_delete"] {
        sqlx::query(sqlx::AssertSqlSafe(format!("DROP TRIGGER {trigger}"))).execute(&mut db).await.unwrap();
    }
    sqlx::query(sql).execute(&mut db).await.unwrap();
    db.close().await.unwrap();
}
