//! The one writer: takes every batch that waits, commits them together, and answers only then.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, query};
use tegata_api::v1::audit::Record;
use tegata_core::name::TenantName;
use tokio::sync::{mpsc, oneshot, watch};

use super::changes::{self, Refusal};
use super::crowd::gather;
use super::personal;
use crate::store::audit::personal::{Kept, commit};
use crate::store::{Batch, Change, NewRecord, StoreError};

/// How many batches share one commit at most.
const GROUP_MAX: usize = 512;
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

/// Why nothing is committed any more, once that is so.
pub(super) type Failure = Option<Arc<sqlx::Error>>;

/// A batch, and who waits for the answer.
pub(super) struct Request {
    pub batch: Batch,
    pub answer: oneshot::Sender<Result<(), StoreError>>,
}

/// The owner of the only connection that writes.
pub(super) struct Writer {
    db: SqliteConnection,
    queue: mpsc::Receiver<Request>,
    failure: watch::Sender<Failure>,
    tails: Tails,
    since_checkpoint: usize,
    /// True while the database's log may still hold texts that were erased.
    is_soiled: bool,
}

impl Writer {
    pub(super) fn new(db: SqliteConnection, queue: mpsc::Receiver<Request>, failure: watch::Sender<Failure>) -> Self {
        Self { db, queue, failure, tails: Tails::default(), since_checkpoint: 0, is_soiled: false }
    }

    /// Works until nobody can send any more, or until the database fails: then never again.
    pub(super) async fn run(mut self) {
        loop {
            let group = gather(&mut self.queue, GROUP_MAX).await;
            if group.is_empty() {
                break;
            }
            let outcomes = match self.commit(&group).await {
                Ok(outcomes) => outcomes,
                Err(error) => return self.stop(error, group),
            };
            if let Err(error) = self.wash().await {
                return self.stop(error, group);
            }
            for (request, outcome) in group.into_iter().zip(outcomes) {
                // Whoever does not wait any more does not mind.
                let _ = request.answer.send(outcome);
            }
            if let Err(error) = self.checkpoint().await {
                return self.stop(error, vec![]);
            }
        }
        let _ = self.db.close().await;
    }

    /// A failed commit may or may not be on disk; trying again would build on sand. Everybody is told, and the process has to stop.
    fn stop(mut self, error: sqlx::Error, group: Vec<Request>) {
        let error = Arc::new(error);
        tracing::error!(%error, "the database failed: nothing is committed any more");
        self.failure.send_replace(Some(error.clone()));
        self.queue.close();
        let waiting = std::iter::from_fn(|| self.queue.try_recv().ok());
        for request in group.into_iter().chain(waiting) {
            let _ = request.answer.send(Err(StoreError::Database(error.clone())));
        }
    }

    /// Commits a group. Refused guards are rare, so that at first none is expected; if there is one, the group starts over with care.
    async fn commit(&mut self, group: &[Request]) -> Result<Vec<Result<(), StoreError>>, sqlx::Error> {
        self.since_checkpoint += group.iter().map(|request| request.batch.rows()).sum::<usize>();
        self.execute("BEGIN IMMEDIATE").await?;
        let outcomes = match self.apply_all(group).await {
            Ok(()) => group.iter().map(|_| Ok(())).collect(),
            Err(Refusal::Broken(error)) => return Err(error),
            Err(Refusal::Conflict(_)) => {
                self.execute("ROLLBACK").await?;
                self.tails = Tails::default();
                self.execute("BEGIN IMMEDIATE").await?;
                self.apply_each(group).await?
            }
        };
        self.execute("COMMIT").await?;
        self.is_soiled |= group.iter().flat_map(|request| &request.batch.changes).any(|change| matches!(change, Change::Erase(_)));
        Ok(outcomes)
    }

    async fn apply_all(&mut self, group: &[Request]) -> Result<(), Refusal> {
        changes::apply_all(&mut self.db, group.iter().flat_map(|request| &request.batch.changes)).await?;
        let records: Vec<&NewRecord> = group.iter().flat_map(|request| &request.batch.records).collect();
        self.append(&records).await?;
        Ok(())
    }

