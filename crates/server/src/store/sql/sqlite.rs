//! The store in one SQLite file.

pub mod archive;
mod settings;
#[cfg(test)]
pub(crate) mod tests;

use std::path::Path;

use async_trait::async_trait;
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqlitePoolOptions};

use super::db::{Db, Pool, Source, query};
use super::group::{self, Tails};
use super::writer::{Keeper, Outcome, Request, Uncommitted, Writer};
use super::{Database, database, index};
use crate::store::{Change, StoreError};

/// How many reads run at the same time.
const READERS: u32 = 4;

/// After how many changed rows the log is copied into the database, once nobody waits.
const CHECKPOINT_AFTER: usize = 5_000;
/// After how many it is copied even though somebody waits.
const CHECKPOINT_BY: usize = 40_000;
/// How many pages (4 KiB) the log may have before readers are waited for, so that it can begin anew.
const LOG_PAGES_MAX: i64 = 16_384;

/// For readers of an older state, once something was erased.
const WAIT_SHORTLY: &str = "PRAGMA busy_timeout = 1000";
/// As the connection was opened.
const WAIT_LONG: &str = "PRAGMA busy_timeout = 30000";

impl Database {
    /// Opens the database at `path`, made if it is not there, and brings its schema up to date.
    ///
    /// Refuses settings that would not survive a power cut. To be called inside a Tokio runtime.
    ///
    /// # Errors
    /// [`StoreError::Unsafe`], [`StoreError::Database`].
    pub async fn sqlite(path: &Path) -> Result<Self, StoreError> {
        Self::sqlite_with(settings::writer(path), path).await
    }

    async fn sqlite_with(options: SqliteConnectOptions, path: &Path) -> Result<Self, StoreError> {
        let mut db = Db::Sqlite(opened(&options).await?);
        index::forget_others(&mut db).await?;
        let readers = SqlitePoolOptions::new().max_connections(READERS).idle_timeout(None).max_lifetime(None).test_before_acquire(false);
        let readers = Pool::Sqlite(readers.connect_lazy_with(settings::reader(path)));
        let file = File { db, tails: Tails::default(), since_checkpoint: 0, is_soiled: false };
        Ok(Self::begin(|queue, failed| Writer::new(file, queue, failed), readers, None))
    }
}

/// [`opened`], as a server opens it.
pub(super) async fn opened_at(path: &Path) -> Result<SqliteConnection, StoreError> {
    opened(&settings::writer(path).create_if_missing(false)).await
}

/// A connection that writes to a database of this version.
async fn opened(options: &SqliteConnectOptions) -> Result<SqliteConnection, StoreError> {
    let mut db = options.connect().await.map_err(database)?;
    settings::check(&mut db).await?;
    // Not `run`: rustc cannot see that its future is `Send`, and sqlx offers this way around.
    let migrated = sqlx::migrate!("migrations/sqlite").run_direct(None, &mut db, false).await;
    migrated.map_err(|error| database(sqlx::Error::Migrate(Box::new(error))))?;
    Ok(db)
}

/// The writer's side of the file.
struct File {
    db: Db,
    /// Nobody else writes: they are known from one commit to the next.
    tails: Tails,
    since_checkpoint: usize,
    /// True while the database's log may still hold texts that were erased.
    is_soiled: bool,
}

#[async_trait]
impl Keeper for File {
    async fn commit(&mut self, group: &[Request]) -> Result<Vec<Outcome>, Uncommitted> {
        self.since_checkpoint += group.iter().map(|request| request.batch.rows()).sum::<usize>();
        let is_soiling = group.iter().flat_map(|request| &request.batch.changes).any(|change| matches!(change, Change::Erase(_)));
        let outcomes = self.write(group).await.map_err(Uncommitted::ForGood)?;
        self.is_soiled |= is_soiling;
        self.wash().await.map_err(Uncommitted::ForGood)?;
        Ok(outcomes)
    }

    /// Copies the log into the database when enough has gathered, preferably while nobody waits.
    async fn tidy(&mut self, is_calm: bool) -> Result<(), sqlx::Error> {
        let due = if is_calm { CHECKPOINT_AFTER } else { CHECKPOINT_BY };
        if self.since_checkpoint < due {
            return Ok(());
        }
        self.since_checkpoint = 0;
        if self.checkpoint("PRAGMA wal_checkpoint(PASSIVE)").await?.pages > LOG_PAGES_MAX {
            self.checkpoint("PRAGMA wal_checkpoint(TRUNCATE)").await?;
        }
        Ok(())
    }

    async fn close(self: Box<Self>) {
        let _ = self.db.close().await;
    }
}

/// What SQLite says of a checkpoint.
struct Checkpoint {
    is_busy: bool,
    pages: i64,
}

impl File {
    async fn write(&mut self, group: &[Request]) -> Result<Vec<Outcome>, sqlx::Error> {
        let outcomes = group::apply(&mut self.db, "BEGIN IMMEDIATE", &mut self.tails, group).await?;
        self.db.run("COMMIT").await?;
        Ok(outcomes)
    }

    /// Empties the database's log of texts that were erased: their old places are overwritten in the database then, and nowhere else are copies.
    /// Whoever reads an older state is waited for, for a moment; else it is tried again with whatever is written next.
    async fn wash(&mut self) -> Result<(), sqlx::Error> {
        if !self.is_soiled {
            return Ok(());
        }
        self.db.run(WAIT_SHORTLY).await?;
        self.is_soiled = self.checkpoint("PRAGMA wal_checkpoint(TRUNCATE)").await?.is_busy;
        self.db.run(WAIT_LONG).await?;
        if self.is_soiled {
            tracing::warn!("texts that were erased stay in the database's log until a backup or a read that goes on has ended");
        }
        Ok(())
    }

    async fn checkpoint(&mut self, pragma: &'static str) -> Result<Checkpoint, sqlx::Error> {
        let rows = self.db.rows(query(pragma)).await?;
        let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        Ok(Checkpoint { is_busy: row.number("busy")? != 0, pages: row.number("log")? })
    }
}
