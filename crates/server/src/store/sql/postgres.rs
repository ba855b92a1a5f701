//! The store on a PostgreSQL server, which several Tegata servers may share.

mod neighbours;
mod settings;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::ConnectOptions;
use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgDatabaseError, PgPoolOptions};
use tegata_core::name::ClinicId;
use tegata_core::time::Timestamp;
use tokio::time::{Instant, sleep, timeout};

use super::db::{Db, Pool, Source, query};
use super::group::{self, Tails};
use super::rows::Columns;
use super::writer::{Keeper, Outcome, Request, Uncommitted, Writer};
use super::{Database, all, database, index};
use crate::store::signals::{Signal, signals};
use crate::store::{CLAIM, StoreError};

pub(super) use self::neighbours::Neighbours;

/// How many reads run at the same time.
const READERS: u32 = 8;
/// How many statements a connection keeps prepared: more than there are.
const STATEMENTS: usize = 512;

/// For how long a group is tried again while the server is away: what waits at a door waits no longer than that.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long one try may take. A server that was cut off does not say so.
const TRY: Duration = Duration::from_secs(10);
/// How much longer for each row that is written.
const EACH_ROW: Duration = Duration::from_millis(1);
/// How many clinics one server takes at once, so that others have some too.
const CLAIMS: u32 = 64;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// Writers come one after the other, also those of other servers, so that hardly any two ever collide; and should they, serializability refuses
/// one of them. The lock is taken before anything is read: what waited for it sees what it waited for.
const BEGIN: &str = "BEGIN ISOLATION LEVEL SERIALIZABLE; LOCK TABLE turnstile IN EXCLUSIVE MODE";

/// Where a database is: `postgres://user@host/name`. A password is better given in `PGPASSWORD` or a password file, where nobody who lists
/// processes sees it.
#[derive(Clone)]
pub struct Address(Box<PgConnectOptions>);

impl fmt::Debug for Address {
    /// Not the password.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}/{}", self.0.get_host(), self.0.get_port(), self.0.get_database().unwrap_or_default())
    }
}

impl FromStr for Address {
    type Err = AddressError;

    /// Nothing of the address is repeated in the error: there may be a password in it.
    fn from_str(address: &str) -> Result<Self, Self::Err> {
        let is_ours = address.starts_with("postgres://") || address.starts_with("postgresql://");
        let options: Option<PgConnectOptions> = if is_ours { address.parse().ok() } else { None };
        options.map(|options| Self(Box::new(options))).ok_or(AddressError)
    }
}

impl Address {
    fn options(&self) -> PgConnectOptions {
        settings::with_ours(*self.0.clone()).statement_cache_capacity(STATEMENTS)
    }

    /// A connection to a database that is safe, with the schema of this version. One that is just being started is waited for.
    pub(super) async fn connect(&self) -> Result<PgConnection, StoreError> {
        settings::demand_checked_host(&self.0)?;
        let began = Instant::now();
        loop {
            match timeout(TRY, self.try_to_connect()).await {
                // A certificate that does not fit now will not fit later.
                Ok(Err(StoreError::Away(error))) if began.elapsed() < PATIENCE && !matches!(*error, sqlx::Error::Tls(_)) => {
                    tracing::warn!(%error, "the database does not answer yet");
                    sleep(10 * PAUSE).await;
                }
                Ok(outcome) => return outcome,
                Err(_) if began.elapsed() < PATIENCE => {}
                Err(_) => return Err(database(sqlx::Error::PoolTimedOut)),
            }
        }
    }

    async fn try_to_connect(&self) -> Result<PgConnection, StoreError> {
        let mut db = self.options().connect().await.map_err(database)?;
        settings::check(&mut db).await?;
        // Not `run`: rustc cannot see that its future is `Send`, and sqlx offers this way around.
        let migrated = sqlx::migrate!("migrations/postgres").run_direct(None, &mut db, false).await;
        migrated.map_err(|error| match error {
            MigrateError::Execute(error) => database(error),
            other => database(sqlx::Error::Migrate(Box::new(other))),
        })?;
        Ok(db)
    }
}