    /// Applies each batch so that a refused one leaves nothing behind, neither changes nor sequence numbers.
    async fn apply_each(&mut self, group: &[Request]) -> Result<Vec<Result<(), StoreError>>, sqlx::Error> {
        let mut outcomes = Vec::with_capacity(group.len());
        for request in group {
            self.execute("SAVEPOINT batch").await?;
            let outcome = match self.apply(&request.batch).await {
                Ok(()) => Ok(()),
                Err(Refusal::Broken(error)) => return Err(error),
                Err(Refusal::Conflict(guard)) => {
                    self.execute("ROLLBACK TO batch").await?;
                    self.tails = Tails::default();
                    Err(StoreError::Conflict(guard))
                }
            };
            self.execute("RELEASE batch").await?;
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    async fn apply(&mut self, batch: &Batch) -> Result<(), Refusal> {
        changes::apply_all(&mut self.db, batch.changes.iter()).await?;
        self.append(&batch.records.iter().collect::<Vec<_>>()).await?;
        Ok(())
    }

    /// Appends records in one statement, however many there are: each statement costs two changes of thread.
    async fn append(&mut self, records: &[&NewRecord]) -> Result<(), sqlx::Error> {
        let (mut rows, mut texts) = (Vec::new(), Vec::new());
        for record in records {
            let sequence = self.tails.next(&mut self.db, &record.tenant).await?;
            let (text, kept) = canonical(record, sequence);
            rows.push((record.tenant.to_string(), sequence, text));
            texts.extend(kept.into_iter().map(|kept| (record.tenant.to_string(), sequence, kept)));
        }
        if rows.is_empty() {
            return Ok(());
        }
        let append = query(
            "INSERT INTO audit (tenant, sequence, record) \
             SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]') FROM json_each(?)",
        );
        append.bind(serde_json::json!(rows).to_string()).execute(&mut self.db).await?;
        personal::keep(&mut self.db, texts).await
    }

    /// Empties the database's log of texts that were erased: their old places are overwritten in the database then, and nowhere else are copies.
    /// Whoever reads an older state is waited for, for a moment; else it is tried again with whatever is written next.
    async fn wash(&mut self) -> Result<(), sqlx::Error> {
        if !self.is_soiled {
            return Ok(());
        }
        self.execute(WAIT_SHORTLY).await?;
        let emptied: (i64, i64, i64) = sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut self.db).await?;
        self.execute(WAIT_LONG).await?;
        self.is_soiled = emptied.0 != 0;
        if self.is_soiled {
            tracing::warn!("texts that were erased stay in the database's log until a backup or a read that goes on has ended");
        }
        Ok(())
    }

    async fn execute(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        query(sql).execute(&mut self.db).await.map(|_| ())
    }

    /// Copies the log into the database when enough has gathered, preferably while nobody waits.
    async fn checkpoint(&mut self) -> Result<(), sqlx::Error> {
        let due = if self.queue.is_empty() { CHECKPOINT_AFTER } else { CHECKPOINT_BY };
        if self.since_checkpoint < due {
            return Ok(());
        }
        self.since_checkpoint = 0;
        let passive = sqlx::query_as("PRAGMA wal_checkpoint(PASSIVE)");
        let (_busy, log, _copied): (i64, i64, i64) = passive.fetch_one(&mut self.db).await?;
        if log > LOG_PAGES_MAX {
            self.execute("PRAGMA wal_checkpoint(TRUNCATE)").await?;
        }
        Ok(())
    }
}

/// The newest sequence number of each tenant's log, as the open transaction sees it. Forgotten whenever something is rolled back.
#[derive(Default)]
struct Tails(HashMap<TenantName, u64>);

impl Tails {
    async fn next(&mut self, db: &mut SqliteConnection, tenant: &TenantName) -> Result<u64, sqlx::Error> {
        if let Some(tail) = self.0.get_mut(tenant) {
            *tail += 1;
            return Ok(*tail);
        }
        let newest = sqlx::query_scalar("SELECT coalesce(max(sequence), 0) FROM audit WHERE tenant = ?");
        let newest: i64 = newest.bind(tenant.as_str()).fetch_one(db).await?;
        let next = newest.unsigned_abs() + 1;
        self.0.insert(tenant.clone(), next);
        Ok(next)
    }
}

/// The bytes that stand for a record for ever: JSON without blanks, keys in order. And the texts that only commitments stand for in them.
fn canonical(record: &NewRecord, sequence: u64) -> (String, Vec<Kept>) {
    let mut details = record.details.clone();
    let kept = commit(&mut details);
    let record = Record {
        sequence,
        at: record.at.unix(),
        stage: record.stage,
        actor: record.actor.clone(),
        action: record.action.to_owned(),
        object: record.object.clone(),
        details,
    };
    // Values keep their keys in a sorted map; a struct written directly would keep the order of its fields.
    let value = serde_json::to_value(record).expect("a record is plain data with text keys");
    (value.to_string(), kept)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tegata_api::v1::audit::Stage;
    use tegata_core::time::Timestamp;

    use super::*;

    #[test]
    fn a8_records_are_canonical_and_no_text_can_break_out_of_its_place() {
        let record = NewRecord {
            tenant: "aozora".parse().unwrap(),
            at: Timestamp::from_unix(7),
            stage: Stage::Seen,
            actor: "device:sakura/\"pc\n1\u{202e}".into(),
            action: "certificate.proven",
            object: "o".into(),
            details: json!({ "z": 1, "a": { "y": "\u{0}", "b": [] } }),
        };
        let (text, kept) = canonical(&record, 3);
        let expected = concat!(
            r#"{"action":"certificate.proven","actor":"device:sakura/\"pc\n1"#,
            "\u{202e}",
            r#"","at":7,"details":{"a":{"b":[],"y":"\u0000"},"z":1},"object":"o","sequence":3,"stage":"seen"}"#
        );
        assert_eq!((&*text, kept), (expected, vec![]));
    }
}
