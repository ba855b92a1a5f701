//! A whole database moved from a file to a server, and the proof that both hold the same logs.

use std::collections::BTreeMap;
use std::path::Path;

use futures::TryStreamExt;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Connection, Row as _, TypeInfo, ValueRef, query_scalar};
use tegata_core::name::TenantName;
use tegata_core::time::Timestamp;
use tegata_tlog::merkle::{Frontier, Hash, leaf};

use super::db::{Source, query};
use super::postgres::Address;
use super::rows::{Columns, number};
use super::{all, database, sqlite};
use crate::store::StoreError;

/// Every table, after those that its rows refer to. But for the index of the log, which is made anew from the records.
const TABLES: [&str; 43] = [
    "tenants",
    "documents",
    "clinics",
    "codes",
    "devices",
    "orders",
    "certificates",
    "bundles",
    "confirmations",
    "renewals_asked",
    "shards",
    "installers",
    "installers_seen",
    "recognized",
    "restored",
    "tombstones",
    "authorities",
    "tokens",
    "sessions",
    "approvals",
    "letters",
    "told",
    "deliveries",
    "webhook_keys",
    "portal_codes",
    "portal_sessions",
    "portal_certificates",
    "portal_deliveries",
    "portal_numbers",
    "applications",
    "pin_tries",
    "backups",
    "copies",
    "places",
    "epochs",
    "audit",
    "audit_personal",
    "audit_exported",
    "log_tiles",
    "log_heads",
    "log_cosigned",
    "log_witnesses",
    "log_alarms",
];
/// How many bytes are sent together.
const CHUNK: usize = 1 << 20;
/// How many records of a log are read together.
const PAGE: u32 = 10_000;

/// Why a database was not moved. Unless that is not known, the file is as it was then, and the server holds nothing.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// There is something on the other side already.
    #[error("the database {0} is not empty, and nothing is written over; name one that was just made")]
    NotEmpty(String),
    /// What arrived is not what was sent.
    #[error("the audit log of '{0}' has another root on the other side; nothing was moved")]
    OtherRoot(TenantName),
    /// The line was lost at the very end.
    #[error(
        "it is not known whether everything arrived in {0}; look into it: if it is empty, begin again, else start servers on it. The file gives \
         nothing out until `tegata state recover`"
    )]
    Undecided(String, #[source] sqlx::Error),
    /// One of the two databases failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for MoveError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(database(error))
    }
}

/// What was moved.
#[derive(Debug, PartialEq, Eq)]
pub struct Moved {
    /// How many rows.
    pub rows: u64,
    /// The log of each tenant: how many records it has, and the root of the tree over them, the same on both sides.
    pub logs: BTreeMap<TenantName, (u64, Hash)>,
}

/// Copies everything that the file at `from` holds into an empty database, in one transaction. Nobody may use the file meanwhile, and whoever
/// serves from it later gives nothing out until a person knows that the installation has moved on.
///
/// # Errors
/// [`MoveError`].
pub async fn move_to_server(from: &Path, to: &Address, now: Timestamp) -> Result<Moved, MoveError> {
    let mut file = sqlite::opened_at(from).await?;
    let mut server = to.connect().await?;
    if !is_empty(&mut server).await? {
        return Err(MoveError::NotEmpty(format!("{to:?}")));
    }
    let logs = roots(&mut file).await?;
    sqlx::query("BEGIN").execute(&mut server).await?;
    let mut rows = 0;
    for table in TABLES {
        rows += copy(&mut file, &mut server, table).await?;
    }
    count_on(&mut server).await?;
    let arrived = roots(&mut server).await?;
    if let Some((tenant, _)) = logs.iter().find(|(tenant, root)| arrived.get(*tenant) != Some(*root)) {
        return Err(MoveError::OtherRoot(tenant.clone()));
    }
    // First the file is left, then the server is entered: whatever comes between, no two of them give anything out.
    let leave = sqlx::query("INSERT INTO epochs (backed_up_at, restored_at) VALUES ($1, $1)").bind(now.unix());
    leave.execute(&mut file).await?;
    file.close().await?;
    sqlx::query("COMMIT").execute(&mut server).await.map_err(|error| MoveError::Undecided(format!("{to:?}"), error))?;
    server.close().await?;
    Ok(Moved { rows, logs })
}

async fn is_empty(server: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let mut found = false;
    for table in TABLES {
        let find = format!("SELECT EXISTS (SELECT 1 FROM {table})");
        found |= query_scalar::<_, bool>(AssertSqlSafe(find)).fetch_one(&mut *server).await?;
    }
    Ok(!found)
}