/// What was named is no address of a PostgreSQL database.
#[derive(Debug, thiserror::Error)]
#[error("expected the address of a PostgreSQL database, such as postgres://tegata@db.example.jp/tegata?sslmode=verify-full")]
pub struct AddressError;

impl Database {
    /// Connects to a database, and brings its schema up to date.
    ///
    /// Refuses a server that would not survive a power cut, and one at another host whose certificate is not checked. To be called inside a
    /// Tokio runtime.
    ///
    /// # Errors
    /// [`StoreError::Unsafe`], [`StoreError::Database`].
    pub async fn postgres(address: &Address) -> Result<Self, StoreError> {
        let mut db = Db::Postgres(address.connect().await?);
        index::forget_others(&mut db).await?;
        // One of them listens.
        let readers = PgPoolOptions::new().max_connections(READERS + 1).acquire_timeout(TRY).connect_lazy_with(address.options());
        let neighbours = Neighbours::listen(&readers).await.map_err(database)?;
        let readers = Pool::Postgres(readers);
        let server = Server { options: address.options(), db: Some(db), doubt: None };
        Ok(Self::begin(|queue, failed| Writer::new(server, queue, failed), readers, Some(neighbours)))
    }
}

/// The writer's side of the server.
struct Server {
    options: PgConnectOptions,
    /// None: the connection was lost.
    db: Option<Db>,
    doubt: Option<Doubt>,
}

/// A transaction that was being committed when the connection was lost.
struct Doubt {
    transaction: String,
    outcomes: Vec<Outcome>,
}

/// What PostgreSQL says of a transaction.
enum Fate {
    Committed,
    Gone,
    Undecided,
}

#[async_trait]
impl Keeper for Server {
    /// Tries until the group is committed, or the server is away for too long.
    async fn commit(&mut self, group: &[Request]) -> Result<Vec<Outcome>, Uncommitted> {
        let rows = group.iter().map(|request| request.batch.rows()).sum::<usize>();
        let (began, rows) = (Instant::now(), u32::try_from(rows).unwrap_or(u32::MAX));
        self.doubt = None;
        loop {
            let error = match timeout(TRY + EACH_ROW * rows, self.try_once(group)).await {
                Ok(Ok(Some(outcomes))) => return Ok(outcomes),
                Ok(Ok(None)) => sqlx::Error::PoolTimedOut,
                Ok(Err(error)) => error,
                Err(_) => sqlx::Error::PoolTimedOut,
            };
            self.give_up(&error).await;
            if !passes(&error) {
                return Err(Uncommitted::ForGood(error));
            }
            if began.elapsed() >= PATIENCE {
                return Err(Uncommitted::ForNow(error));
            }
            tracing::debug!(%error, "a commit is tried again");
            sleep(PAUSE).await;
        }
    }

    async fn tidy(&mut self, _is_calm: bool) -> Result<(), sqlx::Error> {
        Ok(())
    }

    async fn close(self: Box<Self>) {
        if let Some(db) = self.db {
            let _ = db.close().await;
        }
    }
}

impl Server {
    /// Rolls back what is open: on the same line if somebody else was faster, else together with the line.
    async fn give_up(&mut self, error: &sqlx::Error) {
        let was_slower = code(error).is_some_and(|code| code.starts_with("40"));
        let is_kept = match self.db.as_mut().filter(|_| was_slower) {
            Some(db) => matches!(timeout(TRY, db.run("ROLLBACK")).await, Ok(Ok(()))),
            None => false,
        };
        if !is_kept {
            self.db = None;
        }
    }

