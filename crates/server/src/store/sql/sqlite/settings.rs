//! How SQLite is set up to survive a power cut, and the proof that it is.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};

use super::super::database;
use crate::store::StoreError;

/// Longer than any checkpoint takes: only a lock that is never given back is an error.
const BUSY: Duration = Duration::from_secs(30);

/// The writer's connection. Checkpoints are taken by the writer itself, between commits and not inside them.
pub(super) fn writer(path: &Path) -> SqliteConnectOptions {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true).busy_timeout(BUSY).foreign_keys(true);
    let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
    // Elsewhere fsync reaches the disk's platter; macOS wants to be asked for it by another name.
    let options = if cfg!(target_os = "macos") { options.pragma("fullfsync", "1") } else { options };
    // Whatever is overwritten or taken out of a page is zeroed there.
    options.pragma("wal_autocheckpoint", "0").pragma("cache_size", "-16384").pragma("secure_delete", "FAST")
}

/// A reader's connection.
pub(super) fn reader(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(BUSY).pragma("cache_size", "-4096")
}

/// Reads the settings back and refuses those under which an answered commit could be lost.
pub(super) async fn check(db: &mut SqliteConnection) -> Result<(), StoreError> {
    let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *db).await.map_err(database)?;
    demand(journal.eq_ignore_ascii_case("wal"), "journal_mode", &journal, "WAL")?;
    // 2 is FULL, 3 is EXTRA (https://www.sqlite.org/pragma.html#pragma_synchronous).
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *db).await.map_err(database)?;
    demand(synchronous >= 2, "synchronous", &synchronous.to_string(), "FULL")?;
    let foreign_keys: i64 = sqlx::query_scalar("PRAGMA foreign_keys").fetch_one(&mut *db).await.map_err(database)?;
    demand(foreign_keys == 1, "foreign_keys", &foreign_keys.to_string(), "ON")?;
    if cfg!(target_os = "macos") {
        let full: i64 = sqlx::query_scalar("PRAGMA fullfsync").fetch_one(&mut *db).await.map_err(database)?;
        demand(full == 1, "fullfsync", &full.to_string(), "ON")?;
    }
    Ok(())
}

fn demand(holds: bool, setting: &str, found: &str, wanted: &str) -> Result<(), StoreError> {
    if holds { Ok(()) } else { Err(StoreError::Unsafe(format!("{setting} is {found}, and has to be {wanted}"))) }
}

#[cfg(test)]
mod tests {
    use sqlx::ConnectOptions;

    use super::*;

    async fn verdict(options: SqliteConnectOptions) -> Result<(), StoreError> {
        check(&mut options.connect().await.unwrap()).await
    }

    #[tokio::test]
    async fn s1_settings_that_could_lose_an_answered_commit_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        verdict(writer(&path)).await.expect("the settings that are used are safe");
        let refused = [
            writer(&path).synchronous(SqliteSynchronous::Normal),
            writer(&path).synchronous(SqliteSynchronous::Off),
            writer(&folder.path().join("other.db")).journal_mode(SqliteJournalMode::Delete),
            writer(&path).foreign_keys(false),
            writer(Path::new(":memory:")),
        ];
        for options in refused {
            let found = verdict(options).await;
            assert!(matches!(found, Err(StoreError::Unsafe(_))), "{found:?}");
        }
    }
}
