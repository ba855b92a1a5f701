//! One way to talk to either database: a statement with its values, and the rows that come back.
//!
//! Statements are written once, in the SQL that both understand. What PostgreSQL has under another name (`json_each`, `unhex`, the smaller of
//! two values) its schema defines; lists are passed as JSON, a list of rows, because neither arrays nor their syntax are common to both.

use std::borrow::Cow;

use sqlx::postgres::{PgArguments, PgConnection, PgPool, PgRow};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, Connection, Postgres, Row as _, Sqlite, Transaction};

/// A value of a statement. None is NULL, which has a type for PostgreSQL.
#[derive(Clone)]
pub(super) enum Value {
    /// A number, a count, a moment.
    Number(Option<i64>),
    /// A name, a word, a document.
    Text(Option<String>),
    /// An identifier, a hash, a certificate.
    Bytes(Option<Vec<u8>>),
    /// Yes or no.
    Flag(bool),
}

macro_rules! values {
    ($($from:ty => $kind:ident, |$value:ident| $convert:expr;)*) => {
        $(impl From<$from> for Value {
            fn from($value: $from) -> Self {
                Self::$kind(Some($convert))
            }
        }
        impl From<Option<$from>> for Value {
            fn from(value: Option<$from>) -> Self {
                Self::$kind(value.map(|$value| $convert))
            }
        })*
    };
}

values! {
    i64 => Number, |value| value;
    u32 => Number, |value| value.into();
    u8 => Number, |value| value.into();
    &str => Text, |value| value.to_owned();
    String => Text, |value| value;
    &String => Text, |value| value.clone();
    &[u8] => Bytes, |value| value.to_owned();
    Vec<u8> => Bytes, |value| value;
    &Vec<u8> => Bytes, |value| value.clone();
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Flag(value)
    }
}

/// Statements, with one row of values for all of them. Several are divided by a semicolon.
pub(super) struct Statement {
    sql: Cow<'static, str>,
    values: Vec<Value>,
    is_kept: bool,
}

/// Begins a statement. Nothing that anybody has typed is ever part of `sql`: it goes into [`Statement::bind`].
pub(super) fn query(sql: impl Into<Cow<'static, str>>) -> Statement {
    Statement { sql: sql.into(), values: vec![], is_kept: true }
}

impl Statement {
    /// The value of the next of `$1`, `$2` …
    pub(super) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Whether the database keeps it prepared: not if it is hardly ever asked twice.
    pub(super) fn persistent(self, is_kept: bool) -> Self {
        Self { is_kept, ..self }
    }

    /// Runs it. How many rows it has changed.
    pub(super) async fn execute(self, db: &mut Db) -> Result<u64, sqlx::Error> {
        match db {
            Db::Sqlite(db) => Ok(self.for_sqlite().execute(db).await?.rows_affected()),
            Db::Postgres(db) => {
                let mut changed = 0;
                for part in self.parts() {
                    changed += part.for_postgres().execute(&mut *db).await?.rows_affected();
                }
                Ok(changed)
            }
        }
    }

    /// Its first row.
    pub(super) async fn fetch_optional(self, db: &mut Db) -> Result<Option<Row>, sqlx::Error> {
        Ok(db.rows(self).await?.into_iter().next())
    }

    /// Each of its statements, with the same values: PostgreSQL prepares one at a time.
    fn parts(self) -> impl Iterator<Item = Self> {
        let Self { sql, values, is_kept } = self;
        let parts: Vec<String> = sql.split(';').map(str::to_owned).collect();
        parts.into_iter().map(move |sql| Self { sql: sql.into(), values: values.clone(), is_kept })
    }

    fn for_sqlite(self) -> Query<'static, Sqlite, SqliteArguments> {
        let bind = |query: Query<'static, Sqlite, SqliteArguments>, value| match value {
            Value::Number(value) => query.bind(value),
            Value::Text(value) => query.bind(value),
            Value::Bytes(value) => query.bind(value),
            Value::Flag(value) => query.bind(value),
        };
        self.values.into_iter().fold(prepared(self.sql), bind).persistent(self.is_kept)
    }

    fn for_postgres(self) -> Query<'static, Postgres, PgArguments> {
        let bind = |query: Query<'static, Postgres, PgArguments>, value| match value {
            Value::Number(value) => query.bind(value),
            // The one letter that PostgreSQL keeps in no text. Whoever sends it must not be able to end anything by that.
            Value::Text(value) => query.bind(value.map(|text| text.replace('\0', "\u{2400}"))),
            Value::Bytes(value) => query.bind(value),
            Value::Flag(value) => query.bind(value),
        };
        self.values.into_iter().fold(prepared(self.sql), bind).persistent(self.is_kept)
    }
}