    /// None: it is not known yet what became of the try before.
    async fn try_once(&mut self, group: &[Request]) -> Result<Option<Vec<Outcome>>, sqlx::Error> {
        let db = match &mut self.db {
            Some(db) => db,
            lost => lost.insert(Db::Postgres(self.options.connect().await?)),
        };
        if let Some(doubt) = &self.doubt {
            match fate(db, &doubt.transaction).await? {
                Fate::Committed => return Ok(self.doubt.take().map(|doubt| doubt.outcomes)),
                Fate::Undecided => return Ok(None),
                Fate::Gone => self.doubt = None,
            }
        }
        let outcomes = group::apply(db, BEGIN, &mut Tails::default(), group).await?;
        let done = group.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_ok());
        let signals: BTreeSet<Signal> = done.flat_map(|(request, _)| signals(&request.batch)).collect();
        let transaction = number_of(db, &neighbours::payload(&signals)).await?;
        self.doubt = Some(Doubt { transaction, outcomes });
        // If this fails, whatever it says, it is asked what became of it.
        db.run("COMMIT").await?;
        Ok(self.doubt.take().map(|doubt| doubt.outcomes))
    }
}

/// The number of the open transaction, with which others are told of it once it is committed.
async fn number_of(db: &mut Db, payload: &str) -> Result<String, sqlx::Error> {
    let ask = query("SELECT pg_current_xact_id()::text AS transaction, pg_notify($1, $2)").bind(neighbours::CHANNEL).bind(payload);
    let rows = db.rows(ask).await?;
    rows.first().ok_or(sqlx::Error::RowNotFound)?.text("transaction")
}

/// Takes clinics that are due and that nobody else has: each row is locked while it is taken, and one that is locked is passed over.
pub(super) async fn claim(pool: &Pool, now: Timestamp, limit: u32) -> Result<Vec<ClinicId>, StoreError> {
    let take = "WITH taken AS (UPDATE clinics SET claimed_until = $2 WHERE (tenant, clinic) IN (
            SELECT tenant, clinic FROM clinics WHERE wake_at IS NOT NULL AND wake_at <= $1 AND (claimed_until IS NULL OR claimed_until <= $1)
            ORDER BY wake_at LIMIT $3 FOR UPDATE SKIP LOCKED)
        RETURNING tenant, clinic, wake_at)
        SELECT tenant, clinic FROM taken ORDER BY wake_at";
    let take = query(take).bind(now.unix()).bind(now.after(CLAIM).unix()).bind(limit.min(CLAIMS));
    all(pool, "clinics", take, Columns::clinic).await
}

/// What became of a transaction (<https://www.postgresql.org/docs/current/functions-info.html>, `pg_xact_status`).
async fn fate(db: &mut Db, transaction: &str) -> Result<Fate, sqlx::Error> {
    let find = query("SELECT coalesce(pg_xact_status($1::xid8), 'aborted') AS fate").bind(transaction);
    let rows = db.rows(find).await?;
    let fate = rows.first().ok_or(sqlx::Error::RowNotFound)?.text("fate")?;
    Ok(match &fate[..] {
        "committed" => Fate::Committed,
        "in progress" => Fate::Undecided,
        _ => Fate::Gone,
    })
}

/// Whether an error is one of the moment: the server stops, starts or has no room, somebody else was faster, or the line is broken
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
pub(super) fn passes(error: &sqlx::Error) -> bool {
    if error.as_database_error().is_none() {
        return matches!(error, sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::PoolTimedOut);
    }
    // Connection, serialization, resources, an operator who intervenes; a server that only reads because another has taken over; a lock.
    let Some(code) = code(error) else { return false };
    ["08", "40", "53", "57"].iter().any(|class| code.starts_with(class)) || ["25006", "25P03", "55P03"].contains(&code)
}

/// Whether a value is none that PostgreSQL can keep: that is the fault of whoever sent it, and harms nobody else.
pub(super) fn is_unkeepable(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| code.starts_with("22"))
}

/// What PostgreSQL calls an error.
fn code(error: &sqlx::Error) -> Option<&str> {
    error.as_database_error()?.try_downcast_ref::<PgDatabaseError>().map(PgDatabaseError::code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_does_not_tell_its_password() {
        let address: Address = "postgres://tegata:hunter2@db.example/clinics".parse().unwrap();
        assert_eq!(format!("{address:?}"), "db.example:5432/clinics");
        for wrong in ["", "mysql://tegata:hunter2@db.example/clinics", "postgres://tegata:hunter2@db.example:port/clinics"] {
            assert!(!wrong.parse::<Address>().unwrap_err().to_string().contains("hunter2"));
        }
    }
}