/// Sends a table as it is.
async fn copy(file: &mut SqliteConnection, server: &mut PgConnection, table: &'static str) -> Result<u64, sqlx::Error> {
    let find = "SELECT column_name::text FROM information_schema.columns WHERE table_name = $1 AND table_schema = current_schema()
        ORDER BY ordinal_position";
    let columns: Vec<String> = query_scalar(find).bind(table).fetch_all(&mut *server).await?;
    let columns = columns.join(", ");
    let mut rows = sqlx::query(AssertSqlSafe(format!("SELECT {columns} FROM {table}"))).fetch(file);
    let mut copy = server.copy_in_raw(&format!("COPY {table} ({columns}) FROM STDIN")).await?;
    let mut chunk = String::new();
    while let Some(row) = rows.try_next().await? {
        write(&row, &mut chunk)?;
        if chunk.len() >= CHUNK {
            copy.send(std::mem::take(&mut chunk).into_bytes()).await?;
        }
    }
    copy.send(chunk.into_bytes()).await?;
    copy.finish().await
}

/// A row as COPY takes it (<https://www.postgresql.org/docs/current/sql-copy.html>, "Text Format").
fn write(row: &SqliteRow, line: &mut String) -> Result<(), sqlx::Error> {
    for index in 0..row.len() {
        if index > 0 {
            line.push('\t');
        }
        let value = row.try_get_raw(index)?;
        let kind = value.type_info().name().to_owned();
        match &kind[..] {
            _ if value.is_null() => line.push_str("\\N"),
            "BLOB" => {
                line.push_str("\\\\x");
                data_encoding::HEXLOWER.encode_append(row.try_get(index)?, line);
            }
            "TEXT" => row.try_get::<&str, _>(index)?.chars().for_each(|letter| match letter {
                '\\' => line.push_str("\\\\"),
                '\t' => line.push_str("\\t"),
                '\n' => line.push_str("\\n"),
                '\r' => line.push_str("\\r"),
                other => line.push(other),
            }),
            _ => line.push_str(&row.try_get::<i64, _>(index)?.to_string()),
        }
    }
    line.push('\n');
    Ok(())
}

/// What counts up by itself goes on behind what was copied.
async fn count_on(server: &mut PgConnection) -> Result<(), sqlx::Error> {
    let find = "SELECT table_name::text, column_name::text FROM information_schema.columns
        WHERE is_identity = 'YES' AND table_schema = current_schema()";
    let counting: Vec<(String, String)> = sqlx::query_as(find).fetch_all(&mut *server).await?;
    for (table, column) in counting {
        let set = format!(
            "SELECT setval(pg_get_serial_sequence('{table}', '{column}'), newest) FROM (SELECT max({column}) AS newest FROM {table}) AS last
            WHERE newest IS NOT NULL"
        );
        sqlx::query(AssertSqlSafe(set)).execute(&mut *server).await?;
    }
    Ok(())
}

/// The tree over the records of each tenant, made anew from the records.
async fn roots<D>(db: &mut D) -> Result<BTreeMap<TenantName, (u64, Hash)>, StoreError>
where
    for<'a> &'a mut D: Source,
{
    let mut roots = BTreeMap::new();
    for tenant in all(&mut *db, "audit", query("SELECT DISTINCT tenant FROM audit"), Columns::tenant).await? {
        let mut tree = Frontier::default();
        loop {
            let page = query("SELECT record FROM audit WHERE tenant = $1 AND sequence > $2 ORDER BY sequence LIMIT $3");
            let page = page.bind(tenant.as_str()).bind(number(tree.size())).bind(PAGE);
            let records: Vec<String> = all(&mut *db, "audit", page, |row| row.raw("record")).await?;
            if records.is_empty() {
                break;
            }
            for record in &records {
                tree.push(leaf(record.as_bytes()));
            }
        }
        roots.insert(tenant, (tree.size(), tree.root()));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_table_is_forgotten_but_what_is_made_anew() {
        let schema = include_str!("../../../migrations/postgres/0001_begin.sql");
        let there = schema.lines().filter_map(|line| line.strip_prefix("CREATE TABLE ")?.split(' ').next());
        let mut expected: BTreeSet<&str> = there.collect();
        for made_anew in ["audit_index", "audit_days", "audit_indexed", "turnstile"] {
            assert!(expected.remove(made_anew), "{made_anew}");
        }
        assert_eq!(TABLES.into_iter().collect::<BTreeSet<_>>(), expected);
    }
}