fn prepared<D: sqlx::Database>(sql: Cow<'static, str>) -> Query<'static, D, D::Arguments> {
    match sql {
        Cow::Borrowed(sql) => sqlx::query(sql),
        Cow::Owned(sql) => sqlx::query(AssertSqlSafe(sql)),
    }
}

/// A row of either database.
pub(super) enum Row {
    /// Of SQLite.
    Sqlite(SqliteRow),
    /// Of PostgreSQL.
    Postgres(PgRow),
}

impl Row {
    /// A number that is always there.
    pub(super) fn number(&self, column: &'static str) -> Result<i64, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
    }

    /// A text that is always there.
    pub(super) fn text(&self, column: &'static str) -> Result<String, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
    }
}

/// Where rows come from.
pub(super) trait Source: Send {
    /// Asks.
    fn rows(self, statement: Statement) -> impl Future<Output = Result<Vec<Row>, sqlx::Error>> + Send;
}

/// One connection.
pub(super) enum Db {
    /// To a file.
    Sqlite(SqliteConnection),
    /// To a server.
    Postgres(PgConnection),
}

impl Source for &mut SqliteConnection {
    async fn rows(self, statement: Statement) -> Result<Vec<Row>, sqlx::Error> {
        Ok(statement.for_sqlite().fetch_all(self).await?.into_iter().map(Row::Sqlite).collect())
    }
}

impl Source for &mut PgConnection {
    async fn rows(self, statement: Statement) -> Result<Vec<Row>, sqlx::Error> {
        Ok(statement.for_postgres().fetch_all(self).await?.into_iter().map(Row::Postgres).collect())
    }
}

impl Source for &mut Db {
    async fn rows(self, statement: Statement) -> Result<Vec<Row>, sqlx::Error> {
        match self {
            Db::Sqlite(db) => db.rows(statement).await,
            Db::Postgres(db) => db.rows(statement).await,
        }
    }
}

impl Db {
    /// Runs what begins, ends or divides transactions: several statements, none with values.
    pub(super) async fn run(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(db) => sqlx::raw_sql(sql).execute(db).await.map(drop),
            Self::Postgres(db) => sqlx::raw_sql(sql).execute(db).await.map(drop),
        }
    }

    /// Ends the connection in order.
    pub(super) async fn close(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(db) => db.close().await,
            Self::Postgres(db) => db.close().await,
        }
    }
}

/// Connections for those who read.
#[derive(Clone)]
pub(super) enum Pool {
    /// To a file.
    Sqlite(SqlitePool),
    /// To a server.
    Postgres(PgPool),
}

impl Source for &Pool {
    async fn rows(self, statement: Statement) -> Result<Vec<Row>, sqlx::Error> {
        match self {
            Pool::Sqlite(pool) => pool.acquire().await?.rows(statement).await,
            Pool::Postgres(pool) => pool.acquire().await?.rows(statement).await,
        }
    }
}

impl Pool {
    /// One moment of the database: whatever is read from it fits together.
    pub(super) async fn moment(&self) -> Result<Moment, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(pool) => Moment::Sqlite(pool.begin().await?),
            Self::Postgres(pool) => Moment::Postgres(pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?),
        })
    }
}

/// A transaction that reads.
pub(super) enum Moment {
    /// Of SQLite.
    Sqlite(Transaction<'static, Sqlite>),
    /// Of PostgreSQL.
    Postgres(Transaction<'static, Postgres>),
}

impl Source for &mut Moment {
    async fn rows(self, statement: Statement) -> Result<Vec<Row>, sqlx::Error> {
        match self {
            Moment::Sqlite(db) => db.rows(statement).await,
            Moment::Postgres(db) => db.rows(statement).await,
        }
    }
}

impl Moment {
    /// Lets the moment go.
    pub(super) async fn end(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(db) => db.commit().await,
            Self::Postgres(db) => db.commit().await,
        }
    }
}
